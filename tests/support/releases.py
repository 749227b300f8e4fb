"""A release server in this process with everything around it faked: targets, gateways, time and the moment at which it dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from gateway.release.mesh import LaneRefused, Mesh, MeshError, Sample
from gateway.release.order import Order, Task
from gateway.release.plan import Wish
from gateway.release.service import Releases
from gateway.release.settings import ReleaseConfig, load_release
from gateway.release.states import State
from gateway.release.store import Change, Store, StoreError
from gateway.release.targets.base import Phase, Place, Replica, Revision
from gateway.release.targets.workload import workload_of
from tests.support.release import write_files

CONFIG = """\
entry: http://127.0.0.1:1
gateways: ["127.0.0.1:9900"]
files: release
state: state
targets:
  local: {kind: processes, registry: {kind: nacos, address: 127.0.0.1:8848}}
"""


class Killed(BaseException):
    """What kill -9 is in this process: nothing catches it, nothing is cleaned up."""


@dataclass
class FakeTarget:
    """Instances that are there at once, and ready at the next look, but for those of a version in `broken`."""

    broken: set[str] = field(default_factory=set)
    replicas: dict[tuple[str, str], list[Replica]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    """Every instance that was ever started: environment, application, revision and number."""
    before: Callable[[str], None] = lambda _: None

    async def replicas_wanted(self, revision: Revision) -> int:
        return workload_of(revision).replicas

    async def observe(self, place: Place) -> tuple[Replica, ...]:
        key = place.environment, place.application
        seen = tuple(self.replicas.get(key, ()))
        self.replicas[key] = [
            item if item.version in self.broken else replace(item, phase=Phase.READY)
            for item in seen
            if item.phase is not Phase.LEAVING
        ]
        return seen

    async def apply(self, place: Place, revision: Revision, replicas: int) -> None:
        self.before("apply")
        there = self.replicas.setdefault((place.environment, place.application), [])
        mine = [item for item in there if item.revision == revision.name and item.phase is not Phase.LEAVING]
        workload = workload_of(revision)
        for _ in range(replicas - len(mine)):
            number = str(len(self.started) + 1)
            self.started.append(f"{place.environment} {place.application} {revision.version} {number}")
            phase = Phase.BROKEN if revision.version in self.broken else Phase.STARTING
            message = "it ended unexpectedly" if revision.version in self.broken else ""
            there.append(
                Replica(number, revision.name, revision.version, phase, workload.service, workload.tag,
                        f"127.0.0.1:{2000 + int(number)}", f"127.0.0.1:{3000 + int(number)}", 0, message)
            )  # fmt: skip
        await self.scale(place, revision.name, replicas)

    async def scale(self, place: Place, revision: str, replicas: int) -> None:
        self.before("scale")
        there = self.replicas.get((place.environment, place.application), [])
        mine = [item for item in there if item.revision == revision and item.phase is not Phase.LEAVING]
        for item in mine[replicas:]:
            there[there.index(item)] = replace(item, phase=Phase.LEAVING)

    async def remove(self, place: Place) -> None:
        self.before("remove")
        for item in list(self.replicas.get((place.environment, place.application), [])):
            await self.scale(place, item.revision, 0)

    async def admins(self) -> dict[str, str]:
        return {item.admin: item.service for items in self.replicas.values() for item in items}

    def running(self) -> dict[str, list[str]]:
        """The versions that run, by place."""
        return {
            f"{environment} {app}": [item.version for item in items if item.phase is not Phase.LEAVING]
            for (environment, app), items in sorted(self.replicas.items())
            if items
        }


class FakeMesh(Mesh):
    """A gateway with one lane, which notes what it is told."""

    def __init__(self, before: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(["127.0.0.1:9900"])
        self.is_open = False
        self.percent: float | None = None
        self.told: list[str] = []
        self.unknown: set[str] = set()
        """Services whose instances nobody knows yet."""
        self.busy = 0
        self.refuses = ""
        self.is_away = False
        self.counted: list[list[Sample]] = []
        self.before = before
        self.guarded: dict[tuple[str, str], dict[str, Any]] = {}
        """What the guards of lanes say."""

    async def not_knowing(self, wanted: Mapping[str, str], sidecars: Any) -> dict[str, list[str]]:
        self._check()
        return {address: ["127.0.0.1:9900"] if service in self.unknown else [] for address, service in wanted.items()}

    async def lane_is(self, admin: str, group: str, lane: str) -> bool | None:
        self._check()
        return self.is_open if (group, lane) == ("demo", "gray") else None

    async def guards(self, admin: str) -> dict[tuple[str, str], dict[str, Any]]:
        self._check()
        return self.guarded

    async def switch_lane(self, admin: str, group: str, lane: str, enabled: bool, author: str) -> None:
        self._check()
        self.before("lane")
        if self.refuses:
            raise LaneRefused(self.refuses)
        self.is_open = enabled
        self.told.append("open" if enabled else "close")

    async def percent_of(self, admin: str, group: str, lane: str) -> float | None:
        return self.percent

    async def set_percent(self, admin: str, group: str, lane: str, percent: float, author: str) -> None:
        self.percent = percent

    async def in_flight(self, admin: str) -> int:
        busy, self.busy = self.busy, max(0, self.busy - 1)
        return busy

    async def samples(self, admin: str) -> list[Sample]:
        return self.counted.pop(0) if self.counted else []

    def _check(self) -> None:
        if self.is_away:
            raise MeshError("127.0.0.1:9900 cannot be asked: connection refused")


class FragileStore(Store):
    """A database that may be away, or die with the server before or after its n-th write."""

    synchronous = "OFF"  # the tests kill servers, not machines
    is_away = ""
    dies_at: tuple[int, str] | None = None
    writes = 0

    async def write(self, change: Change) -> None:
        self.writes += 1
        if self.is_away:
            raise StoreError(f"the database of the release server: {self.is_away}")
        if self.dies_at == (self.writes, "before"):
            raise Killed
        await super().write(change)
        if self.dies_at == (self.writes, "after"):
            raise Killed


def config_in(folder: Path, changed: Mapping[str, str | None] | None = None, more: str = "") -> ReleaseConfig:
    """A configuration with its files."""
    write_files(folder / "release", changed)
    (folder / "release.yaml").write_text(CONFIG + more)
    return load_release(folder / "release.yaml")


class Bench:
    """The server over its fakes. `again` is another one after a kill: same database, same target, same gateway."""

    def __init__(self, folder: Path, changed: Mapping[str, str | None] | None = None, more: str = "") -> None:
        self.config = config_in(folder, changed, more)
        self.target = FakeTarget()
        self.mesh = FakeMesh()
        self.clock = 1_000_000.0
        self._catalog: Any = None  # read once
        self.server: Releases

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()

    async def begin(self) -> None:
        """Starts a server."""
        store = FragileStore(self.config.state, self.config.settings.database)
        self.server = Releases(
            self.config, targets={"local": self.target}, mesh=self.mesh, store=store, now=lambda: self.clock
        )
        self.server._catalog = self._catalog
        await self.server.start()
        self._catalog = self.server._catalog
        await self.server.engine.close()  # it is looked by hand

    @property
    def store(self) -> FragileStore:
        assert isinstance(self.server.store, FragileStore)
        return self.server.store

    async def run(self, **apps: str | None) -> int:
        """Begins an order by alice."""
        order = await self.server.run(Wish(apps, "alice", "a test", images={(None, "backend"): "shop:1"}))
        return order.id

    async def drive(self, number: int, looks: int = 400) -> Order:
        """Looks until the order ends, fails, or waits for a person. Returns it."""
        for _ in range(looks):
            order = self.server.ledger.active.get(number)
            if order is None or order.state in (State.FAILED, State.SUSPENDED):
                break
            if any(task.state is State.SUSPENDED for task in order.current()):
                break
            await self.server.engine.look(number)
        found = await self.server.store.order(number)
        assert found is not None
        return found

    async def settle(self, number: int) -> Order:
        """Drives an order to its end, approving what asks for it as alice."""
        while True:
            order = await self.drive(number)
            waits = [task for task in order.current() if task.state is State.SUSPENDED]
            if not waits or order.state is not State.RUNNING:
                return order
            if waits[0].kind == "approve":
                if not waits[0].approvals:
                    await self.server.actions.vote(number, "alice", "fine", True)
            else:
                await self.server.actions.promote(number, "alice", "go on")
            await self.server.engine.look(number)


def states(order: Order) -> dict[str, str]:
    """The state of each task by name."""
    return {task.name: str(task.state) for task in order.tasks}


def task_of(order: Order, kind: str) -> Task:
    """The first task of a kind."""
    return next(task for task in order.tasks if task.kind == kind)


async def turn() -> None:
    """Lets everybody else have a turn."""
    await asyncio.sleep(0)
