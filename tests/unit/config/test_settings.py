"""Files that a configuration names are beside it, wherever the program is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_gateway
from gateway.config.settings import read_config
from gateway.errors import ConfigError
from gateway.settings import ConsulRegistrySettings, EmbeddedRegistrySettings
from gateway.settings.gateway import GatewaySettings

CONFIG = """\
state: var
access_log: {path: access.log}
registries:
  own: {kind: embedded, data: data}
  consul: {kind: consul, scheme: https, ca: consul.pem}
services: {a: {tls: {ca: a.pem}}}
tls: {certificates: [{cert: cert.pem, key: sub/key.pem}]}
jwt: {keys: [{file: /etc/jwks.json}]}
rules: [../rules, lanes.yaml]
"""


def read(tmp_path: Path, text: str, *overrides: str) -> GatewaySettings:
    path = tmp_path / "config" / "gateway.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    settings = read_config(GatewaySettings, path, overrides, {}, {}).settings
    assert settings is not None
    return settings


def test_files_are_relative_to_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = read(tmp_path, CONFIG)
    folder = tmp_path / "config"
    own, consul = settings.registries["own"], settings.registries["consul"]
    assert isinstance(own, EmbeddedRegistrySettings)
    assert isinstance(consul, ConsulRegistrySettings)
    assert settings.tls is not None
    assert settings.jwt is not None
    assert settings.access_log is not None
    found: list[Any] = [
        settings.state,
        settings.access_log.path,
        own.data,
        *consul.tls_files,
        settings.services["a"].tls and settings.services["a"].tls.ca,
        settings.tls.certificates[0].cert,
        settings.tls.certificates[0].key,
        settings.jwt.keys[0].file,
    ]
    names = ["var", "access.log", "data", "consul.pem", "a.pem", "cert.pem", "sub/key.pem"]
    wanted = [folder / name if name == "data" else str(folder / name) for name in names]
    assert found == [*wanted, "/etc/jwks.json"]


def test_a_kubeconfig_is_beside_the_configuration_and_read_when_that_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("registry: {kind: kubernetes, kubeconfig: kube.yaml}\n")
    with pytest.raises(ConfigError) as error:
        load_gateway(path, (), {})
    missing = tmp_path / "kube.yaml"
    assert str(error.value) == (
        f"{path}:1:42: registry.kubeconfig: {missing}:1:1: cannot read the file: No such file or directory"
    )
    missing.write_text("current-context: none\ncontexts: []\n")
    with pytest.raises(ConfigError, match=r"kube\.yaml:2:11: there is no context 'none'"):
        load_gateway(path, (), {})


def test_rules_keep_the_names_that_they_are_given(tmp_path: Path) -> None:
    """They are what revisions of the history are called by."""
    assert read(tmp_path, CONFIG).rules == ["../rules", "lanes.yaml"]


def test_standard_output_is_no_file(tmp_path: Path) -> None:
    text = "registry: {kind: static}\naccess_log: {path: stdout}\n"
    log = read(tmp_path, text).access_log
    assert log is not None
    assert log.path == "stdout"


def test_a_file_that_the_command_line_names_is_beside_the_configuration_too(tmp_path: Path) -> None:
    settings = read(tmp_path, "registry: {kind: static}\n", "state=over")
    assert settings.state == str(tmp_path / "config" / "over")
