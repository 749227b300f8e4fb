"""Checks of this machine, each seen to pass and to fail."""

from __future__ import annotations

import resource
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from gateway.app.doctor.finding import FAILED, OK, WARNING, Finding
from gateway.app.doctor.local import check_certificates, check_configuration, check_descriptors, check_ports
from gateway.proxy.server import bind
from gateway.yaml.writing import write_yaml
from tests.support.roles import SIDECAR, gateway_settings, lanes, put_gateway, sidecar_settings


def test_a_valid_configuration(tmp_path: Path) -> None:
    path = put_gateway(tmp_path, lanes("gray"))
    loaded, findings = check_configuration(path)
    assert loaded is not None
    assert findings == [Finding("configuration", str(path), OK, "valid; lanes: 1")]


def test_each_problem_is_a_finding_with_its_place(tmp_path: Path) -> None:
    path = put_gateway(tmp_path, workers=0, nonsense=1)
    loaded, findings = check_configuration(path)
    assert loaded is None
    assert [finding.state for finding in findings] == [FAILED] * 2
    assert all(finding.message.startswith(f"{path}:") and finding.hint for finding in findings)


def test_a_sidecars_configuration_is_known_by_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text(write_yaml({**SIDECAR, "inbound": "127.0.0.1:2", "outbound": "127.0.0.1:3"}))
    loaded, findings = check_configuration(path)
    assert loaded is not None
    assert not loaded.settings.is_entry
    assert findings[0].state == OK


def test_a_port_is_free_or_in_use_by_the_program_itself_or_by_somebody_else() -> None:
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        settings = gateway_settings(listen=f"127.0.0.1:{port}", admin="127.0.0.1:0")
        taken, free = check_ports(settings, frozenset())
        assert (taken.state, taken.subject) == (FAILED, f"listen 127.0.0.1:{port}")
        assert f":{port}" in taken.hint
        assert free.state == OK
        own, _ = check_ports(settings, frozenset([f"127.0.0.1:{port}"]))
        assert (own.state, own.message) == (OK, "in use by the running program")
    assert [found.state for found in check_ports(settings, frozenset())] == [OK, OK]


def test_an_address_that_is_not_this_machines() -> None:
    settings = sidecar_settings(inbound="192.0.2.1:80")
    [found] = [found for found in check_ports(settings, frozenset()) if found.subject.startswith("inbound")]
    assert found.state == FAILED


@pytest.mark.parametrize(
    ("now", "state"),
    [("2026-01-01", OK), ("2026-06-20", WARNING), ("2026-07-01", FAILED)],
)
def test_a_certificate_is_warned_of_before_it_expires(tmp_path: Path, now: str, state: str) -> None:
    made = trustme.CA().issue_cert("shop.example", not_after=datetime(2026, 6, 30, tzinfo=UTC))
    (tmp_path / "cert.pem").write_bytes(made.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(made.private_key_pem.bytes())
    files = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    settings = gateway_settings(tls={"certificates": [files]})
    [found] = check_certificates(settings, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (found.state, found.subject) == (state, files["cert"])
    (tmp_path / "key.pem").unlink()
    [found] = check_certificates(settings, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (found.state, found.subject) == (FAILED, files["key"])


def test_without_tls_there_are_no_certificates() -> None:
    assert list(check_certificates(gateway_settings(), datetime.now(UTC))) == []


@pytest.mark.parametrize(("hard", "state"), [(resource.RLIM_INFINITY, OK), (14_160, OK), (14_159, WARNING)])
def test_file_descriptors_for_every_connection(monkeypatch: pytest.MonkeyPatch, hard: int, state: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    assert check_descriptors(gateway_settings()).state == state
