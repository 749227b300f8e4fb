"""From objects to routes and to what each object's status says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.gatewayapi.objects import (
    read_class,
    read_gateway,
    read_grant,
    read_namespace,
    read_route,
    read_service,
)
from gateway.gatewayapi.translate import FEATURES, Memory, Translation, translate
from gateway.gatewayapi.world import Here, World
from gateway.routing.plans import BackendPlan, EditPlan, PathPlan, RedirectPlan, RoutePlan, ValuePlan
from tests.support.gatewayapi import (
    a_class,
    a_gateway,
    a_grant,
    a_route,
    a_service,
    backend,
    listener,
    placed,
    to,
    with_header,
)

HERE = Here("shop", "shop", "shop", reserved=frozenset({"x-gray-tag"}))
WIDE = Here("shop", "shop", "shop", sees_all=True)
SERVICES = (
    a_service("a"),
    a_service("a-canary", lane="gray"),
    a_service("external", kind="ExternalName"),
    a_service("ports", {"name": "http", "port": 80}, {"name": "web", "port": 81}, {"name": "dns", "port": 53, "protocol": "UDP"}),
    a_service("grpc", {"port": 80, "appProtocol": "kubernetes.io/h2c"}),
    a_service("mysql", {"port": 80, "appProtocol": "mysql"}),
    a_service("typo", lane="gr ay"),
    placed(a_service("theirs"), "bank"),
)  # fmt: skip


def world(
    *routes: dict[str, Any],
    gateway: dict[str, Any] | None = None,
    grants: Sequence[dict[str, Any]] = (),
    classes: Sequence[dict[str, Any]] | None = None,
) -> World:
    services = [read_service(item) for item in SERVICES]
    placed_routes = [item if "uid" in item["metadata"] else placed(item) for item in routes]
    return World(
        [read_class(placed(item)) for item in ([a_class()] if classes is None else classes)],
        read_gateway(placed(gateway or a_gateway())),
        [read_route(item) for item in placed_routes],
        [read_grant(item) for item in grants],
        {(item.namespace, item.name): item for item in services},
        {"shop": read_namespace(placed({"kind": "Namespace", "metadata": {"name": "shop"}}))},
    )


def plans(*rules: dict[str, Any], **spec: Any) -> tuple[RoutePlan, ...]:
    return translate(world(a_route("a", *rules, **spec)), HERE).routes.plans


def reasons(translation: Translation, index: int = 0) -> dict[str, tuple[bool, str]]:
    """What the status of a route says for its first parent."""
    _, conditions = translation.reports[index].parents[0]
    return {item.kind: (item.holds, item.reason) for item in conditions}


GOOD = {"Accepted": (True, "Accepted"), "ResolvedRefs": (True, "ResolvedRefs")}


def test_weights_and_a_header_match_as_rollouts_write_them() -> None:
    """The canary's tag is on its Service; the stable one has none."""
    found = plans(
        to(backend("a-canary"), matches=[with_header("X-Canary", "always", path={"value": "/A"})]),
        to(backend("a", 95), backend("a-canary", 5), matches=[{"path": {"type": "PathPrefix", "value": "/A/"}}]),
    )
    salt = "shop/a"
    assert found == (
        RoutePlan(
            source="shop/a[0]",
            path="/A",
            headers=(ValuePlan("x-canary", "always"),),
            backends=(BackendPlan("a-canary", 1, "gray"),),
            salt=salt,
        ),
        RoutePlan(
            source="shop/a[1]",
            path="/A",
            backends=(BackendPlan("a", 95), BackendPlan("a-canary", 5, "gray")),
            salt=salt,
        ),
    )


def test_a_rule_without_matches_takes_everything_and_each_match_is_a_plan_of_its_own() -> None:
    [whole] = plans(to(backend("a"), name="all"))
    assert (whole.source, whole.path, whole.is_exact, whole.method) == ("shop/a[all]", "/", False, "")
    two = plans(to(backend("a"), matches=[{"method": "PUT"}, {"path": {"type": "Exact", "value": "/x/"}}]))
    assert [(plan.method, plan.path, plan.is_exact) for plan in two] == [("PUT", "/", False), ("", "/x/", True)]


def test_of_several_matches_of_one_name_the_first_counts_and_case_does_not_for_headers() -> None:
    headers = [{"name": "A", "value": "1"}, {"name": "a", "value": "2", "type": "Exact"}]
    params = [{"name": "a", "value": "x.*", "type": "RegularExpression"}, {"name": "A", "value": "y"}]
    [plan] = plans(to(backend("a"), matches=[{"headers": headers, "queryParams": params}]))
    assert plan.headers == (ValuePlan("a", "1"),)
    assert plan.params == (ValuePlan("a", "x.*", is_pattern=True), ValuePlan("A", "y"))


def test_the_order_is_that_of_the_api() -> None:
    """Method, number of headers, of parameters; then the oldest route, by name, and the order of rules."""
    one, two = {"name": "a", "value": "1"}, {"name": "b", "value": "1"}
    young = placed(a_route("a-young", to(backend("a"), name="1")), creationTimestamp="2026-11-03T00:00:00Z")
    old = placed(a_route("old", to(backend("a"), name="2")), creationTimestamp="2026-11-02T00:00:00Z")
    same = placed(a_route("older", to(backend("a"), name="3")), creationTimestamp="2026-11-02T00:00:00Z")
    matches = a_route(
        "m",
        to(backend("a"), name="param", matches=[{"queryParams": [one]}]),
        to(backend("a"), name="headers", matches=[{"headers": [one, two]}]),
        to(backend("a"), name="header", matches=[{"headers": [one]}]),
        to(backend("a"), name="both", matches=[{"headers": [one], "queryParams": [one]}]),
        to(backend("a"), name="method", matches=[{"method": "GET"}]),
    )
    found = translate(world(young, same, old, matches), HERE).routes.plans
    assert [plan.source.partition("[")[2][:-1] for plan in found] == [
        "method", "headers", "both", "header", "param", "2", "3", "1",
    ]  # fmt: skip


def test_filters() -> None:
    edit = {"set": [{"name": "X-S", "value": "1"}], "add": [{"name": "X-A", "value": "2"}], "remove": ["x-r"]}
    rewrite = {"hostname": "inner.example", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}
    [plan] = plans(
        to(
            backend("a", filters=[{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-b"]}}]),
            filters=[
                {"type": "RequestHeaderModifier", "requestHeaderModifier": edit},
                {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x", "value": ""}]}},
                {"type": "URLRewrite", "urlRewrite": rewrite},
            ],
        )
    )
    assert plan.request == EditPlan((("X-S", "1"),), (("X-A", "2"),), ("x-r",))
    assert plan.response == EditPlan((("x", ""),))
    assert (plan.new_host, plan.new_path) == ("inner.example", PathPlan("/new", False))
    assert plan.backends == (BackendPlan("a", 1, request=EditPlan(remove=("x-b",))),)


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        ({}, RedirectPlan(302, port=8080)),
        ({"scheme": "https", "statusCode": 301}, RedirectPlan(301, scheme="https")),
        ({"scheme": "https", "port": 8443}, RedirectPlan(302, scheme="https", port=8443)),
        (
            {"hostname": "b.example", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}},
            RedirectPlan(302, host="b.example", port=8080, path=PathPlan("/x", True)),
        ),
    ],
)
def test_redirects_keep_the_port_of_the_listener_unless_another_scheme_or_port_is_given(
    redirect: dict[str, Any], expected: RedirectPlan
) -> None:
    route = a_route("a", {"filters": [{"type": "RequestRedirect", "requestRedirect": redirect}]})
    [plan] = translate(world(route, gateway=a_gateway("shop", listener(port=8080))), HERE).routes.plans
    assert plan.redirect == expected


def a_filter(kind: str, **content: Any) -> list[dict[str, Any]]:
    key = "urlRewrite" if kind == "URLRewrite" else kind[0].lower() + kind[1:]
    return [{"type": kind, key: content}]


@pytest.mark.parametrize(
    ("rule", "reason", "message"),
    [
        ({"filters": a_filter("RequestMirror")}, "UnsupportedValue", "the filter RequestMirror is not supported"),
        ({"filters": a_filter("ExtensionRef")}, "UnsupportedValue", "the filter ExtensionRef is not supported"),
        ({"timeouts": {"request": "1s"}}, "UnsupportedValue", "timeouts is not supported"),
        (
            {"matches": [{"path": {"type": "RegularExpression", "value": "/a.*"}}]},
            "UnsupportedValue",
            "RegularExpression",
        ),
        ({"matches": [{"path": {"value": "/a/../b"}}]}, "UnsupportedValue", "no request can have the path '/a/../b'"),
        ({"matches": [{"path": {"value": "/ä"}}]}, "UnsupportedValue", "no request can have the path"),
        (
            {"matches": [{"headers": [{"name": "a", "value": "(", "type": "RegularExpression"}]}]},
            "UnsupportedValue",
            "header a: not a regular expression",
        ),
        ({"matches": [{"headers": [{"name": "a", "value": "1", "type": "Like"}]}]}, "UnsupportedValue", "type Like"),
        (
            {"filters": a_filter("RequestHeaderModifier", set=[{"name": "Host", "value": "x"}])},
            "UnsupportedValue",
            "filters cannot change the header Host",
        ),
        (
            {"filters": a_filter("RequestHeaderModifier", remove=["X-Gray-Tag"])},
            "UnsupportedValue",
            "filters cannot change the header X-Gray-Tag",
        ),
        (
            {"filters": a_filter("ResponseHeaderModifier", set=[{"name": "x", "value": "a\r\nb: c"}])},
            "UnsupportedValue",
            "the value of header x has a character that no field has",
        ),
        (
            {"filters": a_filter("ResponseHeaderModifier", add=[{"name": "x y", "value": "1"}])},
            "UnsupportedValue",
            "'x y' is not the name of a header",
        ),
        (
            {"filters": a_filter("RequestRedirect", scheme="ftp"), "backendRefs": []},
            "UnsupportedValue",
            "a redirect to the scheme ftp is not supported",
        ),
        (
            {"filters": [*a_filter("RequestRedirect"), *a_filter("URLRewrite", hostname="x")], "backendRefs": []},
            "IncompatibleFilters",
            "RequestRedirect and URLRewrite exclude each other",
        ),
        (
            {"filters": a_filter("URLRewrite", path={"type": "ReplaceFullPath", "replaceFullPath": "/a?b"})},
            "UnsupportedValue",
            "'/a?b' cannot be a path",
        ),
        (
            {
                "matches": [{"path": {"type": "Exact", "value": "/a"}}],
                "filters": a_filter("URLRewrite", path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}),
            },
            "UnsupportedValue",
            "ReplacePrefixMatch needs a match of type PathPrefix",
        ),
        (
            {"backendRefs": [backend("a", filters=a_filter("URLRewrite", hostname="x"))]},
            "UnsupportedValue",
            "of the filters of a backendRef, only those that change headers are supported",
        ),
    ],
)
def test_a_rule_that_is_not_supported_is_dropped_and_the_status_says_why(
    rule: dict[str, Any], reason: str, message: str
) -> None:
    """Alone, the route is not accepted; beside a good rule, it is in part."""
    bad = {"backendRefs": [backend("a")], **rule}
    alone = translate(world(a_route("a", bad)), HERE)
    assert alone.routes.plans == ()
    assert reasons(alone) == {**GOOD, "Accepted": (False, reason)}
    assert message in alone.reports[0].parents[0][1][0].message
    beside = translate(world(a_route("a", bad, to(backend("a")))), HERE)
    assert [plan.source for plan in beside.routes.plans] == ["shop/a[1]"]
    assert reasons(beside) == {**GOOD, "PartiallyInvalid": (True, reason)}
    assert beside.reports[0].parents[0][1][2].message.startswith("Dropped Rule(s): rule 0: ")


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        (backend("nobody"), "BackendNotFound"),
        (backend("a", port=81), "BackendNotFound"),
        (backend("ports", port=53), "BackendNotFound"),
        ({"name": "a"}, "BackendNotFound"),
        (backend("a", kind="Bucket", group="storage.example"), "InvalidKind"),
        (backend("external"), "UnsupportedValue"),
        (backend("mysql"), "UnsupportedProtocol"),
        (backend("typo"), "InvalidTag"),
        (backend("theirs", namespace="bank"), "RefNotPermitted"),
    ],
)
def test_a_reference_that_leads_nowhere_is_said_and_its_share_of_requests_fails(
    ref: dict[str, Any], reason: str
) -> None:
    found = translate(world(a_route("a", to(backend("a", 9), ref))), HERE)
    assert reasons(found) == {**GOOD, "ResolvedRefs": (False, reason)}
    [plan] = found.routes.plans
    assert [(item.service, item.weight, bool(item.problem)) for item in plan.backends] == [
        ("a", 9, False),
        ("", 1, True),
    ]
    assert plan.services == {"a"}


def test_services_of_other_namespaces_need_a_grant_there_and_a_gateway_that_sees_them() -> None:
    route = a_route("a", to(backend("theirs", namespace="bank")))
    for grants, expected in (
        ([], "RefNotPermitted"),
        ([a_grant("bank", "elsewhere")], "RefNotPermitted"),
        ([a_grant("shop", "shop")], "RefNotPermitted"),
        ([a_grant("bank", "shop", "other")], "RefNotPermitted"),
        ([a_grant("bank", "shop", "theirs")], "ResolvedRefs"),
        ([a_grant("bank", "shop")], "ResolvedRefs"),
    ):
        found = translate(world(route, grants=grants), WIDE)
        assert reasons(found)["ResolvedRefs"][1] == expected
    assert found.routes.plans[0].backends == (BackendPlan("theirs.bank"),)
    assert reasons(translate(world(route, grants=grants), HERE))["ResolvedRefs"] == (False, "BackendNotFound")


def test_a_port_that_the_registry_would_not_choose_is_part_of_the_name() -> None:
    [plan] = plans(to(backend("ports", port=80), backend("ports", port=81)))
    assert [item.service for item in plan.backends] == ["ports", "ports:web"]


def test_backends_may_speak_whatever_instances_are_called_with() -> None:
    [plan] = plans(to(backend("grpc")))
    assert plan.backends == (BackendPlan("grpc"),)


def test_a_route_has_a_plan_for_each_of_its_hosts() -> None:
    gateway = a_gateway("shop", listener("one", hostname="*.one.example"), listener("two", hostname="two.example"))
    route = a_route("a", to(backend("a")), hostnames=["a.one.example", "*.example"])
    found = translate(world(route, gateway=gateway), HERE)
    assert sorted(plan.host for plan in found.routes.plans) == ["*.one.example", "a.one.example", "two.example"]
    assert found.gateway is not None
    assert [item.attached for item in found.gateway.listeners] == [1, 1]


def test_a_listener_that_is_closer_to_a_host_has_its_requests_alone() -> None:
    gateway = a_gateway(
        "shop",
        listener("any"),
        listener("wide", hostname="*.example"),
        listener("deep", hostname="*.a.example"),
        listener("exact", hostname="x.a.example"),
    )
    hosts = ["x.a.example", "y.a.example", "*.a.example", "b.example", "*.example", "other"]

    def served(section: str) -> list[str]:
        route = a_route("a", to(backend("a")), parentRefs=[{"name": "shop", "sectionName": section}], hostnames=hosts)
        found = translate(world(route, gateway=gateway), HERE)
        assert found.routes.bounds == ("*.example", "*.a.example", "x.a.example")
        assert reasons(found) == GOOD
        return [plan.host for plan in found.routes.plans]

    assert served("any") == ["other"]
    assert served("wide") == ["b.example", "*.example"]
    assert served("deep") == ["y.a.example", "*.a.example"]
    assert served("exact") == ["x.a.example"]


def test_routes_of_listeners_that_are_not_served_are_attached_and_not_served() -> None:
    gateway = a_gateway("shop", listener("http"), listener("https", 443, "HTTPS", hostname="s.example"))
    found = translate(world(a_route("a", to(backend("a")), hostnames=["s.example"]), gateway=gateway), HERE)
    assert [plan.host for plan in found.routes.plans] == ["s.example"]  # by the other listener
    only = a_route("a", to(backend("a")), parentRefs=[{"name": "shop", "sectionName": "https"}])
    found = translate(world(only, gateway=gateway), HERE)
    assert (found.routes.plans, reasons(found)) == ((), GOOD)
    assert found.gateway is not None
    assert [item.attached for item in found.gateway.listeners] == [0, 1]
    assert [(item.kind, item.holds, item.reason) for item in found.gateway.conditions] == [
        ("Accepted", True, "ListenersNotValid"),
        ("Programmed", True, "Programmed"),
    ]


def test_a_route_that_is_not_accepted_is_not_counted_as_attached() -> None:
    found = translate(world(a_route("a", to(backend("a"), timeouts={"request": "1s"}))), HERE)
    assert found.gateway is not None
    assert [item.attached for item in found.gateway.listeners] == [0]


def test_a_gateway_none_of_whose_listeners_is_served_is_not_accepted() -> None:
    found = translate(world(gateway=a_gateway("shop", listener(protocol="TLS"))), HERE).gateway
    assert found is not None
    assert [(item.kind, item.holds, item.reason) for item in found.conditions] == [
        ("Accepted", False, "ListenersNotValid"),
        ("Programmed", False, "Invalid"),
    ]


def test_an_address_that_this_gateway_does_not_have_is_not_supported() -> None:
    gateway = a_gateway()
    gateway["spec"]["addresses"] = [{"type": "IPAddress", "value": "192.0.2.1"}]
    for addresses, reason in (((), "UnsupportedAddress"), ((("IPAddress", "192.0.2.1"),), "Accepted")):
        found = translate(world(gateway=gateway), Here("shop", "shop", "shop", addresses)).gateway
        assert found is not None
        assert found.conditions[0].reason == reason


@pytest.mark.parametrize(
    "classes", [[], [a_class(controller="example.com/other")], [a_class("other")]], ids=["none", "foreign", "unused"]
)
def test_a_gateway_of_somebody_elses_class_is_left_alone(classes: list[dict[str, Any]]) -> None:
    found = translate(world(a_route("a", to(backend("a"))), classes=classes), HERE)
    assert (found.routes.plans, found.gateway, list(found.reports)) == ((), None, [])
    assert [item.meta.name for item, _ in found.classes] == (["other"] if classes and "gray-" in str(classes) else [])


def test_routes_of_other_parents_are_left_alone() -> None:
    other = a_route("b", to(backend("a")), gateway="other")
    service = a_route("c", to(backend("a")), parentRefs=[{"group": "", "kind": "Service", "name": "shop"}])
    found = translate(world(other, service), HERE)
    assert (found.routes.plans, [report.parents for report in found.reports]) == ((), [[], []])


def test_a_class_with_parameters_is_not_accepted() -> None:
    item = a_class()
    item["spec"]["parametersRef"] = {"group": "", "kind": "ConfigMap", "name": "x"}
    [(_, [condition])] = translate(world(classes=[item]), HERE).classes
    assert (condition.holds, condition.reason) == (False, "InvalidParameters")


def test_the_features_are_named_in_order() -> None:
    assert list(FEATURES) == sorted(FEATURES)


def test_rules_are_read_again_only_if_something_has_changed_that_they_depend_on() -> None:
    memory = Memory()
    before = world(a_route("a", to(backend("a"))), a_route("b", to(backend("new"))))
    first = translate(before, HERE, memory)
    assert translate(before, HERE, memory) == first
    other = read_route(placed(a_route("a", to(backend("a-canary")))))
    changed = translate(replace(before, routes=[other, before.routes[1]]), HERE, memory)
    assert [plan.backends[0].service for plan in changed.routes.plans] == ["a-canary", ""]
    more = {**before.services, ("shop", "new"): read_service(a_service("new"))}
    found = translate(replace(before, routes=[other, before.routes[1]], services=more), HERE, memory)
    assert [plan.backends[0].service for plan in found.routes.plans] == ["a-canary", "new"]
    gateway = read_gateway(placed(a_gateway("shop", listener(port=8080))))
    redirect = read_route(placed(a_route("a", {"filters": a_filter("RequestRedirect")})))
    for item, port in ((before.gateway, 80), (gateway, 8080)):
        [plan] = translate(replace(before, gateway=item, routes=[redirect]), HERE, memory).routes.plans
        assert plan.redirect == RedirectPlan(302, port=port)
