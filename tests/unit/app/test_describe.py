"""What is known, as plain values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from gateway.app.describe import describe_lanes, describe_registries, describe_services, unheard_of
from gateway.control.drains import Drains
from gateway.instance import Instance
from gateway.live.hits import LaneHits
from gateway.registry.keeper import ServiceState
from gateway.registry.several import Registries
from gateway.routing.routes import RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.match import CompiledRules
from gateway.telemetry.counters import Traffic
from tests.support.roles import GROUPS
from tests.support.rules import NOW, rule_set

HERE, GONE = Instance("10.0.0.1", 1), Instance("10.0.0.2", 1)


def state(registry: str, name: str, **values: Any) -> ServiceState:
    plain: dict[str, Any] = {
        "service": "a",
        "registry": registry,
        "state": name,
        "age": 1.23456,
        "reason": "",
        "instances": (),
        "skipped": 0,
        "left_out": {},
        "is_forced": False,
        "errors": {},
        "kept": frozenset(),
    }
    return cast("ServiceState", SimpleNamespace(**plain | values))


def registries(*states: ServiceState) -> Registries:
    return cast("Registries", SimpleNamespace(states=lambda: {"a": list(states)} if states else {}, keepers={}))


def snapshot() -> Snapshot:
    view = ServiceView("a", (HERE, GONE), Turns())
    return Snapshot(1, CompiledRules.empty(), RouteTable(()), {"a": view})


def test_the_most_troubled_registry_speaks_for_a_service() -> None:
    known = registries(
        state("one", "fresh", instances=(HERE,)),
        state("two", "stale", age=9.0, reason="away", instances=(GONE,), kept=frozenset({GONE.address})),
    )
    drains = Drains(lambda *_: None)
    drains.know([{"service": "a", "address": HERE.address, "author": "bob", "reason": "a disk", "at": 5.0}])
    [service] = describe_services(known, snapshot(), drains, {HERE.address: 7}, {"a": {HERE.address}})
    assert (service["service"], service["state"], service["age"], service["reason"]) == ("a", "stale", 9.0, "away")
    one, two = cast("list[dict[str, Any]]", service["registries"])
    assert (one["registry"], one["state"], one["age"], one["reason"], one["instances"]) == (
        "one",
        "fresh",
        1.235,
        None,
        1,
    )
    assert (two["registry"], two["state"], two["reason"]) == ("two", "stale", "away")
    [pool] = cast("list[dict[str, Any]]", service["pools"])
    assert {item["address"]: (item["ejected"], item["kept"]) for item in pool["instances"]} == {
        HERE.address: (True, False),
        GONE.address: (False, True),
    }
    assert {item["address"]: (item["drained"], item["in_flight"]) for item in pool["instances"]} == {
        HERE.address: ({"author": "bob", "reason": "a disk", "at": 5.0}, 7),
        GONE.address: (None, 0),
    }


def test_an_instance_that_some_registry_lists_is_not_kept_against_what_is_known() -> None:
    known = registries(
        state("one", "fresh", instances=(GONE,)),
        state("two", "stale", instances=(GONE,), kept=frozenset({GONE.address})),
    )
    [service] = describe_services(known, snapshot(), Drains(lambda *_: None), {})
    [pool] = cast("list[dict[str, Any]]", service["pools"])
    assert [item["kept"] for item in pool["instances"]] == [False, False]


def test_a_service_that_nothing_is_known_of_has_no_pools() -> None:
    empty = Snapshot(1, CompiledRules.empty(), RouteTable(()), {})
    [service] = describe_services(registries(state("one", "unknown")), empty, Drains(lambda *_: None), {})
    assert service["pools"] == []
    assert describe_services(registries(), empty, Drains(lambda *_: None), {}) == []


def test_what_no_registry_has_reported_on_is_a_reason_to_wait() -> None:
    reason = "service a: the registry has not responded yet (away)"
    assert unheard_of(registries(state("one", "unknown", reason="away"))) == [reason]
    assert unheard_of(registries(state("one", "unknown"))) == [
        "service a: the registry has not responded yet (waiting)"
    ]
    assert unheard_of(registries(state("one", "unknown"), state("two", "fresh", instances=(HERE,)))) == []
    assert unheard_of(registries(state("one", "fresh"))) == []


def test_a_service_that_only_attached_routes_lead_to_is_waited_for_at_the_start_unless_it_cannot_be_known() -> None:
    waiting, failed = registries(state("one", "unknown")), registries(state("one", "unknown", reason="forbidden"))
    assert len(unheard_of(waiting, {"a"})) == 1
    assert len(unheard_of(waiting, {"other"}, was_ready=True)) == 1
    assert unheard_of(waiting, {"a"}, was_ready=True) == []
    assert unheard_of(failed, {"a"}) == []


def test_a_registry_says_how_its_services_fare() -> None:
    keeper = SimpleNamespace(
        adapter=SimpleNamespace(describe=lambda: {"kind": "nacos"}),
        states=lambda: [state("one", "fresh"), state("one", "stale"), state("one", "unknown")],
    )
    known = cast("Registries", SimpleNamespace(keepers={"one": keeper}))
    expected = {"name": "one", "kind": "nacos", "services": 3, "troubled": 2}
    assert describe_registries(known) == [expected]
    registration = cast("Any", SimpleNamespace(describe=lambda: {"state": "registered"}))
    assert describe_registries(known, {"one": registration}) == [{**expected, "registration": {"state": "registered"}}]


def test_lanes_are_told_in_the_order_in_which_they_are_tried() -> None:
    hits = LaneHits()
    hits.look({"g": {"entry": 3}}, 100.0)
    first, second = describe_lanes(rule_set(GROUPS), hits, NOW)
    assert first == {
        "group": "g",
        "lane": "entry",
        "tag": "gray",
        "enabled": True,
        "services": ["a"],
        "owner": None,
        "expires": None,
        "percent": None,
        "schedule": None,
        "guard": None,
        "fault": None,
        "mirror": None,
        "hits": 3,
        "last_hit": 100.0,
    }
    assert (second["group"], second["lane"], second["hits"], second["last_hit"]) == ("h", "sidecar", 0, None)


STEPS = [{"at": NOW, "percent": 1.0}, {"at": NOW + 3600, "percent": 5.0}]


def test_a_lane_says_its_share_of_the_moment_what_comes_next_and_what_its_guard_knows() -> None:
    plan = {"start": "2027-01-15T08:00:00Z", "steps": ["1"], "over": "1h"}
    lane = {"name": "l", "tag": "t", "match": [{"cookie": "uid", "percent": "5"}], "schedule": plan}
    held = {**lane, "name": "held", "match": [{"header": "x", "percent": "5"}], "schedule": {**plan, "hold": "1"}}
    rules = rule_set([{"name": "g", "lanes": [lane, held]}])
    first, second = describe_lanes(rules, LaneHits(), NOW, lambda group, lane: {"of": f"{group}/{lane.name}"})
    assert (first["percent"], first["schedule"], first["guard"]) == (
        1.0,
        {"ends_with": 5.0, "held": False, "next": {"at": NOW + 3600, "percent": 5.0}, "steps": STEPS},
        {"of": "g/l"},
    )
    assert (second["percent"], second["schedule"]) == (
        1.0,
        {"ends_with": 5.0, "held": True, "next": None, "steps": STEPS},
    )


def test_a_lane_says_what_it_does_to_its_requests_and_what_came_of_copies() -> None:
    drill = {"delay": "200ms", "abort": 503, "percent": 10, "services": ["b"]}
    lane = {
        "name": "l",
        "tag": "t",
        "match": [{"header": "x", "exists": True}],
        "fault": drill,
        "mirror": {"percent": 5},
    }
    traffic = Traffic(lambda *_: True)
    traffic.count_fault("a", "t", "delay")
    traffic.count_fault("b", "t", "delay")
    traffic.count_fault("a", "u", "abort")
    for result in ("same", "same", "different"):
        traffic.count_mirrored("a", "t", result)
    [found] = describe_lanes(rule_set([{"name": "g", "lanes": [lane]}]), LaneHits(), NOW, traffic=traffic)
    assert found["fault"] == {
        "delay": 0.2,
        "abort": 503,
        "percent": 10.0,
        "services": ["b"],
        "injected": {"delay": 2, "abort": 0},
    }
    assert found["mirror"] == {
        "percent": 5.0,
        "methods": ["GET", "HEAD", "OPTIONS"],
        "results": {"same": 2, "different": 1, "failed": 0, "skipped": 0, "dropped": 0},
    }
