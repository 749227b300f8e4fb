"""All objects that routes are made of, as they are at one moment, and what the gateway brings along itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.gatewayapi.objects import GROUP, Gateway, GatewayClass, Grant, HTTPRoute, Namespace, Service
from gateway.registry.tags import TagReader

CONTROLLER: Final = "gray-gateway.io/gateway"
"""The controller name of our GatewayClasses. Objects of others are none of our business."""


@dataclass(frozen=True, slots=True)
class Here:
    """What this gateway knows of itself: `gateway` and `namespace` name its Gateway object.

    Services of the namespace `services` are called by their name alone. `addresses` (type and value) are where clients reach
    it. `split_by` is the source and the name of what clients are told apart by. `sees_all`: whether it sees other namespaces
    than its own. `reserved` are header fields (lower-case) that no filter may change, beside those that none ever may.
    """

    gateway: str
    namespace: str
    services: str
    addresses: tuple[tuple[str, str], ...] = ()
    split_by: tuple[str, str] | None = None
    sees_all: bool = False
    reserved: frozenset[str] = frozenset()
    tags: TagReader = field(default_factory=TagReader)


@dataclass(frozen=True, slots=True)
class World:
    """The objects. `gateway` is the one that this program serves, None if there is none."""

    classes: Sequence[GatewayClass] = ()
    gateway: Gateway | None = None
    routes: Sequence[HTTPRoute] = ()
    grants: Sequence[Grant] = ()
    services: Mapping[tuple[str, str], Service] = field(default_factory=dict)
    namespaces: Mapping[str, Namespace] = field(default_factory=dict)

    @property
    def own_classes(self) -> list[GatewayClass]:
        """The classes that name us as their controller."""
        return [item for item in self.classes if item.controller == CONTROLLER]

    @property
    def own_gateway(self) -> Gateway | None:
        """The Gateway, if its class is one of ours: else somebody else serves it."""
        gateway = self.gateway
        if gateway is None or all(item.meta.name != gateway.class_name for item in self.own_classes):
            return None
        return gateway

    def allows(self, route: HTTPRoute, namespace: str, service: str) -> bool:
        """Whether a route may refer to a Service."""
        source = (GROUP, "HTTPRoute", route.meta.namespace)
        return namespace == route.meta.namespace or any(
            grant.namespace == namespace and grant.allows(source, ("", "Service", service)) for grant in self.grants
        )
