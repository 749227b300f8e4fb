"""From the objects of a cluster to the routes that they describe, and to what each object's status is to say. Pure.

Bad objects never keep good ones from being served: what is wrong with one is said in its own status.

https://gateway-api.sigs.k8s.io/reference/spec/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.gatewayapi.conditions import Condition, summary
from gateway.gatewayapi.listeners import Attachment, JudgedListener, attach, judge, own_hosts
from gateway.gatewayapi.objects import GROUP, Gateway, GatewayClass, HTTPRoute, ParentRef
from gateway.gatewayapi.rules import RuleResult, precedence, read_rule
from gateway.gatewayapi.world import Here, World
from gateway.routing.plans import NO_ROUTES, RoutePlan, RouteSet

FEATURES: Final = (
    "Gateway",
    "GatewayHTTPListenerIsolation",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ReferenceGrant",
)
"""What the status of our GatewayClasses names, in its order."""


@dataclass(frozen=True, slots=True)
class ListenerReport:
    """What the status says of one listener."""

    judged: JudgedListener
    attached: int


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """What the status of the Gateway says."""

    gateway: Gateway
    conditions: Sequence[Condition]
    listeners: Sequence[ListenerReport]


@dataclass(frozen=True, slots=True)
class RouteReport:
    """What the status of a route says, for each of its references to our Gateway."""

    route: HTTPRoute
    parents: Sequence[tuple[ParentRef, Sequence[Condition]]]


@dataclass(frozen=True, slots=True)
class Translation:
    """Routes, and reports."""

    routes: RouteSet = NO_ROUTES
    classes: Sequence[tuple[GatewayClass, Sequence[Condition]]] = ()
    gateway: GatewayReport | None = None
    reports: Sequence[RouteReport] = ()


class Memory:
    """What the rules of each route came to: it is read again only if the route has changed, or something that all refer to."""

    def __init__(self) -> None:
        self._around: tuple[object, ...] = ()
        self._known: dict[str, tuple[HTTPRoute, list[RuleResult]]] = {}

    def begin(self, world: World, port: int) -> None:
        """Forgets everything if the Services, the grants or the port are others than before, and routes that are gone."""
        around = (dict(world.services), list(world.grants), port)
        uids = {route.meta.uid for route in world.routes}
        self._known = {uid: kept for uid, kept in self._known.items() if uid in uids} if around == self._around else {}
        self._around = around

    def rules_of(self, route: HTTPRoute, world: World, here: Here, port: int) -> list[RuleResult]:
        """The results of a route's rules."""
        known, results = self._known.get(route.meta.uid, (None, []))
        if known is not route:
            results = [read_rule(route, number, world, here, port) for number in range(len(route.rules))]
            self._known[route.meta.uid] = route, results
        return results


def translate(world: World, here: Here, memory: Memory | None = None) -> Translation:
    """Translates. The routes of a Gateway that is not ours, or is not there, are none. `memory` is of earlier translations."""
    classes = [(item, [_class_condition(item)]) for item in world.own_classes]
    gateway = world.own_gateway
    if gateway is None:
        return Translation(NO_ROUTES, classes)
    listeners = judge(gateway)
    served = {item.listener.name: item.listener for item in listeners if not item.reason and item.takes_routes}
    port = next((listener.port for listener in served.values()), 0)
    memory = memory or Memory()
    memory.begin(world, port)
    attached: Counter[str] = Counter()
    ordered: list[tuple[tuple[Any, ...], RoutePlan]] = []
    reports = []
    for route in world.routes:
        refs = [ref for ref in route.parents if _is_ours(ref, gateway)]
        parents = []
        hosts: dict[str, None] = {}
        results = memory.rules_of(route, world, here, port) if refs else []
        for ref in refs:
            attachment = attach(route, ref, gateway, listeners, world.namespaces)
            conditions = _route_conditions(attachment, results)
            parents.append((ref, conditions))
            if conditions[0].holds:
                attached.update(attachment.hosts.keys())
                for name, listener in served.items():
                    hosts.update(dict.fromkeys(own_hosts(listener, attachment.hosts.get(name, ()), served.values())))
        ordered += _ordered(route, results, list(hosts))
        reports.append(RouteReport(route, parents))
    ordered.sort(key=lambda item: item[0])
    bounds = dict.fromkeys(listener.hostname for listener in served.values() if listener.hostname)
    routes = RouteSet(tuple(plan for _, plan in ordered), tuple(bounds))
    return Translation(routes, classes, _report(gateway, listeners, attached, here), reports)


def _class_condition(item: GatewayClass) -> Condition:
    if item.has_parameters:
        return Condition("Accepted", False, "InvalidParameters", "there are no parameters (parametersRef)")
    return Condition("Accepted", True, "Accepted")


def _report(gateway: Gateway, listeners: Sequence[JudgedListener], attached: Counter[str], here: Here) -> GatewayReport:
    served = [item for item in listeners if not item.reason]
    message = summary([f"listener {item.listener.name}: {item.message}" for item in listeners if item.reason])
    asked = [address for address in gateway.addresses if address[1] and address not in here.addresses]
    accepted = Condition("Accepted", True, "Accepted")
    if asked:
        message = f"the gateway does not have the address {asked[0][1]}"
        accepted = Condition("Accepted", False, "UnsupportedAddress", message)
    elif message:
        accepted = Condition("Accepted", bool(served), "ListenersNotValid", message)
    programmed = Condition("Programmed", True, "Programmed")
    if not accepted.holds:
        programmed = Condition("Programmed", False, "Invalid", message)
    return GatewayReport(
        gateway, [accepted, programmed], [ListenerReport(item, attached[item.listener.name]) for item in listeners]
    )


def _is_ours(ref: ParentRef, gateway: Gateway) -> bool:
    meta = gateway.meta
    return (ref.kind, ref.namespace, ref.name) == ((GROUP, "Gateway"), meta.namespace, meta.name)


def _route_conditions(attachment: Attachment, results: Sequence[RuleResult]) -> list[Condition]:
    """Accepted first. Rules that are not supported are dropped, as long as one is left."""
    dropped = {number: result.error for number, result in enumerate(results) if result.error is not None}
    refs = [ref for result in results for ref in result.refs]
    resolved = Condition("ResolvedRefs", True, "ResolvedRefs")
    if refs:
        resolved = Condition("ResolvedRefs", False, refs[0].reason, summary([ref.message for ref in refs]))
    why = summary([f"rule {number}: {error}" for number, error in dropped.items()])
    if not attachment.hosts:
        return [Condition("Accepted", False, attachment.reason, attachment.message), resolved]
    if dropped and len(dropped) == len(results):
        first = next(iter(dropped.values()))
        return [Condition("Accepted", False, first.reason, why), resolved]
    accepted = Condition("Accepted", True, "Accepted")
    if dropped:
        first = next(iter(dropped.values()))
        return [accepted, resolved, Condition("PartiallyInvalid", True, first.reason, f"Dropped Rule(s): {why}")]
    return [accepted, resolved]


def _ordered(
    route: HTTPRoute, results: Sequence[RuleResult], hosts: Sequence[str]
) -> list[tuple[tuple[Any, ...], RoutePlan]]:
    return [
        (precedence(plan, route, rule, match), replace(plan, host=host))
        for rule, result in enumerate(results)
        for match, plan in enumerate(result.plans)
        for host in hosts
    ]
