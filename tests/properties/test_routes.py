"""Of all HTTPRoutes that match a request, the one wins that the Gateway API says, however many there are."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.gatewayapi.objects import read_class, read_gateway, read_route, read_service
from gateway.gatewayapi.translate import translate
from gateway.gatewayapi.world import Here, World
from gateway.http.head_reader import HeadReader
from gateway.routing.plans import RoutePlan, make_route
from gateway.routing.routes import RouteTable
from tests.support.examples import examples
from tests.support.gatewayapi import a_class, a_gateway, a_route, a_service, backend, placed, to

SEGMENTS = ["a", "b"]
PATHS = st.lists(st.sampled_from(SEGMENTS), max_size=3).map(lambda parts: "/" + "/".join(parts))
HOSTS = ["a.example", "b.a.example", "*.example", "*.a.example"]
VALUES = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]), max_size=2)
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "path": st.fixed_dictionaries({"type": st.sampled_from(["Exact", "PathPrefix"]), "value": PATHS}),
        "method": st.sampled_from(["GET", "POST"]),
        "headers": VALUES.map(lambda found: [{"name": name, "value": value} for name, value in found.items()]),
        "queryParams": VALUES.map(lambda found: [{"name": name, "value": value} for name, value in found.items()]),
    },
)
ROUTES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(HOSTS), max_size=2, unique=True),
        st.lists(st.lists(MATCHES, min_size=1, max_size=2), min_size=1, max_size=3),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=6,
)


def build(routes: list[tuple[list[str], list[list[dict[str, Any]]], int]]) -> tuple[RoutePlan, ...]:
    """The plans of these routes: hosts, the matches of each rule, and the day on which each was created."""
    items = [
        placed(
            a_route(f"r{number}", *(to(backend("a"), matches=matches) for matches in rules), hostnames=hosts),
            creationTimestamp=f"2026-11-0{day}T00:00:00Z",
        )
        for number, (hosts, rules, day) in enumerate(routes)
    ]
    service = read_service(a_service("a"))
    world = World(
        [read_class(placed(a_class()))],
        read_gateway(placed(a_gateway())),
        [read_route(item) for item in items],
        [],
        {("shop", "a"): service},
    )
    return translate(world, Here("shop", "shop", "shop")).routes.plans


def matches(
    plan: RoutePlan, host: str, path: str, method: str, headers: dict[str, str], params: dict[str, str]
) -> bool:
    """Whether a plan takes a request, as the API says it."""
    if plan.host and plan.host != host and not (plan.host.startswith("*") and host.endswith(plan.host[1:])):
        return False
    below = path == plan.path or path.startswith(plan.path.rstrip("/") + "/")
    if not (path == plan.path if plan.is_exact else below) or plan.method not in ("", method):
        return False
    return all(headers.get(item.name) == item.value for item in plan.headers) and all(
        params.get(item.name) == item.value for item in plan.params
    )


def rank(plan: RoutePlan, created: dict[str, str]) -> tuple[Any, ...]:
    """The precedence of the API; the lowest wins. What is left of it is the order of rules, which plans have already."""
    name = plan.salt
    return (
        -(2 if plan.host and not plan.host.startswith("*") else 1 if plan.host else 0),
        -len(plan.host),
        not plan.is_exact,
        -len(plan.path),
        not plan.method,
        -len(plan.headers),
        -len(plan.params),
        created[name],
        name,
    )


@examples(100)
@given(
    ROUTES, st.sampled_from(["a.example", "b.a.example", "c.b.a.example", "other"]), PATHS, VALUES, VALUES, st.data()
)
def test_the_winner_is_that_of_the_specification(
    routes: list[tuple[list[str], list[list[dict[str, Any]]], int]],
    host: str,
    path: str,
    headers: dict[str, str],
    params: dict[str, str],
    data: st.DataObject,
) -> None:
    plans = build(routes)
    method = data.draw(st.sampled_from(["GET", "POST"]))
    created = {f"shop/r{number}": str(day) for number, (_, _, day) in enumerate(routes)}
    taking = [plan for plan in plans if matches(plan, host, path, method, headers, params)]
    expected = min(taking, key=lambda plan: rank(plan, created), default=None)
    query = "&".join(f"{name}={value}" for name, value in params.items())
    lines = [f"{method} {path}{'?' * bool(query)}{query} HTTP/1.1", f"Host: {host}"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()
    request = HeadReader("x-gray-tag").read(head)
    found = RouteTable([make_route(plan) for plan in plans]).find(request.host, request.path, request)
    assert (None if found is None else found.source) == (None if expected is None else expected.source)
