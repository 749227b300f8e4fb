"""The processes of an entry gateway that route: this one, or workers that this one feeds."""

from __future__ import annotations

import os
import socket
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from gateway.app.build import Build
from gateway.app.entry_plane import EntryPlane
from gateway.app.sockets import dealt
from gateway.control.channel import Message
from gateway.control.workers import Workers
from gateway.daemons import failures
from gateway.instance import Instance
from gateway.proxy.origins import Connections
from gateway.routing.plans import RouteSet
from gateway.settings.gateway import GatewaySettings
from gateway.telemetry.counters import Traffic
from gateway.telemetry.request_record import RequestRecord
from gateway.telemetry.traced_request import TracedRequest

WORKER = "gateway.app.worker_process"
"""What a worker runs."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What all processes have counted and have open."""

    traffic: Traffic
    connections: Connections
    requests: Mapping[str, int]
    """Requests under way at each address."""
    ejected: Mapping[str, set[str]] | None
    """Addresses that are out in some worker, by service; None: this process routes, and its snapshot says so."""
    failures: Mapping[str, int]
    """How often work in the background has failed, by what it is."""
    processes: Mapping[str, int]
    """Process ids, by what the processes are called."""
    running: int = 1
    """Processes that route."""
    restarts: int = 0
    """Workers that ended and were started again."""
    mirrored: Sequence[Mapping[str, Any]] = ()
    """The latest copies for lanes that mirror whose response was different, the oldest first."""


class Fleet:
    """This process alone: its plane does what it is asked to do. `plane` explains, no matter which process routes."""

    def __init__(self, plane: EntryPlane) -> None:
        self.plane = plane

    def configure(self, revision: int, build: Build[GatewaySettings]) -> None:
        """See Plane."""
        self.plane.configure(revision, build)

    def attach(self, routes: RouteSet) -> None:
        """See EntryPlane."""
        self.plane.attach(routes)

    def service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        """See Plane."""
        self.plane.service_changed(service, instances)

    def service_removed(self, service: str) -> None:
        """See Plane."""
        self.plane.service_removed(service)

    def reopen_logs(self) -> None:
        """See Plane."""
        self.plane.reopen_log()

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Begins to serve on listening sockets. Raises StartError if that is not possible."""
        await self.plane.listen(sockets)

    async def drain(self, delay: float, timeout: float) -> bool:
        """See `Listener.drain`."""
        return await self.plane.drain(delay, timeout)

    async def close(self) -> None:
        """Closes everything at once."""
        await self.plane.close()

    def take_records(self) -> list[RequestRecord]:
        """The records of requests since the last time."""
        return self.plane.taker.take()

    def take_traced(self) -> list[TracedRequest]:
        """The requests of sampled traces since the last time."""
        return self.plane.taker.take_traced()

    async def refresh(self) -> None:
        """Fetches from other processes what `totals` returns, if there are any."""

    def totals(self) -> Totals:
        """What was counted, and is open now."""
        plane = self.plane
        plane.statistics()
        origins, running = plane.origins, {"main": os.getpid()}
        counted = plane.traffic, origins.statistics(), origins.requests(), None, dict(failures), running
        return Totals(*counted, mirrored=plane.mirrored)

    def workers(self) -> list[dict[str, object]]:
        """Each worker as plain values."""
        return []

    def not_serving(self) -> list[int]:
        """The numbers of workers whose socket nobody accepts connections from at this moment."""
        return []


class WorkerFleet(Fleet):
    """The workers. This process gives each of them whatever it receives itself, and its own plane does not listen."""

    def __init__(self, plane: EntryPlane, settings: GatewaySettings) -> None:
        super().__init__(plane)
        self._count = settings.workers
        self._workers: Workers | None = None
        self._revision = 0
        self._build: Build[GatewaySettings] | None = None
        self._gone = Traffic(plane.knows)
        """What workers had counted that are there no more."""
        self._records: deque[RequestRecord] = deque(maxlen=settings.records.size)
        self._traced: list[TracedRequest] = []
        """What workers have sent, and nobody has taken yet."""

    def configure(self, revision: int, build: Build[GatewaySettings]) -> None:
        """See Fleet."""
        super().configure(revision, build)
        self._revision, self._build = revision, build
        self._tell("configure", revision, build.settings, build.rules)
        self._gone.retain_lanes({(lane.group, lane.name) for lane in build.compiled.lanes})

    def attach(self, routes: RouteSet) -> None:
        """See Fleet."""
        super().attach(routes)
        self._tell("attach", routes)

    def service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        """See Fleet."""
        super().service_changed(service, instances)
        self._tell("service", service, [instance.as_row() for instance in instances])

    def service_removed(self, service: str) -> None:
        """See Fleet."""
        super().service_removed(service)
        self._gone.forget_service(service)
        self._tell("forget", service)

    def reopen_logs(self) -> None:
        """See Fleet."""
        self._tell("reopen")

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """See Fleet."""
        self._workers = Workers(
            WORKER, dealt(sockets, self._count), self.greeting, self._worker_gone, self._records.extend, self._take_in
        )
        await self._workers.start()

    async def drain(self, delay: float, timeout: float) -> bool:
        """See Fleet."""
        return self._workers is None or await self._workers.drain(delay, timeout)

    async def close(self) -> None:
        """See Fleet."""
        if self._workers is not None:
            await self._workers.close()
        await super().close()  # it does not listen, but checks instances as the workers do

    def take_records(self) -> list[RequestRecord]:
        """See Fleet."""
        taken = sorted(self._records, key=lambda record: record.time)
        self._records.clear()
        return taken

    def take_traced(self) -> list[TracedRequest]:
        """See Fleet."""
        taken, self._traced = self._traced, []
        return taken

    def _take_in(self, traced: list[TracedRequest]) -> None:
        self._traced += traced

    async def refresh(self) -> None:
        """See Fleet."""
        if self._workers is not None:
            await self._workers.refresh()

    def totals(self) -> Totals:
        """See Fleet: of the workers that there are, and the traffic of those that there were."""
        traffic = Traffic(self.plane.knows)
        traffic.add(self._gone.dump())
        connections: Connections = {}
        requests: Counter[str] = Counter()
        ejected: dict[str, set[str]] = {}
        failed = Counter(failures)
        mirrored: list[dict[str, Any]] = []
        for statistics in self._statistics():
            traffic.add(statistics["traffic"])
            failed.update(statistics["failures"])
            mirrored += statistics["mirrored"]
            requests.update(statistics["requests"])
            for address, counts in statistics["origins"].items():
                before = connections.get(address, (0, 0, 0, 0))
                active, idle, draining, tunnels = (mine + more for mine, more in zip(before, counts, strict=True))
                connections[address] = (active, idle, draining, tunnels)
            for service, addresses in statistics["ejected"].items():
                ejected.setdefault(service, set()).update(addresses)
        pids = {} if self._workers is None else self._workers.pids()
        return Totals(
            traffic,
            connections,
            requests,
            ejected,
            failed,
            {"main": os.getpid(), **{f"worker-{index}": pid for index, pid in pids.items()}},
            mirrored=sorted(mirrored, key=itemgetter("time")),
            running=len(pids),
            restarts=0 if self._workers is None else self._workers.restarts,
        )

    def workers(self) -> list[dict[str, object]]:
        """See Fleet."""
        return [] if self._workers is None else self._workers.describe()

    def not_serving(self) -> list[int]:
        """See Fleet."""
        return [] if self._workers is None else self._workers.not_serving()

    def greeting(self) -> list[Message]:
        """Everything that a new worker has to know."""
        if self._build is None:
            return []
        views = self.plane.snapshot.services.values()
        return [
            ("configure", (self._revision, self._build.settings, self._build.rules)),
            ("attach", (self.plane.attached,)),
            *(("service", (view.name, [instance.as_row() for instance in view.instances])) for view in views),
        ]

    def _tell(self, name: str, *values: Any) -> None:
        if self._workers is not None:
            self._workers.tell(name, *values)

    def _statistics(self) -> list[dict[str, Any]]:
        return [] if self._workers is None else self._workers.statistics()

    def _worker_gone(self, statistics: dict[str, Any]) -> None:
        self._gone.add(statistics["traffic"], alive=False)


def make_fleet(settings: GatewaySettings) -> Fleet:
    """As many processes as the settings say."""
    plane = EntryPlane(settings)
    return Fleet(plane) if settings.workers == 1 else WorkerFleet(plane, settings)
