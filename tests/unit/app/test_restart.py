"""Which changed settings only a restart applies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.app.restart import HOT, warn_of_restart
from tests.support.roles import gateway_settings, sidecar_settings

CERTIFICATES = {"certificates": [{"cert": "a", "key": "b"}]}
STATIC = {"kind": "static", "services": {}}
NACOS = {"kind": "nacos", "address": "127.0.0.1:8848"}


MESH = {"cert": "a", "key": "b", "ca": "c", "identity": "{service}.mesh"}


def several(**registries: Any) -> dict[str, Any]:
    return {"registry": None, "registries": registries}


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ({}, {}, ""),
        ({}, {"routes": [], "rules": ["x"], "services": {"a": {}}, "name": "shop"}, ""),
        ({}, {"timeouts": {"response": 1}, "retries": {"attempts": 1}, "balancing": {"policy": "least_request"}}, ""),
        ({}, {"admin": "127.0.0.1:1"}, "admin"),
        ({}, {"limits": {"in_flight": 1}, "timeouts": {"head": 1}}, "limits"),
        ({}, {"admin_token": "sixteen-letters!", "workers": 2}, "admin_token, workers"),
        ({}, {"registry": STATIC}, ""),
        ({}, {"registry": NACOS}, "registry"),
        ({"registry": NACOS}, {"registry": {**NACOS, "interval": 5}}, "registry"),
        (several(a=STATIC), several(a={**STATIC, "services": {"a": [{"address": "127.0.0.1:1"}]}}), ""),
        (several(a=STATIC, b=NACOS), several(b=NACOS, a=STATIC), "registry"),
        (several(a=STATIC), several(a=STATIC, b=NACOS), "registry"),
        ({"tls": CERTIFICATES}, {"tls": {"certificates": [{"cert": "c", "key": "d"}]}}, ""),
        ({"tls": CERTIFICATES}, {"tls": {**CERTIFICATES, "minimum": "1.3"}}, "tls"),
        ({}, {"tls": CERTIFICATES}, "tls"),
        ({"tls": CERTIFICATES}, {}, "tls"),
        ({}, {"carriers": {"keys": "keys", "signing": "permissive", "lifetime": 300}}, ""),
        ({}, {"carriers": {"header": "x-lane"}}, "carriers"),
        ({"carriers": {"ids": ["b3"]}}, {"carriers": {"keys": "keys"}}, "carriers"),
    ],
)
def test_of_an_entry_gateway(
    before: dict[str, Any], after: dict[str, Any], names: str, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_restart(gateway_settings(**before), gateway_settings(**after))
    expected = [f"restart to apply: {names}"] if names else []
    assert [record.getMessage() for record in caplog.records] == expected


def test_of_a_sidecar(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_restart(sidecar_settings(), sidecar_settings(tag="gray", services={"a": {}}))
    assert [record.getMessage() for record in caplog.records] == ["restart to apply: tag"]


def test_whether_there_is_a_mesh_is_registered_and_the_rest_of_it_applies_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_of_restart(sidecar_settings(mesh=MESH), sidecar_settings(mesh={**MESH, "inbound": "permissive", "key": "d"}))
    assert not caplog.records
    warn_of_restart(sidecar_settings(), sidecar_settings(mesh=MESH))
    warn_of_restart(gateway_settings(mesh=MESH), gateway_settings())
    assert [record.getMessage() for record in caplog.records] == ["restart to apply: mesh"] * 2


def test_the_documentation_names_what_applies_at_once() -> None:
    text = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    [paragraph] = re.findall(r"- \*\*Applied at once\*\*: (.*?)\n- ", text, re.DOTALL)
    assert set(re.findall(r"`([a-z_]+)`", paragraph)) == HOT | {"tls", "carriers", "mesh"}
