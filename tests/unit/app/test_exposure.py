"""What a start warns of: files, users and listeners that others could make use of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.app.exposure import exposures, warn_of_exposure, warn_of_registry
from gateway.settings.gateway import GatewaySettings
from gateway.settings.sidecar import SidecarSettings

SECRET = "sixteen-letters!"
CONFIG = {"listen": "0.0.0.0:8080", "registry": {"kind": "static"}}


def put(path: Path, content: str | bytes, mode: int) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def warned(folder: Path, mode: int = 0o644, **settings: Any) -> list[str]:
    """What is said of a configuration with these settings, whose file has this mode."""
    config = put(folder / "gateway.yaml", json.dumps(settings, default=str), mode)
    return list(exposures(GatewaySettings.model_validate({**CONFIG, **settings}), config))


def holds(file: Path) -> str:
    return f"{file} contains a secret, but users other than its owner can read or write it: chmod 600 {file}"


def test_a_plain_configuration_is_fine(tmp_path: Path) -> None:
    assert warned(tmp_path) == []
    assert warned(tmp_path, admin="127.0.0.1:9900") == []
    assert warned(tmp_path, admin="[::1]:9900", registry={"kind": "embedded", "listen": "localhost:8848"}) == []


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o622, 0o600, 0o400, 0o700])
def test_keys_are_their_owners_alone(tmp_path: Path, mode: int) -> None:
    issued = trustme.CA().issue_cert("shop.example")
    cert = put(tmp_path / "cert.pem", issued.cert_chain_pems[0].bytes(), 0o644)
    key = put(tmp_path / "key.pem", issued.private_key_pem.bytes(), mode)
    found = warned(tmp_path, tls={"certificates": [{"cert": str(cert), "key": str(key)}]})
    assert found == ([holds(key)] if mode & 0o066 else [])


def test_the_key_of_the_mesh_is_its_owner_s_alone(tmp_path: Path) -> None:
    key = put(tmp_path / "key.pem", "", 0o644)
    mesh = {"cert": "cert.pem", "key": str(key), "ca": "ca.pem", "identity": "{service}.mesh"}
    assert warned(tmp_path, mesh=mesh) == [holds(key)]


def test_a_group_that_is_how_we_read_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of Kubernetes belongs to root, and to the group of who runs here."""
    key = put(tmp_path / "hs.key", SECRET, 0o440)
    monkeypatch.setattr(os, "geteuid", lambda: key.stat().st_uid + 1)
    assert warned(tmp_path, jwt={"keys": [{"file": str(key), "algorithm": "HS256"}]}) == []
    key.chmod(0o444)
    assert warned(tmp_path, jwt={"keys": [{"file": str(key), "algorithm": "HS256"}]}) == [holds(key)]


@pytest.mark.parametrize(
    ("content", "algorithm", "is_secret"),
    [
        (SECRET, "HS256", True), ('{"kty": "oct", "k": "AAAA"}', None, True), ('{"keys": [{"kty": "RSA", "d": "AQ"}]}', None, True),
        ("-----BEGIN RSA PRIVATE KEY-----\n", "RS256", True), ("-----BEGIN PUBLIC KEY-----\n", "RS256", False),
        ('{"keys": [{"kty": "RSA", "n": "AQ", "e": "AQAB"}]}', None, False), ('{"keys": 3}', None, False), ("{", None, False),
    ],
)  # fmt: skip
def test_keys_that_only_verify_are_for_everybody(
    tmp_path: Path, content: str, algorithm: str | None, is_secret: bool
) -> None:
    key = put(tmp_path / "key", content, 0o644)
    found = warned(tmp_path, jwt={"keys": [{"file": str(key), "algorithm": algorithm}]})
    assert found == ([holds(key)] if is_secret else [])


@pytest.mark.parametrize(
    "settings",
    [
        {"admin_token": SECRET},
        {"sticky": {"secret": SECRET}},
        {"debug": {"secret": SECRET}},
        {"registry": {"kind": "nacos", "address": "127.0.0.1:1", "username": "u", "password": SECRET}},
        {"registry": {"kind": "consul", "token": SECRET}},
        {"rules": [{"nacos": "x", "address": "127.0.0.1:1", "token": SECRET}]},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_configuration_with_secrets_in_it_is_its_owners_alone(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gateway.yaml"
    assert warned(tmp_path, **settings) == [holds(config)]
    assert warned(tmp_path, 0o600, **settings) == []
    # From the environment it is not in the file.
    config.write_text(json.dumps(settings).replace(SECRET, "${TOKEN}"))
    config.chmod(0o644)
    assert list(exposures(GatewaySettings.model_validate({**CONFIG, **settings}), config)) == []


def test_listeners_that_ask_nobody_are_told(tmp_path: Path) -> None:
    [warning] = warned(tmp_path, admin="0.0.0.0:9900")
    assert warning == "anyone who can reach the admin API on 0.0.0.0:9900 can change lanes: set admin_token"
    assert warned(tmp_path, 0o600, admin="0.0.0.0:9900", admin_token=SECRET) == []
    [warning] = warned(tmp_path, registry={"kind": "embedded", "listen": "10.0.0.5:8848"})
    assert warning.startswith("the registry on 10.0.0.5:8848 has no users")
    sidecar = {**CONFIG, "service": "a", "app": "127.0.0.1:1", "inbound": "0.0.0.0:2", "outbound": "0.0.0.0:3"}
    del sidecar["listen"]
    [warning] = exposures(SidecarSettings.model_validate(sidecar), tmp_path / "nowhere")
    assert warning.startswith("outbound on 0.0.0.0:3 calls any service")
    sidecar |= {"outbound": "127.0.0.1:3", "admin": "10.0.0.5:9901"}
    [warning] = exposures(SidecarSettings.model_validate(sidecar), tmp_path / "nowhere")
    assert warning == "anyone who can reach the admin API on 10.0.0.5:9901 can see what it knows: set admin_token"
    closed = SidecarSettings.model_validate({**sidecar, "admin_token": SECRET})
    assert list(exposures(closed, tmp_path / "nowhere")) == []


def test_root_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for user, is_told in ((0, True), (65532, False)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        caplog.clear()
        warn_of_exposure(GatewaySettings.model_validate(CONFIG), tmp_path / "nowhere")
        assert ("running as root" in caplog.text) is is_told
        caplog.clear()
        warn_of_registry("127.0.0.1", "127.0.0.1:8848")
        assert ("running as root" in caplog.text) is is_told
        assert "has no users" not in caplog.text
        warn_of_registry("::", "[::]:8848")
        assert "has no users" in caplog.text
