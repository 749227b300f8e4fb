"""Objects of the Gateway API for tests, and the definitions of these kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.demo.registries import servers_folder

VERSION = "1.6.3"
DEFINITIONS = servers_folder().parent / f"gateway-api-{VERSION}.yaml"
CONTROLLER = "gray-gateway.io/gateway"

needs_gateway_api = pytest.mark.skipif(
    not DEFINITIONS.is_file(),
    reason="no Gateway API is there (`make servers`): this is NOT tested against its definitions",
)


def definitions() -> Path:
    """The file of all kinds, to be applied."""
    return DEFINITIONS


def a_class(name: str = "gray", controller: str = CONTROLLER) -> dict[str, Any]:
    return {**_head("GatewayClass", name), "spec": {"controllerName": controller}}


def a_gateway(name: str = "shop", *listeners: dict[str, Any], class_name: str = "gray") -> dict[str, Any]:
    chosen = list(listeners) or [listener()]
    return {**_head("Gateway", name), "spec": {"gatewayClassName": class_name, "listeners": chosen}}


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **more: Any) -> dict[str, Any]:
    return {"name": name, "port": port, "protocol": protocol, **more}


def a_route(name: str, *rules: dict[str, Any], gateway: str = "shop", **spec: Any) -> dict[str, Any]:
    return {**_head("HTTPRoute", name), "spec": {"parentRefs": [{"name": gateway}], **spec, "rules": list(rules)}}


def backend(name: str, weight: int | None = None, port: int = 80, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": port, **({} if weight is None else {"weight": weight}), **more}


def to(*backends: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A rule."""
    return {"backendRefs": list(backends), **more}


def with_header(name: str, value: str, **more: Any) -> dict[str, Any]:
    """A match."""
    return {"headers": [{"name": name, "value": value}], **more}


def _head(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": {"name": name}}


def placed(item: dict[str, Any], namespace: str = "shop", **metadata: Any) -> dict[str, Any]:
    """An object as the API server has it."""
    name = item["metadata"]["name"]
    own = {"uid": f"uid-{item['kind']}-{namespace}-{name}", "generation": 1, "resourceVersion": "7"}
    space = {} if item["kind"] == "GatewayClass" else {"namespace": namespace}
    created = {"creationTimestamp": "2026-11-01T00:00:00Z"}
    return {**item, "metadata": {**item["metadata"], **space, **own, **created, **metadata}}


def a_service(name: str, *ports: dict[str, Any], kind: str = "ClusterIP", **labels: str) -> dict[str, Any]:
    """A Service as the API server has it. `selector` is its selector."""
    chosen = list(ports) or [{"port": 80, "protocol": "TCP"}]
    item = {"kind": "Service", "metadata": {"name": name, "labels": labels}, "spec": {"type": kind, "ports": chosen}}
    return placed(item)


def a_grant(namespace: str, of: str, name: str | None = None) -> dict[str, Any]:
    """Lets HTTPRoutes of a namespace use Services of another one."""
    source = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": of}
    target = {"group": "", "kind": "Service", **({} if name is None else {"name": name})}
    return placed({**_head("ReferenceGrant", "grant"), "spec": {"from": [source], "to": [target]}}, namespace)
