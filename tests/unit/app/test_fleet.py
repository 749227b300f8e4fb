"""The processes that route: what they are told, and what they have counted together."""

from __future__ import annotations

import os
from typing import Any

import pytest

from gateway.app import fleet as module
from gateway.app.entry_plane import EntryPlane
from gateway.app.fleet import Fleet, WorkerFleet, make_fleet
from gateway.instance import Instance
from gateway.routing.plans import BackendPlan, RoutePlan, RouteSet
from gateway.rules.model import LaneGroup
from gateway.telemetry.counters import Traffic
from tests.support.records import record
from tests.support.roles import gateway_build, gateway_settings
from tests.support.rules import rule_set

RULES = rule_set(
    [
        LaneGroup.model_validate(
            {
                "name": "g",
                "services": ["a"],
                "lanes": [{"name": "l", "tag": "gray", "match": [{"param": "a", "equals": "b"}]}],
            }
        )
    ]
)
ROW = Instance("127.0.0.1", 1).as_row()
ATTACHED = RouteSet((RoutePlan(source="shop/a[0]", backends=(BackendPlan("a"),)),))


class FakeWorkers:
    """See Workers: remembers what workers are told, and has the statistics that a test gives it."""

    def __init__(self, module: str, sockets: Any, greeting: Any, gone: Any, recorded: Any, traced: Any) -> None:
        self.sockets, self.greeting, self.gone, self.recorded, self.traced = sockets, greeting, gone, recorded, traced
        self.log: list[tuple[Any, ...]] = []
        self.sent: list[dict[str, Any]] = []
        self.restarts = 3

    async def start(self) -> None:
        self.log.append(("start",))

    def tell(self, *message: Any) -> None:
        self.log.append(message)

    async def refresh(self) -> None:
        self.log.append(("refresh",))

    async def drain(self, delay: float, timeout: float) -> bool:
        self.log.append(("drain", delay, timeout))
        return False

    async def close(self) -> None:
        self.log.append(("close",))

    def statistics(self) -> list[dict[str, Any]]:
        return self.sent

    def pids(self) -> dict[int, int]:
        return {0: 100, 1: 101}

    def describe(self) -> list[dict[str, object]]:
        return [{"worker": 0}, {"worker": 1}]

    def not_serving(self) -> list[int]:
        return [1]


@pytest.fixture
async def workers(monkeypatch: pytest.MonkeyPatch) -> tuple[WorkerFleet, FakeWorkers]:
    monkeypatch.setattr(module, "Workers", FakeWorkers)
    fleet = make_fleet(gateway_settings(workers=2))
    assert isinstance(fleet, WorkerFleet)
    fleet.configure(1, gateway_build(RULES))
    await fleet.listen(["first", "second", "third"])  # type: ignore[list-item]
    made: Any = fleet._workers
    return fleet, made


def counted(requests: int, service: str = "a") -> dict[str, Any]:
    traffic = Traffic()
    traffic.retries_denied[service] = requests
    return traffic.dump()


def statistics(count: int, **values: Any) -> dict[str, Any]:
    return {
        "traffic": counted(count),
        "origins": {},
        "requests": {},
        "failures": {},
        "ejected": {},
        "mirrored": [],
        **values,
    }


async def test_one_worker_is_this_process() -> None:
    fleet = make_fleet(gateway_settings())
    assert type(fleet) is Fleet
    fleet.configure(4, gateway_build())
    fleet.service_changed("a", (Instance("127.0.0.1", 1),))
    assert fleet.plane.snapshot.revision == 4
    totals = fleet.totals()
    assert totals.traffic is fleet.plane.traffic
    assert (totals.ejected, totals.processes, totals.running, totals.restarts) == (None, {"main": os.getpid()}, 1, 0)
    assert (fleet.workers(), fleet.not_serving()) == ([], [])
    fleet.service_removed("a")
    assert dict(fleet.plane.snapshot.services) == {}
    await fleet.close()


async def test_one_process_drains_as_it_is_told() -> None:
    """Notice first, so that clients go elsewhere: then what is in flight has its time."""

    class Plane(EntryPlane):
        async def drain(self, delay: float, timeout: float) -> bool:
            return (delay, timeout) == (3.0, 7.0)

    fleet = Fleet(Plane(gateway_settings()))
    assert await fleet.drain(3.0, 7.0)
    assert not await fleet.drain(7.0, 3.0)
    await fleet.close()


async def test_a_new_worker_is_told_all_that_there_is(workers: tuple[WorkerFleet, FakeWorkers]) -> None:
    fleet, made = workers
    assert made.sockets == [["first", "third"], ["second"]]
    fleet.service_changed("a", (Instance("127.0.0.1", 1),))
    build = gateway_build(RULES)
    fleet.configure(2, build)
    fleet.attach(ATTACHED)
    assert made.greeting() == [
        ("configure", (2, build.settings, build.rules)),
        ("attach", (ATTACHED,)),
        ("service", ("a", [ROW])),
    ]
    await fleet.close()


async def test_workers_are_told_whatever_changes(workers: tuple[WorkerFleet, FakeWorkers]) -> None:
    """And so is the supervisor's own plane, which explains."""
    fleet, made = workers
    build = gateway_build(RULES)
    fleet.configure(2, build)
    fleet.service_changed("a", (Instance("127.0.0.1", 1),))
    assert list(fleet.plane.snapshot.services) == ["a"]
    fleet.service_removed("a")
    assert list(fleet.plane.snapshot.services) == []
    fleet.attach(ATTACHED)
    assert [route.source for route in fleet.plane.snapshot.routes.routes if route.source] == ["shop/a[0]"]
    fleet.reopen_logs()
    await fleet.refresh()
    assert await fleet.drain(1.0, 2.0) is False
    await fleet.close()
    assert made.log == [
        ("start",),
        ("configure", 2, build.settings, build.rules),
        ("service", "a", [ROW]),
        ("forget", "a"),
        ("attach", ATTACHED),
        ("reopen",),
        ("refresh",),
        ("drain", 1.0, 2.0),
        ("close",),
    ]


async def test_the_totals_are_of_all_workers_that_there_are_and_were(workers: tuple[WorkerFleet, FakeWorkers]) -> None:
    fleet, made = workers
    fleet.service_changed("a", (Instance("127.0.0.1", 1),))
    made.gone(statistics(100))
    made.sent = [
        statistics(1, origins={"x": (1, 2, 3, 4)}, requests={"x": 5}, failures={"w": 1}, ejected={"a": ["x"], "b": []}),
        statistics(
            10,
            origins={"x": (10, 20, 30, 40), "y": (0, 1, 0, 0)},
            requests={"x": 50, "y": 0},
            failures={"w": 2},
            ejected={"a": ["y"]},
        ),
    ]
    totals = fleet.totals()
    assert dict(totals.traffic.retries_denied) == {"a": 111}
    assert totals.connections == {"x": (11, 22, 33, 44), "y": (0, 1, 0, 0)}
    assert totals.requests == {"x": 55, "y": 0}
    assert totals.ejected == {"a": {"x", "y"}, "b": set()}
    assert totals.failures["w"] == 3
    assert totals.processes == {"main": os.getpid(), "worker-0": 100, "worker-1": 101}
    assert (totals.running, totals.restarts) == (2, 3)
    assert (fleet.workers(), fleet.not_serving()) == ([{"worker": 0}, {"worker": 1}], [1])
    await fleet.close()


async def test_of_a_service_that_is_gone_nothing_is_kept(workers: tuple[WorkerFleet, FakeWorkers]) -> None:
    fleet, made = workers
    fleet.service_changed("a", (Instance("127.0.0.1", 1),))
    made.gone(statistics(100))
    fleet.service_removed("a")
    assert dict(fleet.totals().traffic.retries_denied) == {}
    await fleet.close()


async def test_the_records_of_all_workers_are_taken_in_order_and_once(
    workers: tuple[WorkerFleet, FakeWorkers],
) -> None:
    fleet, made = workers
    later, earlier = record(time=2.0), record(time=1.0)
    made.recorded([later])
    made.recorded([earlier])
    assert fleet.take_records() == [earlier, later]
    assert fleet.take_records() == []
    size = gateway_settings().records.size
    made.recorded([record(time=float(number)) for number in range(size + 10)])
    assert len(fleet.take_records()) == size
    await fleet.close()


async def test_what_listens_in_workers_does_not_listen_here() -> None:
    fleet = WorkerFleet(EntryPlane(gateway_settings(workers=2)), gateway_settings(workers=2))
    assert fleet.greeting() == []
    fleet.configure(1, gateway_build())
    assert (fleet.workers(), fleet.not_serving(), fleet.totals().running) == ([], [], 0)
    assert await fleet.drain(0.0, 0.0)
    await fleet.refresh()
    await fleet.close()
