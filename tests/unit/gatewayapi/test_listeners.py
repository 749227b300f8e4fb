"""Which listeners are served, and which routes attach to them with which hosts."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.gatewayapi.listeners import attach, common_hosts, judge, selects
from gateway.gatewayapi.objects import Namespace, read_gateway, read_route
from tests.support.gatewayapi import a_gateway, a_route, listener, placed, to


@pytest.mark.parametrize(
    ("of_listener", "of_route", "common"),
    [
        ("", [], ("",)),
        ("", ["a.example", "*.b.example"], ("a.example", "*.b.example")),
        ("a.example", [], ("a.example",)),
        ("a.example", ["a.example"], ("a.example",)),
        ("a.example", ["b.example"], ()),
        ("a.example", ["*.example"], ("a.example",)),
        ("*.example", ["a.example", "b.a.example", "example", "other"], ("a.example", "b.a.example")),
        ("*.example", ["*.example"], ("*.example",)),
        ("*.example", ["*.a.example"], ("*.a.example",)),
        ("*.a.example", ["*.example"], ("*.a.example",)),
        ("*.example", ["*.ample"], ()),
    ],
)
def test_common_hosts(of_listener: str, of_route: list[str], common: tuple[str, ...]) -> None:
    assert common_hosts(of_listener, of_route) == common


@pytest.mark.parametrize(
    ("given", "accepted", "programmed", "resolved"),
    [
        (listener(), "Accepted", True, "ResolvedRefs"),
        (listener(protocol="HTTPS", port=443), "UnsupportedProtocol", False, "InvalidCertificateRef"),
        (listener(protocol="TCP"), "UnsupportedProtocol", False, "ResolvedRefs"),
        (listener(allowedRoutes={"kinds": [{"kind": "GRPCRoute"}]}), "Accepted", False, "InvalidRouteKinds"),
        (
            listener(allowedRoutes={"kinds": [{"kind": "HTTPRoute"}, {"kind": "TCPRoute"}]}),
            "Accepted",
            True,
            "InvalidRouteKinds",
        ),
        (
            listener(allowedRoutes={"kinds": [{"group": "", "kind": "HTTPRoute"}]}),
            "Accepted",
            False,
            "InvalidRouteKinds",
        ),
    ],
)
def test_listeners_are_judged(given: dict[str, Any], accepted: str, programmed: bool, resolved: str) -> None:
    [judged] = judge(read_gateway(placed(a_gateway("shop", given))))
    conditions = {item.kind: item for item in judged.conditions()}
    assert (conditions["Accepted"].reason, conditions["Programmed"].holds) == (accepted, programmed)
    assert conditions["ResolvedRefs"].reason == resolved
    assert conditions["Conflicted"].holds is False
    kinds = [] if given["protocol"] == "TCP" or not judged.takes_routes else ["HTTPRoute"]
    assert [kind["kind"] for kind in judged.supported_kinds()] == kinds


def test_all_listeners_have_one_port() -> None:
    gateway = read_gateway(placed(a_gateway("shop", listener("one"), listener("two", 8080), listener("three"))))
    assert [item.reason for item in judge(gateway)] == ["", "PortUnavailable", ""]


SELECTOR = {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}


@pytest.mark.parametrize(
    ("of_listener", "ref", "namespace", "reason"),
    [
        ({}, {}, "shop", "Accepted"),
        ({}, {}, "bank", "NotAllowedByListeners"),
        ({"allowedRoutes": {"namespaces": {"from": "All"}}}, {}, "bank", "Accepted"),
        ({"allowedRoutes": {"namespaces": {"from": "None"}}}, {}, "shop", "NotAllowedByListeners"),
        ({"allowedRoutes": {"namespaces": SELECTOR}}, {}, "bank", "Accepted"),
        ({"allowedRoutes": {"namespaces": SELECTOR}}, {}, "shop", "NotAllowedByListeners"),
        ({"allowedRoutes": {"namespaces": SELECTOR}}, {}, "unheard-of", "NotAllowedByListeners"),
        ({"allowedRoutes": {"kinds": [{"kind": "GRPCRoute"}]}}, {}, "shop", "NotAllowedByListeners"),
        ({"hostname": "other.example"}, {}, "shop", "NoMatchingListenerHostname"),
        ({}, {"sectionName": "http"}, "shop", "Accepted"),
        ({}, {"sectionName": "https"}, "shop", "NoMatchingParent"),
        ({}, {"port": 80}, "shop", "Accepted"),
        ({}, {"port": 81}, "shop", "NoMatchingParent"),
        ({}, {"port": 81, "sectionName": "http"}, "shop", "NoMatchingParent"),
        ({"protocol": "HTTPS"}, {}, "shop", "Accepted"),
    ],
)
def test_routes_attach(of_listener: dict[str, Any], ref: dict[str, Any], namespace: str, reason: str) -> None:
    gateway = read_gateway(placed(a_gateway("shop", listener(**of_listener))))
    parent = {"name": "shop", "namespace": "shop", **ref}
    route = read_route(placed(a_route("a", to(), parentRefs=[parent], hostnames=["Shop.example"]), namespace))
    namespaces = {"bank": Namespace("bank", {"team": "shop"}), "shop": Namespace("shop", {})}
    found = attach(route, route.parents[0], gateway, judge(gateway), namespaces)
    assert found.reason == reason
    assert dict(found.hosts) == ({"http": ("shop.example",)} if reason == "Accepted" else {})
    assert bool(found.message) == (reason != "Accepted")


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"key": "team", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "team", "operator": "In", "values": ["b"]}, False),
        ({"key": "team", "operator": "NotIn", "values": ["b"]}, True),
        ({"key": "other", "operator": "NotIn", "values": ["b"]}, True),
        ({"key": "team", "operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "other", "operator": "DoesNotExist"}, True),
        ({"key": "team", "operator": "DoesNotExist"}, False),
        ({"key": "team", "operator": "Like"}, False),
    ],
)
def test_label_selectors(expression: dict[str, Any], selected: bool) -> None:
    assert selects({"matchExpressions": [expression]}, {"team": "a"}) is selected
    assert selects({}, {})
