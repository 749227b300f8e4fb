"""Objects of the Gateway API as far as they count here, read from what the API server sends.

The API server has checked them against their definitions. What is of another form all the same (another version of these) is
read as if it were not there.

https://gateway-api.sigs.k8s.io/reference/spec/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.kubernetes.client import Object
from gateway.kubernetes.collection import labels_of

GROUP: Final = "gateway.networking.k8s.io"


@dataclass(frozen=True, slots=True)
class Meta:
    """What all objects have. `version` is their resource version, `created` RFC 3339, as text."""

    namespace: str
    name: str
    uid: str = ""
    generation: int = 0
    created: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class GatewayClass:
    """A GatewayClass."""

    meta: Meta
    controller: str
    has_parameters: bool = False
    status: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listener:
    """One listener of a Gateway. `kinds` are the allowed kinds of routes as (group, kind), None if nothing is said.

    `routes_from` is `Same`, `All`, `Selector` or `None`; `selector` what a namespace's labels must be then.
    """

    name: str
    port: int
    protocol: str
    hostname: str = ""
    kinds: tuple[tuple[str, str], ...] | None = None
    routes_from: str = "Same"
    selector: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway."""

    meta: Meta
    class_name: str
    listeners: tuple[Listener, ...]
    addresses: tuple[tuple[str, str], ...] = ()
    """What it asks for: types and values."""
    status: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParentRef:
    """What a route wants to be attached to. `written` is how it is written, as the status repeats it."""

    kind: tuple[str, str]
    namespace: str
    name: str
    section: str
    port: int
    written: Object


@dataclass(frozen=True, slots=True)
class HTTPRoute:
    """An HTTPRoute. Its rules are read by `rules.py`."""

    meta: Meta
    parents: tuple[ParentRef, ...]
    hostnames: tuple[str, ...]
    rules: tuple[Object, ...]
    status: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grant:
    """A ReferenceGrant: references `sources` (group, kind, namespace) may lead to `targets` (group, kind, name or all)."""

    namespace: str
    sources: frozenset[tuple[str, str, str]]
    targets: frozenset[tuple[str, str, str]]

    def allows(self, source: tuple[str, str, str], target: tuple[str, str, str]) -> bool:
        """Whether a reference may lead from an object to one of the grant's namespace."""
        return source in self.sources and bool({target, (*target[:2], "")} & self.targets)


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service."""

    name: str
    protocol: str
    application: str
    """`appProtocol`, empty if nothing is said."""


@dataclass(frozen=True, slots=True)
class Service:
    """A Service, with its ports by number."""

    namespace: str
    name: str
    kind: str
    ports: Mapping[int, ServicePort]
    marks: Mapping[str, str]
    """Its annotations, labels and selector; of those with the same key, the first of these."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace's labels."""

    name: str
    labels: Mapping[str, str]


def read_class(item: Object) -> GatewayClass:
    """A GatewayClass."""
    spec = _dict(item.get("spec"))
    return GatewayClass(
        _meta(item), _text(spec.get("controllerName")), bool(spec.get("parametersRef")), _dict(item.get("status"))
    )


def read_gateway(item: Object) -> Gateway:
    """A Gateway."""
    spec = _dict(item.get("spec"))
    addresses = [(_text(entry.get("type")), _text(entry.get("value"))) for entry in _dicts(spec.get("addresses"))]
    return Gateway(
        _meta(item),
        _text(spec.get("gatewayClassName")),
        tuple(_listener(entry) for entry in _dicts(spec.get("listeners"))),
        tuple(addresses),
        _dict(item.get("status")),
    )


def read_route(item: Object) -> HTTPRoute:
    """An HTTPRoute."""
    meta, spec = _meta(item), _dict(item.get("spec"))
    return HTTPRoute(
        meta,
        tuple(_parent(entry, meta.namespace) for entry in _dicts(spec.get("parentRefs"))),
        tuple(name.lower() for name in spec.get("hostnames") or () if isinstance(name, str)),
        tuple(_dicts(spec.get("rules"))),
        _dict(item.get("status")),
    )


def read_grant(item: Object) -> Grant:
    """A ReferenceGrant."""
    spec = _dict(item.get("spec"))
    return Grant(
        _meta(item).namespace,
        frozenset(
            (_text(entry.get("group")), _text(entry.get("kind")), _text(entry.get("namespace")))
            for entry in _dicts(spec.get("from"))
        ),
        frozenset(
            (_text(entry.get("group")), _text(entry.get("kind")), _text(entry.get("name")))
            for entry in _dicts(spec.get("to"))
        ),
    )


def read_service(item: Object) -> Service:
    """A Service."""
    meta, spec = _meta(item), _dict(item.get("spec"))
    annotations = _dict(_dict(item.get("metadata")).get("annotations"))
    ports = {
        number: ServicePort(
            _text(entry.get("name")), _text(entry.get("protocol")) or "TCP", _text(entry.get("appProtocol"))
        )
        for entry in _dicts(spec.get("ports"))
        if isinstance(number := entry.get("port"), int)
    }
    marks = {**_texts(spec.get("selector")), **labels_of(item), **_texts(annotations)}
    return Service(meta.namespace, meta.name, _text(spec.get("type")), ports, marks)


def read_namespace(item: Object) -> Namespace:
    """A namespace, from its metadata."""
    return Namespace(_meta(item).name, labels_of(item))


def _listener(entry: Object) -> Listener:
    allowed = _dict(entry.get("allowedRoutes"))
    namespaces = _dict(allowed.get("namespaces"))
    kinds = allowed.get("kinds")
    return Listener(
        _text(entry.get("name")),
        _number(entry.get("port")),
        _text(entry.get("protocol")),
        _text(entry.get("hostname")).lower(),
        None if not kinds else tuple((_group(kind), _text(kind.get("kind"))) for kind in _dicts(kinds)),
        _text(namespaces.get("from")) or "Same",
        _dict(namespaces.get("selector")),
    )


def _parent(entry: Object, namespace: str) -> ParentRef:
    return ParentRef(
        (_group(entry), _text(entry.get("kind")) or "Gateway"),
        _text(entry.get("namespace")) or namespace,
        _text(entry.get("name")),
        _text(entry.get("sectionName")),
        _number(entry.get("port")),
        entry,
    )


def _group(entry: Object) -> str:
    """A group that is not given is that of the Gateway API; the core group is given, as an empty text."""
    group = entry.get("group")
    return group if isinstance(group, str) else GROUP


def _meta(item: Object) -> Meta:
    metadata = _dict(item.get("metadata"))
    return Meta(
        _text(metadata.get("namespace")),
        _text(metadata.get("name")),
        _text(metadata.get("uid")),
        _number(metadata.get("generation")),
        _text(metadata.get("creationTimestamp")),
        _text(metadata.get("resourceVersion")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _dict(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> dict[str, str]:
    return {key: text for key, text in _dict(value).items() if isinstance(text, str)}
