"""Settings, builds and configurations of either role, without the role."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.app.build import Build
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet
from gateway.settings.gateway import GatewaySettings
from gateway.settings.sidecar import SidecarSettings
from gateway.yaml.writing import write_yaml

GATEWAY: dict[str, Any] = {
    "listen": "127.0.0.1:0",
    "admin": "127.0.0.1:0",
    "registry": {"kind": "static", "services": {"a": [{"address": "127.0.0.1:1"}]}},
    "routes": [{"path": "/A", "service": "a"}],
}
SIDECAR: dict[str, Any] = {
    "service": "b",
    "app": "127.0.0.1:1",
    "inbound": "127.0.0.1:0",
    "outbound": "127.0.0.1:0",
    "admin": "127.0.0.1:0",
    "registry": {"kind": "static", "services": {}},
}
_LANE = {"tag": "gray", "match": [{"param": "a", "equals": "b"}]}
GROUPS = [
    LaneGroup.model_validate(
        {"name": "g", "services": ["a"], "entry": ["shop"], "lanes": [{"name": "entry", **_LANE}]}
    ),
    LaneGroup.model_validate({"name": "h", "services": ["a"], "entry": ["b"], "lanes": [{"name": "sidecar", **_LANE}]}),
]
"""A lane of the gateway that is called `shop`, and one of the sidecars of service `b`."""


def gateway_settings(**values: Any) -> GatewaySettings:
    """Those of an entry gateway."""
    return GatewaySettings.model_validate({**GATEWAY, **values})


def sidecar_settings(**values: Any) -> SidecarSettings:
    """Those of a sidecar of service b."""
    return SidecarSettings.model_validate({**SIDECAR, **values})


def gateway_build(rules: RuleSet | None = None, **values: Any) -> Build[GatewaySettings]:
    """A build for an entry gateway."""
    return Build.of(gateway_settings(**values), rules or RuleSet())


def lanes(*tags: str, expires: str | None = None) -> str:
    """A file of rules with a lane for each tag, which may expire."""
    extra = {} if expires is None else {"expires": expires}
    items = [{"name": tag, "tag": tag, "match": [{"param": "group", "equals": tag}], **extra} for tag in tags]
    return write_yaml({"lane_groups": [{"name": "demo", "services": ["a"], "lanes": items}]})


def put_gateway(folder: Path, text: str = "lane_groups: []\n", **values: Any) -> Path:
    """The files of an entry gateway; returns its configuration."""
    (folder / "rules.yaml").write_text(text)
    path = folder / "gateway.yaml"
    path.write_text(write_yaml({**GATEWAY, "rules": "rules.yaml", **values}))
    return path
