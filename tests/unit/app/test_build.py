"""A build has all that is needed to put a configuration in force: nothing is read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.app.build import Build
from gateway.errors import ConfigError
from gateway.rules.ruleset import RuleSet
from tests.support.roles import GROUPS, gateway_settings, sidecar_settings
from tests.support.rules import rule_set


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    ca = trustme.CA()
    issued = ca.issue_cert("shop.example")
    (tmp_path / "cert.pem").write_bytes(issued.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(issued.private_key_pem.bytes())
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return {name: str(tmp_path / f"{name}.pem") for name in ("cert", "key", "ca")}


def test_of_an_entry_gateway(files: dict[str, Any]) -> None:
    settings = gateway_settings(
        name="shop",
        tls={"certificates": [{"cert": files["cert"], "key": files["key"]}]},
        services={"a": {"tls": {"ca": files["ca"], "server_name": "a.example"}}, "c": {}},
        registry=None,
        registries={
            "far": {"kind": "consul", "scheme": "https", "ca": files["ca"]},
            "near": {"kind": "consul", "address": "127.0.0.1:1"},
        },
    )
    rules = rule_set(GROUPS)
    build = Build.of(settings, rules)
    assert build.settings is settings
    assert build.rules is rules
    assert [lane.name for lane in build.compiled.lanes] == ["entry"]
    route = build.routes.find("", "/A/x")
    assert route is not None
    assert route.service == "a"
    assert [certificate.names for certificate in build.certificates] == [("shop.example",)]
    assert {name: tls.server_name for name, tls in build.secured.services.items()} == {"a": "a.example"}
    assert list(build.registry_tls) == ["far"]


def test_of_a_sidecar() -> None:
    build = Build.of(sidecar_settings(), rule_set(GROUPS))
    assert [lane.name for lane in build.compiled.lanes] == ["sidecar"]
    assert build.routes.find("", "/A/x") is None
    assert (build.certificates, build.mesh, build.secured.is_used, build.registry_tls) == ([], None, False, {})


@pytest.mark.parametrize("gone", ["cert", "key", "ca"])
def test_a_file_that_is_being_changed_is_a_problem_of_the_configuration(files: dict[str, Any], gone: str) -> None:
    """It could be read when the configuration was checked a moment ago."""
    settings = gateway_settings(
        tls={"certificates": [{"cert": files["cert"], "key": files["key"]}]},
        services={"a": {"tls": {"ca": files["ca"]}}},
    )
    Path(files[gone]).unlink()
    with pytest.raises(ConfigError, match=rf"^configuration: .*{gone}\.pem"):
        Build.of(settings, RuleSet())
