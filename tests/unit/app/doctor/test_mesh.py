"""Checks of mutual TLS, each seen to pass and to warn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.app.doctor.finding import FAILED, OK, WARNING
from gateway.app.doctor.local import check_certificates
from gateway.app.doctor.mesh import check_inbound, check_instances
from gateway.hop import MTLS_KEY
from gateway.instance import Instance
from tests.support.certificates import Authority
from tests.support.roles import gateway_settings, sidecar_settings

SPEAKS = Instance("192.0.2.1", 80, metadata={MTLS_KEY: "true"})
MUTE = Instance("192.0.2.2", 80)


def mesh(folder: Path, **more: Any) -> dict[str, Any]:
    authority = Authority()
    pair = authority.issue(folder, "b", "spiffe://mesh.example/sa/b")
    return {**pair, "ca": authority.trust(folder), "identity": "spiffe://mesh.example/sa/{service}", **more}


@pytest.mark.parametrize(("days", "state"), [(0, OK), (20, WARNING), (40, FAILED)])
def test_the_certificate_of_the_mesh_is_looked_at_as_the_listeners_are(tmp_path: Path, days: int, state: str) -> None:
    settings = sidecar_settings(mesh=mesh(tmp_path))
    [found] = check_certificates(settings, datetime.now(UTC) + timedelta(days=days))
    assert (found.subject, found.state) == (str(tmp_path / "b.crt"), state)


@pytest.mark.parametrize(("inbound", "state"), [("required", OK), ("permissive", WARNING)])
def test_a_sidecar_that_serves_plain_text_still(tmp_path: Path, inbound: str, state: str) -> None:
    [found] = check_inbound(sidecar_settings(mesh=mesh(tmp_path, inbound=inbound)))
    assert found.state == state


def test_who_is_not_called_by_mutual_tls_serves_what_it_serves(tmp_path: Path) -> None:
    assert list(check_inbound(sidecar_settings())) == []
    assert list(check_inbound(gateway_settings(mesh=mesh(tmp_path)))) == []


def test_instances_that_do_not_announce_it_are_named(tmp_path: Path) -> None:
    settings = gateway_settings(mesh=mesh(tmp_path))
    [good] = check_instances(settings, {"a": (SPEAKS,)})
    [bad] = check_instances(settings, {"a": (SPEAKS, MUTE)})
    assert (good.state, bad.state) == (OK, WARNING)
    assert bad.message.startswith("1 of 2 instances")
    assert bad.message.endswith(": 192.0.2.2:80")


@pytest.mark.parametrize(
    ("outbound", "service"),
    [
        ("required", {}),
        ("announced", {"mtls": "never"}),
        ("announced", {"mtls": "required"}),
        ("announced", {"tls": {}}),
    ],
)
def test_nothing_is_said_where_the_announcement_decides_nothing(
    tmp_path: Path, outbound: str, service: dict[str, Any]
) -> None:
    settings = gateway_settings(mesh=mesh(tmp_path, outbound=outbound), services={"a": service} if service else {})
    assert list(check_instances(settings, {"a": (MUTE,)})) == []
    assert list(check_instances(gateway_settings(), {"a": (MUTE,)})) == []
