"""Explaining a request: what would be decided and why, and nothing is touched by asking."""

from __future__ import annotations

import random
from ipaddress import ip_network
from typing import Any

from gateway.http.head_reader import HeadReader
from gateway.instance import Instance
from gateway.routing.carriers import Carriers
from gateway.routing.describe import describe_pools
from gateway.routing.entry import EntryRouter
from gateway.routing.explain import explain
from gateway.routing.health import SOUND, Health
from gateway.routing.plans import BackendPlan, RoutePlan, ValuePlan, make_route
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.compile import compile_rules
from tests.support.rules import around, rule_set

ONE, TWO = Instance("10.0.0.1", 80, metadata={"version": "1"}), Instance("10.0.0.2", 80, weight=2.0)
GRAY = Instance("10.0.0.3", 80, "gray", healthy=False)
BLUE = Instance("10.0.0.4", 80, "blue", enabled=False)


class Setup:
    def __init__(self, *instances: Instance, match: dict[str, Any], condition: Health = SOUND, **router: Any) -> None:
        lane = {"name": "l", "tag": "gray", "match": [match]}
        self.rules = rule_set([{"name": "g", "lanes": [lane]}])
        self.around = around()
        view = ServiceView("a", instances, Turns(), condition=condition)
        routes = RouteTable([Route("/A", "a", inspect_body=100), Route("/N", "nobody")])
        snapshot = Snapshot(3, compile_rules(self.rules, self.around), routes, {"a": view})
        self.router = EntryRouter(snapshot, Carriers(), random.Random(1), **router)

    def explain(self, target: str, *fields: str, body: bytes = b"", client_ip: str = "192.0.2.1") -> dict[str, Any]:
        head = "\r\n".join([f"POST {target} HTTP/1.1", "Host: shop.example", *fields, "", ""]).encode()
        request = HeadReader("x-gray-tag", keeps_forwarded=True).read(head)
        return explain(self.router, self.rules, self.around, request, client_ip=client_ip, body=body)


PARAM = {"param": "group", "equals": "gray"}


def test_the_request_the_decision_every_lane_and_every_pool() -> None:
    found = Setup(ONE, match=PARAM).explain("/A/x?group=gray", client_ip="::ffff:192.0.2.7")
    assert found["request"] == {
        "method": "POST",
        "host": "shop.example",
        "path": "/A/x",
        "client_ip": "192.0.2.7",
    }
    decision = found["decision"]
    assert (decision["lane"], decision["fallback"], decision["instance"]) == ("l", "absent", "10.0.0.1:80")
    assert decision["revision"] == 3
    assert [(lane["lane"], lane["matched"]) for lane in found["lanes"]] == [("l", True)]
    assert [(pool["tag"], pool["size"]) for pool in found["pools"]] == [("base", 1)]
    assert found["route"] == {
        "source": "configuration",
        "host": None,
        "path": "/A",
        "exact": False,
        "match": [],
        "asked": [],
        "compress": None,
        "patience": {},
        "backends": [],
    }
    assert found.keys() == {"request", "route", "decision", "lanes", "pools"}


def test_of_a_service_that_is_not_known_there_are_no_pools() -> None:
    assert Setup(ONE, match=PARAM).explain("/N")["pools"] == []
    assert Setup(ONE, match=PARAM).explain("/nowhere")["decision"]["error"] == "no_route"


def test_a_route_from_elsewhere_says_why_it_took_the_request_and_where_it_may_go() -> None:
    plan = RoutePlan(
        source="shop/a[0]",
        host="shop.example",
        path="/H",
        method="POST",
        headers=(ValuePlan("x-canary", "yes"), ValuePlan("x-user", "a.*", is_pattern=True)),
        params=(ValuePlan("v", "2"),),
        backends=(BackendPlan("a", 9), BackendPlan("", 1, problem="there is no Service shop/b")),
    )
    setup = Setup(ONE, match=PARAM)
    live = setup.router.snapshot
    setup.router.snapshot = Snapshot(3, live.rules, RouteTable([make_route(plan)]), live.services)
    assert setup.explain("/H?v=2", "X-Canary: yes", "X-User: alice")["route"] == {
        "source": "shop/a[0]",
        "host": "shop.example",
        "path": "/H",
        "exact": False,
        "match": ["method POST", "header x-canary = yes", "header x-user matches a.*", "param v = 2"],
        "asked": [],
        "compress": None,
        "patience": {},
        "backends": [
            {"service": "a", "tag": "base", "weight": 9, "problem": None},
            {"service": None, "tag": "base", "weight": 1, "problem": "there is no Service shop/b"},
        ],
    }
    assert setup.explain("/H?v=3", "X-Canary: yes", "X-User: alice")["route"] is None


def test_asking_takes_nobodys_turn() -> None:
    setup = Setup(ONE, TWO, match=PARAM)
    asked = {setup.explain("/A")["decision"]["instance"] for _ in range(5)}
    assert len(asked) == 1
    picked = setup.router.snapshot.services["a"].base.pick()
    assert picked is not None
    assert picked.address == next(iter(asked))  # the turn is still the one that explain has shown


def test_the_body_is_looked_at_where_rules_do() -> None:
    setup = Setup(ONE, match={"body": "/level", "equals": "3"})
    json = ("Content-Type: application/json", "Content-Length: 11")
    assert setup.explain("/A", *json, body=b'{"level":3}')["decision"]["lane"] == "l"
    assert setup.explain("/A", *json, body=b'{"level":4}')["decision"]["lane"] is None
    assert setup.explain("/A", *json, body=b'{"level":3}')["lanes"][0]["matched"]


def test_a_client_is_believed_as_the_listener_would() -> None:
    setup = Setup(ONE, match=PARAM, trusted=(ip_network("192.0.2.0/24"),))
    assert setup.explain("/A", "x-gray-tag: blue")["decision"]["tag"] == "blue"
    assert setup.explain("/A", "x-gray-tag: blue", client_ip="198.51.100.1")["decision"]["tag"] == "base"


def test_the_health_of_instances_is_the_running_one() -> None:
    ejected = Health(ejected=frozenset({ONE.address}))
    found = Setup(ONE, TWO, match=PARAM, condition=ejected).explain("/A")
    assert found["decision"]["instance"] == TWO.address
    assert [item["ejected"] for item in found["pools"][0]["instances"]] == [True, False]


def test_pools_as_plain_values_the_baseline_first() -> None:
    view = ServiceView("a", [BLUE, ONE, TWO, GRAY], Turns(), condition=Health(ejected=frozenset({TWO.address})))
    pools = describe_pools(view, kept=[ONE.address])
    assert [(pool["tag"], pool["size"], pool["usable"], pool["panicking"]) for pool in pools] == [
        ("base", 2, 1, False),
        ("blue", 1, 0, False),
        ("gray", 1, 0, False),
    ]
    plain = {"weight": 1.0, "healthy": True, "enabled": True, "ejected": False, "kept": False, "metadata": {}}
    assert [pool["instances"] for pool in pools] == [
        [
            {**plain, "address": "10.0.0.1:80", "kept": True, "metadata": {"version": "1"}},
            {**plain, "address": "10.0.0.2:80", "weight": 2.0, "ejected": True},
        ],
        [{**plain, "address": "10.0.0.4:80", "enabled": False}],
        [{**plain, "address": "10.0.0.3:80", "healthy": False}],
    ]


def test_who_is_ejected_may_be_known_better_elsewhere() -> None:
    """Workers find out for themselves; the process that describes has not seen it."""
    (pool,) = describe_pools(ServiceView("a", [ONE, TWO], Turns()), ejected=[TWO.address])
    instances: Any = pool["instances"]
    assert [item["ejected"] for item in instances] == [False, True]


def test_a_pool_that_is_used_though_all_are_unhealthy_says_so() -> None:
    view = ServiceView("a", [GRAY], Turns(), condition=Health(uses_unhealthy=True))
    assert [(pool["tag"], pool["usable"], pool["panicking"]) for pool in describe_pools(view)] == [("gray", 1, True)]


def test_a_client_without_a_key_is_judged_by_the_one_it_would_be_given() -> None:
    """The decision and the evidence speak of the same key."""
    setup = Setup(ONE, match={"cookie": "visitor", "percent": 50, "issue": "30d"})
    matched = set()
    for _ in range(20):
        found = setup.explain("/A")
        assert found["lanes"][0]["matched"] is (found["decision"]["lane"] == "l")
        matched.add(found["lanes"][0]["matched"])
    assert matched == {True, False}
