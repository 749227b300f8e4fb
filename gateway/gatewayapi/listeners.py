"""What becomes of a Gateway's listeners, and which routes attach to which of them. Pure.

https://gateway-api.sigs.k8s.io/concepts/api-overview/#route-summary-table
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.gatewayapi.conditions import Condition
from gateway.gatewayapi.objects import GROUP, Gateway, HTTPRoute, Listener, Namespace, ParentRef
from gateway.kubernetes.client import Object

HTTP_ROUTE: Final = (GROUP, "HTTPRoute")


@dataclass(frozen=True, slots=True)
class JudgedListener:
    """A listener, and what is wrong with it: `reason` is the API's word, empty if it is served.

    `takes_routes`: whether HTTPRoutes attach to it, be it served or not. `bad_ref` is a reason and a message, if it refers to
    something that is not there for us.
    """

    listener: Listener
    takes_routes: bool
    reason: str = ""
    message: str = ""
    bad_ref: tuple[str, str] | None = None

    def conditions(self) -> list[Condition]:
        """What the status says of it."""
        accepted = Condition("Accepted", not self.reason, self.reason or "Accepted", self.message)
        resolved, programmed = (
            Condition("ResolvedRefs", True, "ResolvedRefs"),
            Condition("Programmed", True, "Programmed"),
        )
        if self.bad_ref is not None:
            resolved = Condition("ResolvedRefs", False, *self.bad_ref)
        if self.reason or not self.takes_routes:
            programmed = Condition("Programmed", False, "Invalid", self.message or resolved.message)
        return [accepted, programmed, resolved, Condition("Conflicted", False, "NoConflicts")]

    def supported_kinds(self) -> list[Object]:
        """The kinds of routes that can attach."""
        return [{"group": GROUP, "kind": "HTTPRoute"}] if self.takes_routes else []


def judge(gateway: Gateway) -> list[JudgedListener]:
    """The listeners of a Gateway: served are those for plain HTTP, all on one port."""
    port = next((listener.port for listener in gateway.listeners if listener.protocol == "HTTP"), 0)
    return [_judge(listener, port) for listener in gateway.listeners]


def _judge(listener: Listener, port: int) -> JudgedListener:
    if listener.protocol not in ("HTTP", "HTTPS"):
        message = f"only HTTP is served, not {listener.protocol}"
        return JudgedListener(listener, False, "UnsupportedProtocol", message)
    kinds = listener.kinds if listener.kinds is not None else (HTTP_ROUTE,)
    bad = [name for kind, name in kinds if (kind, name) != HTTP_ROUTE]
    judged = JudgedListener(listener, HTTP_ROUTE in kinds)
    if bad:
        judged = replace(judged, bad_ref=("InvalidRouteKinds", f"only HTTPRoute is served, not {', '.join(bad)}"))
    if listener.protocol == "HTTPS":
        message = "certificates in Secrets are not read: end TLS in front of the gateway"
        bad_ref = judged.bad_ref or ("InvalidCertificateRef", message)
        return replace(judged, reason="UnsupportedProtocol", message=message, bad_ref=bad_ref)
    if listener.port != port:
        message = f"all listeners have one port, and the first one has {port}"
        return replace(judged, reason="PortUnavailable", message=message)
    return judged


@dataclass(frozen=True, slots=True)
class Attachment:
    """How one parent reference of a route fared: the listeners it attaches to, each with the hosts; or why it does not."""

    hosts: Mapping[str, tuple[str, ...]]
    """By listener's name."""
    reason: str = "Accepted"
    message: str = ""


def attach(
    route: HTTPRoute,
    ref: ParentRef,
    gateway: Gateway,
    listeners: Sequence[JudgedListener],
    namespaces: Mapping[str, Namespace],
) -> Attachment:
    """Attaches a route to the listeners that a reference means."""
    named = [
        item for item in listeners if ref.section in ("", item.listener.name) and ref.port in (0, item.listener.port)
    ]
    if not named:
        wanted = ref.section or f"port {ref.port}"
        return Attachment({}, "NoMatchingParent", f"Gateway {gateway.meta} has no listener {wanted}")
    allowed = [
        item
        for item in named
        if item.takes_routes and _allows(item.listener, gateway, route.meta.namespace, namespaces)
    ]
    if not allowed:
        names = ", ".join(item.listener.name for item in named)
        what = f"HTTPRoutes of namespace {route.meta.namespace}"
        return Attachment({}, "NotAllowedByListeners", f"{what} are not allowed by listener {names}")
    # Whether a listener is served does not matter here: so the API has it.
    hosts = {item.listener.name: common_hosts(item.listener.hostname, route.hostnames) for item in allowed}
    hosts = {name: found for name, found in hosts.items() if found}
    if not hosts:
        names = ", ".join(item.listener.hostname for item in allowed)
        return Attachment({}, "NoMatchingListenerHostname", f"none of the route's hostnames is one of {names}")
    return Attachment(hosts)


def common_hosts(listener: str, route: Sequence[str]) -> tuple[str, ...]:
    """The hosts of a route that a listener takes; an empty text is any host. Both may have a wildcard as first label."""
    if not route:
        return (listener,)
    found = (_common(listener, host) for host in route)
    return tuple(dict.fromkeys(host for host in found if host is not None))


def own_hosts(listener: Listener, hosts: Iterable[str], others: Iterable[Listener]) -> list[str]:
    """Of hosts of a route that is attached to a listener, those for which no other listener is closer to the request."""
    closer = [
        other.hostname
        for other in others
        if other.hostname != listener.hostname and _common(listener.hostname, other.hostname) == other.hostname
    ]
    return [host for host in hosts if all(_common(name, host) != host for name in closer if name)]


def _common(one: str, other: str) -> str | None:
    if not one or one == other:
        return other
    for wide, narrow in ((one, other), (other, one)):
        if wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:]):
            return narrow
    return None


def _allows(listener: Listener, gateway: Gateway, namespace: str, namespaces: Mapping[str, Namespace]) -> bool:
    if listener.routes_from == "All":
        return True
    if listener.routes_from == "Same":
        return namespace == gateway.meta.namespace
    if listener.routes_from != "Selector":
        return False
    found = namespaces.get(namespace)
    return found is not None and selects(listener.selector, found.labels)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (meta/v1) selects something with these labels; an empty one selects everything."""
    wanted, expressions = selector.get("matchLabels"), selector.get("matchExpressions")
    if isinstance(wanted, dict) and any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(item, labels) for item in expressions or () if isinstance(item, dict))


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(str(expression.get("key"))), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
