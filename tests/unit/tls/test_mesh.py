"""Which instances are spoken to in TLS, on which terms, and when connections are to be made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.hop import MTLS_KEY
from gateway.instance import Instance
from gateway.tls.contexts import CertificateError, UpstreamTLS
from gateway.tls.mesh import MOST, Mesh, Secured
from tests.support.certificates import Authority

CA = Authority()
PLAIN = Instance("192.0.2.1", 80)
ANNOUNCING = Instance("192.0.2.1", 80, metadata={MTLS_KEY: "true"})
IDENTITY = "spiffe://mesh.example/{service}"


def mesh(folder: Path, *names: str, identity: str = IDENTITY, **files: Any) -> Mesh:
    pair = CA.issue(folder, "own", *(names or ("spiffe://mesh.example/gateway",)))
    return Mesh(**{**pair, "ca": CA.trust(folder), **files}, identity=identity)


@pytest.mark.parametrize(
    ("use", "default", "called"),
    [
        ({}, "announced", [False, True]),
        ({}, "required", [True, True]),
        ({"a": "never"}, "required", [False, False]),
        ({"a": "required"}, "announced", [True, True]),
        ({"a": "announced"}, "required", [False, True]),
        ({"b": "never"}, "required", [True, True]),
    ],
)
def test_a_service_s_own_setting_comes_before_that_of_the_mesh(
    tmp_path: Path, use: Any, default: Any, called: list[bool]
) -> None:
    terms = Secured({}, mesh(tmp_path), use, default)
    assert [terms.of("a", instance) is not None for instance in (PLAIN, ANNOUNCING)] == called


def test_what_is_configured_for_a_service_comes_before_the_mesh(tmp_path: Path) -> None:
    tls: Any = object()
    assert Secured({"a": tls}, mesh(tmp_path)).of("a", ANNOUNCING) is tls


def test_without_a_mesh_an_announcement_says_nothing() -> None:
    assert (Secured().of("a", ANNOUNCING), Secured().is_used) == (None, False)


def test_the_fingerprint_is_of_files_and_terms(tmp_path: Path) -> None:
    one = mesh(tmp_path)
    assert Secured({}, one).fingerprint("a") == Secured({}, one).fingerprint("a")
    assert Secured({}, one).fingerprint("a") != Secured({}, one, {"a": "required"}).fingerprint("a")
    assert Secured({}, one).fingerprint("a") != Secured({}, mesh(tmp_path)).fingerprint("a")
    assert Secured().fingerprint("a") == ()
    tls: Any = type("", (), {"fingerprint": ("x",)})
    assert Secured({"a": tls}, one).fingerprint("a") == ("x",)
    assert Secured({"a": tls}, one).without("a").services == {}


def test_the_terms_of_services_are_kept_as_long_as_they_are_few(tmp_path: Path) -> None:
    """An application may call any name."""
    one = mesh(tmp_path)
    assert one.towards("a") is one.towards("a")
    for number in range(2 * MOST):
        one.towards(str(number))
    assert len(one._towards) <= MOST


def test_who_this_program_is_is_who_peers_take_it_for(tmp_path: Path) -> None:
    one = mesh(tmp_path, "spiffe://mesh.example/orders")
    assert (one.name, one.is_of("orders"), one.is_of("order")) == ("spiffe://mesh.example/orders", True, False)
    assert mesh(tmp_path, "spiffe://other.example/orders").name == ""


@pytest.mark.parametrize("file", ["cert", "key", "ca"])
@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, file: str, content: bytes | None) -> None:
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(CertificateError, match=r"bad\.pem"):
        mesh(tmp_path, **{file: str(bad)})


def test_terms_without_an_expected_peer_take_anybody(tmp_path: Path) -> None:
    UpstreamTLS(mesh(tmp_path).client, "", ()).verify_peer(None)
