"""By which names a listener is called: those that no stranger's DNS can point at it."""

from __future__ import annotations

import socket

import pytest

from gateway.web.names import OwnNames

OURS = [
    "127.0.0.1",
    "127.0.0.1:9900",
    "[::1]:9900",
    "[::1]",
    "10.0.0.5:8848",
    "localhost",
    "LOCALHOST:9900",
    "localhost.",
    "a.localhost:1",
]
THEIRS = [
    "evil.example", "evil.example:9900", "127.0.0.1.evil.example", "127.0.0.1.nip.io", "localhost.evil.example", "evil-localhost",
    "local", "127.0.0.1@evil.example", "[evil.example]", "[127.0.0.1]", "[::1%evil.example]", "[fe80::1%eth0]:1", "::1:", "0x7f.1", "127.1", "..", ".", "a..", "", "evil.example.",
    "xn--localhost-9ya", "admin.example.com:9900", "notexample.com", "example.com", "localhost:x", "a b", "a/b",
]  # fmt: skip


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box1.corp.example")


@pytest.mark.parametrize("host", OURS)
def test_addresses_and_localhost_are_ours_wherever_we_listen(host: str) -> None:
    assert OwnNames("127.0.0.1").includes(host)
    assert OwnNames("0.0.0.0").includes(host)


@pytest.mark.parametrize("host", THEIRS)
def test_nothing_else_is_on_loopback(host: str) -> None:
    assert not OwnNames("127.0.0.1").includes(host)


@pytest.mark.parametrize("host", [host for host in THEIRS if "." in host or ":" in host or host in ("", "a b", "a/b")])
def test_a_name_that_somebody_can_buy_is_never_ours(host: str) -> None:
    assert not OwnNames("0.0.0.0").includes(host)


def test_the_machine_and_what_is_listened_on_have_names() -> None:
    for listen in ("127.0.0.1", "localhost", "gateway.corp.example", "::1"):
        assert OwnNames(listen).includes("box1.CORP.example:9900")
        assert not OwnNames(listen).includes("box2.corp.example:9900")
    assert OwnNames("gateway.corp.example").includes("gateway.corp.example:9900")


def test_containers_call_each_other_by_names_without_a_dot() -> None:
    for listen in ("0.0.0.0", "::", "10.0.0.5", "registry"):
        assert OwnNames(listen).includes("nacos-registry:8848")
    for listen in ("127.0.0.1", "::1", "localhost"):
        assert not OwnNames(listen).includes("nacos-registry:8848")


def test_the_operator_names_the_rest() -> None:
    names = OwnNames("127.0.0.1", ["Admin.example.com", "*.svc.cluster.local"])
    assert names.includes("admin.example.com:9900")
    assert names.includes("registry.prod.svc.cluster.local:8848")
    assert not names.includes("svc.cluster.local")
    assert not names.includes("evilsvc.cluster.local")
    assert not names.includes("x.admin.example.com")
