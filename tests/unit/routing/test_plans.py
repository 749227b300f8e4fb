"""Routes that a control plane describes: which one takes a request, where it goes, and what is changed of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.http.head_reader import HeadReader
from gateway.http.target import PathChange
from gateway.instance import Instance
from gateway.routing.carriers import Carriers
from gateway.routing.decision import Decision
from gateway.routing.entry import EntryRouter
from gateway.routing.peer import Peer
from gateway.routing.plans import BackendPlan, EditPlan, PathPlan, RedirectPlan, RoutePlan, ValuePlan, make_route
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.routing.verdict import Forward, Refuse, Reply, Verdict
from tests.support.rules import compiled

SERVICES: Mapping[str, tuple[Instance, ...]] = {
    "a": (Instance("10.0.0.1", 1), Instance("10.0.0.1", 2, "gray")),
    "stable": (Instance("10.0.0.2", 1),),
    "canary": (Instance("10.0.0.3", 1, "gray"),),
    "blue": (Instance("10.0.0.4", 1, "blue"),),
    "flagger": (Instance("10.0.0.5", 1),),
    "none": (),
}
LANE = {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}


def plan(source: str = "shop/a[0]", **parts: Any) -> RoutePlan:
    return RoutePlan(source=source, **{"backends": (BackendPlan("a"),), **parts})


class Entry:
    """An entry with some routes, and a lane gray for `?group=gray`."""

    def __init__(self, *plans: RoutePlan, routes: tuple[Route, ...] = (), services: list[str] | None = None) -> None:
        group = {"name": "g", "services": services or [], "lanes": [LANE]}
        views = {name: ServiceView(name, instances, Turns()) for name, instances in SERVICES.items()}
        table = RouteTable([*routes, *map(make_route, plans)])
        self.router = EntryRouter(Snapshot(1, compiled([group]), table, views), Carriers(), random.Random(1))

    def route(
        self, target: str = "/", *fields: str, method: str = "GET", host: str = "shop.example", scheme: str = "http"
    ) -> Verdict:
        head = "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode()
        return self.router.route(HeadReader("x-gray-tag").read(head), Peer("192.0.2.1", False, scheme), 0.0)

    def decide(self, target: str = "/", *fields: str, **more: Any) -> Decision:
        return self.route(target, *fields, **more).decision

    def sent(self, target: str = "/", *fields: str, **more: Any) -> list[str]:
        """The lines of the head that goes to the service."""
        verdict = self.route(target, *fields, **more)
        assert isinstance(verdict, Forward)
        return verdict.head.decode().split("\r\n")[:-2]

    def place(self, target: str = "/", **more: Any) -> str:
        verdict = self.route(target, **more)
        assert isinstance(verdict, Reply)
        [line] = [line for line in verdict.response.head.decode().split("\r\n") if line.startswith("Location: ")]
        return f"{verdict.response.status} {line.removeprefix('Location: ')}"


HEADER = (ValuePlan("x-env", "canary"),)


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        ({"path": "/x", "is_exact": True}, {"path": "/x"}),
        ({"path": "/x", "is_exact": True}, {"path": "/x", "method": "GET", "headers": HEADER}),
        ({"path": "/x"}, {"path": "/", "method": "GET"}),
        ({"path": "/x", "headers": HEADER}, {"path": "/x"}),
        ({"host": "shop.example"}, {"path": "/x", "is_exact": True}),
        ({"host": "*.example"}, {"path": "/x"}),
        ({"host": "shop.example"}, {"host": "*.example", "path": "/x"}),
    ],
)
def test_precedence(winner: dict[str, Any], loser: dict[str, Any]) -> None:
    plans = (plan("winner", **winner), plan("loser", **loser))
    assert Entry(*plans).decide("/x", "X-Env: canary").route == "winner"
    assert Entry(*reversed(plans)).decide("/x", "X-Env: canary").route == "winner"


def test_of_two_with_the_same_path_the_first_that_takes_the_request_wins() -> None:
    entry = Entry(
        plan("method", method="POST"),
        plan("header", headers=(ValuePlan("X-Env", "a|b", is_pattern=True),)),
        plan("params", params=(ValuePlan("v", "1"), ValuePlan("w", "2"))),
        plan("rest"),
    )
    assert entry.decide("/", "x-env: b", method="POST").route == "method"
    assert entry.decide("/", "x-env: b").route == "header"
    assert entry.decide("/?v=1", "x-env: bb").route == "rest"
    assert entry.decide("/?w=%32&v=1").route == "params"


def test_a_route_of_the_configuration_comes_after_those_that_say_more_and_before_the_others() -> None:
    configured = Route("/A", "stable")
    entry = Entry(plan("more", path="/A", headers=HEADER), plan("same", path="/A"), routes=(configured,))
    assert entry.decide("/A", "x-env: canary").route == "more"
    assert entry.decide("/A").route == "/A"


@pytest.mark.parametrize(
    ("host", "found"),
    [("a.example", "wide"), ("b.a.example", "wide"), ("c.deep.example", "narrow"), ("example", "any"), ("", "any")],
)
def test_wildcards_take_every_name_below(host: str, found: str) -> None:
    entry = Entry(plan("wide", host="*.example"), plan("narrow", host="*.deep.example"), plan("any"))
    assert entry.router.snapshot.routes.find(host, "/") is not None
    assert entry.router.snapshot.routes.find(host, "/").source == found  # type: ignore[union-attr]


def test_a_path_prefix_ends_at_a_segment_and_an_exact_path_has_nothing_below() -> None:
    entry = Entry(plan("below", path="/a/"), plan("exact", path="/b", is_exact=True))
    assert [entry.decide(target).route for target in ("/a", "/a/", "/a/x", "/ab")] == ["below", "below", "below", ""]
    assert [entry.decide(target).route for target in ("/b", "/b/", "/b/x")] == ["exact", "", ""]


def test_beyond_a_bound_there_are_only_routes_of_the_configuration() -> None:
    routes = [
        *map(make_route, [plan("any"), plan("wide", host="*.example"), plan("deep", host="a.b.example", path="/x")]),
        Route("/health", "stable"),
    ]

    def found(host: str, path: str, *bounds: str) -> str:
        route = RouteTable(routes, bounds).find(host, path)
        return "" if route is None else route.source or route.path

    assert [found(host, "/y") for host in ("a.b.example", "c.example", "other")] == ["wide", "wide", "any"]
    assert found("a.b.example", "/y", "a.b.example") == ""
    assert found("a.b.example", "/x", "a.b.example") == "deep"
    assert found("a.b.example", "/health", "a.b.example") == "/health"
    assert found("a.b.example", "/y", "*.b.example") == ""
    assert found("c.b.example", "/health/x", "*.b.example") == "/health"
    assert found("b.example", "/y", "*.b.example") == "wide"
    assert found("a.b.example", "/y", "*.example") == "wide"
    assert found("other", "/y", "a.b.example", "*.example") == "any"


# --- backends


def shares(entry: Entry, *fields: str, count: int = 1000) -> Counter[str]:
    return Counter(entry.decide("/", *fields).service for _ in range(count))


def test_requests_are_divided_by_weight_and_a_weight_of_0_gets_none() -> None:
    found = shares(Entry(plan(backends=(BackendPlan("stable", 80), BackendPlan("canary", 20), BackendPlan("a", 0)))))
    assert set(found) == {"stable", "canary"}
    assert 150 < found["canary"] < 250


def test_a_backend_whose_instances_have_one_tag_marks_its_requests() -> None:
    decision = Entry(plan(backends=(BackendPlan("canary"),))).decide()
    assert (decision.tag, decision.tag_source, decision.pool, decision.fallback) == ("gray", "route", "gray", "")
    assert "x-gray-tag: gray" in Entry(plan(backends=(BackendPlan("canary"),))).sent()


def test_a_backend_with_a_tag_marks_its_requests_whatever_its_instances_are() -> None:
    decision = Entry(plan(backends=(BackendPlan("flagger", tag="gray"),))).decide()
    assert (decision.tag, decision.service, decision.fallback, decision.error) == ("gray", "flagger", "absent", "")


def test_a_marked_request_goes_to_the_backend_of_its_tag_whatever_the_weights() -> None:
    entry = Entry(plan(backends=(BackendPlan("stable", 100), BackendPlan("canary", 0))), services=["a"])
    decision = entry.decide("/?group=gray")
    assert (decision.service, decision.tag, decision.tag_source, decision.pool) == ("canary", "gray", "rule", "gray")
    assert entry.decide().service == "stable"


def test_a_marked_request_without_a_backend_of_its_tag_goes_to_the_baseline_and_keeps_its_tag() -> None:
    entry = Entry(plan(backends=(BackendPlan("stable", 1), BackendPlan("blue", 99), BackendPlan("none", 0, "gray"))))
    decision = entry.decide("/?group=gray")
    assert (decision.service, decision.tag, decision.pool, decision.fallback) == ("stable", "gray", "base", "absent")


def test_a_route_to_one_lane_marks_what_another_had_marked() -> None:
    decision = Entry(plan(backends=(BackendPlan("blue"),))).decide("/?group=gray")
    assert (decision.service, decision.tag, decision.lane, decision.tag_source) == ("blue", "blue", "", "route")


def test_clients_stay_with_their_backend_while_a_weight_grows() -> None:
    def canaries(weight: int, salt: str = "shop/a") -> set[int]:
        backends = (BackendPlan("stable", 100 - weight), BackendPlan("canary", weight))
        entry = Entry(plan(backends=backends, split_by=("cookie", "uid"), salt=salt))
        return {user for user in range(300) if entry.decide("/", f"Cookie: uid={user}").service == "canary"}

    few, more = canaries(10), canaries(40)
    assert 10 < len(few) < 60 < len(more) < 180
    assert few < more
    assert canaries(10) == few
    assert canaries(10, "shop/b") != few


@pytest.mark.parametrize("backends", [(), (BackendPlan("", problem="there is no Service shop/x"),)])
def test_without_a_backend_that_can_be_used_the_request_gets_500(backends: tuple[BackendPlan, ...]) -> None:
    verdict = Entry(plan(backends=backends)).route()
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.code, verdict.failure.status) == ("no_backend", 500)


def test_a_backend_without_instances_gets_503() -> None:
    assert Entry(plan(backends=(BackendPlan("none"),))).decide().error == "no_instances"


# --- what is changed


def test_fields_of_a_request_are_replaced_added_and_removed() -> None:
    """By the route, and after that by the backend."""
    edit = EditPlan(put=(("X-Set", "new"),), add=(("X-Add", "more"),), remove=("x-gone",))
    backend = BackendPlan("a", request=EditPlan(put=(("X-Backend", "a"), ("x-mine", "b")), remove=("x-not-here",)))
    edit = replace(edit, put=(*edit.put, ("X-Mine", "route"), ("X-Not-Here", "route")))
    lines = Entry(plan(request=edit, backends=(backend,))).sent(
        "/", "x-set: old", "X-SET: older", "X-Add: one", "X-Gone: 1", "X-Stays: 1"
    )
    mine = [
        line
        for line in lines
        if line.lower().startswith(("x-set", "x-add", "x-gone", "x-stays", "x-backend", "x-mine", "x-not-here"))
    ]
    assert mine == ["X-Add: one", "X-Stays: 1", "X-Set: new", "X-Add: more", "X-Backend: a", "x-mine: b"]


@pytest.mark.parametrize(
    ("prefix", "change", "target", "seen"),
    [
        ("/old", PathPlan("/new", False), "/old", "/new"),
        ("/old", PathPlan("/new", False), "/old/", "/new/"),
        ("/old", PathPlan("/new/", False), "/old/x?q=/old", "/new/x?q=/old"),
        ("/old", PathPlan("/", False), "/old/x", "/x"),
        ("/old", PathPlan("/", False), "/old", "/"),
        ("/old", PathPlan("", False), "/old", "/"),
        ("/old", PathPlan("/new", False), "//%6Fld/x%2fy", "/new/x%2fy"),
        ("/", PathPlan("/new", False), "/x", "/new/x"),
        ("/old", PathPlan("/whole", True), "/old/x?q", "/whole?q"),
        ("/old", PathPlan("", True), "/old/x", "/"),
    ],
)
def test_paths_are_rewritten(prefix: str, change: PathPlan, target: str, seen: str) -> None:
    assert Entry(plan(path=prefix, new_path=change)).sent(target)[0] == f"GET {seen} HTTP/1.1"


def test_the_host_is_rewritten_and_the_requested_one_is_told() -> None:
    lines = Entry(plan(new_host="inner.example")).sent(host="shop.example:8080")
    assert [line for line in lines if line.lower().startswith("host")] == ["Host: inner.example"]
    assert "X-Forwarded-Host: shop.example:8080" in lines


@pytest.mark.parametrize(
    ("redirect", "more", "place"),
    [
        (RedirectPlan(302), {}, "302 http://shop.example/old/x?q=1"),
        (RedirectPlan(301, host="other.example"), {}, "301 http://other.example/old/x?q=1"),
        (RedirectPlan(301, scheme="https"), {}, "301 https://shop.example/old/x?q=1"),
        (RedirectPlan(308, port=8443), {"scheme": "https"}, "308 https://shop.example:8443/old/x?q=1"),
        (RedirectPlan(302, port=443), {"scheme": "https"}, "302 https://shop.example/old/x?q=1"),
        (RedirectPlan(302, port=80), {}, "302 http://shop.example/old/x?q=1"),
        (RedirectPlan(302, path=PathPlan("/new", False)), {}, "302 http://shop.example/new/x?q=1"),
        (RedirectPlan(302, path=PathPlan("/whole", True)), {}, "302 http://shop.example/whole?q=1"),
        (RedirectPlan(302), {"host": "[2001:db8::1]:80"}, "302 http://[2001:db8::1]/old/x?q=1"),
    ],
)
def test_clients_are_sent_elsewhere(redirect: RedirectPlan, more: dict[str, str], place: str) -> None:
    assert Entry(plan(path="/old", redirect=redirect, backends=())).place("/old/x?q=1", **more) == place


def test_a_client_that_names_no_host_is_sent_to_a_path() -> None:
    entry = Entry(plan(path="/old", redirect=RedirectPlan(302, path=PathPlan("/new", False)), backends=()))
    request = HeadReader("x-gray-tag").read(b"GET /old/x HTTP/1.0\r\n\r\n")
    verdict = entry.router.route(request, Peer("192.0.2.1", False, "http"), 0.0)
    assert isinstance(verdict, Reply)
    assert b"\r\nLocation: /new/x\r\n" in verdict.response.head


def test_a_path_change_leaves_nothing_without_a_slash() -> None:
    assert PathChange(b"", False).apply(b"/old", b"/old") == b"/"
