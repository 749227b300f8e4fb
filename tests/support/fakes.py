"""Transports and a loop that only note what they are told, so that every step of a test is its own."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

from gateway.instance import Instance
from gateway.proxy.bounds import Http2, Limits
from gateway.proxy.client import Clients
from gateway.proxy.connection import Outbox
from gateway.proxy.context import Context
from gateway.proxy.downstream import Downstream
from gateway.proxy.origins import Origins
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import Upstream
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.patience import Timeouts
from gateway.routing.plans import RoutePlan, make_route
from gateway.routing.replies import RouteResponse
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView
from gateway.routing.services import Turns as RoundRobin
from gateway.routing.snapshot import Snapshot
from gateway.rules.model import LaneGroup
from gateway.telemetry.counters import Traffic
from tests.support import bounds
from tests.support.rules import compiled


class FakeTransport(asyncio.Transport):
    """`written` is what was written; with `takes=False` nothing leaves it, as where the peer does not read.

    Flow control is asyncio's: `protocol` is told when more than `high` bytes wait.
    """

    def __init__(self, protocol: Any = None, takes: bool = True, high: int = 65536) -> None:
        super().__init__()
        self.protocol = protocol
        self.takes = takes
        self.high = high
        self.writes: list[bytes] = []
        self.waiting: list[bytes] = []
        self.is_paused = False
        self.is_closed = False
        self.is_aborted = False
        self.has_written_eof = False
        self._has_paused_protocol = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 40000) if name == "peername" else default

    def is_closing(self) -> bool:
        return self.is_closed

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self.has_written_eof
        if self.is_closed:
            return
        if self.takes:
            self.writes.append(bytes(data))
            return
        self.waiting.append(bytes(data))
        if self.get_write_buffer_size() > self.high and not self._has_paused_protocol:
            self._has_paused_protocol = True
            self.protocol.pause_writing()

    def drain(self) -> None:
        """The peer reads everything that waits."""
        self.writes += self.waiting
        self.waiting = []
        if self._has_paused_protocol:
            self._has_paused_protocol = False
            self.protocol.resume_writing()

    def take(self, size: int) -> None:
        """The peer reads a little of what waits."""
        data = b"".join(self.waiting)
        self.writes.append(data[:size])
        self.waiting = [data[size:]]

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.waiting))

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = self.high if high is None else high

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_written_eof = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Connecting:
    """The part of an event loop that an origin asks for: connections are made at once, or fail with `error`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.time = loop.time
        self.create_future = loop.create_future
        self.made = 0
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.error: Exception | None = None

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.later.append((seconds, callback))

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> None:
        if self.error is not None:
            raise self.error
        self.made += 1
        protocol = factory()
        protocol.connection_made(FakeTransport(protocol))


class Turns:
    """The part of an event loop that runs what was put off, a turn when the test says so.

    The clock goes on by `cost` seconds each time that it is looked at.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.cost = 0.0
        self._soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def clock(self) -> float:
        self.now += self.cost
        return self.now

    @property
    def is_quiet(self) -> bool:
        return not self._soon

    def next(self) -> None:
        """One turn: what it puts off itself is for the one after it."""
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()

    def settle(self) -> None:
        """Turns until nothing is left."""
        while self._soon:
            self.next()


class Wired:
    """A listener without sockets: clients and instances are fake transports, the test is the network.

    `instances`: how many connections to the instance there may be. `/A` goes to service `a` with one instance, `/hello` is answered by the route. Connections to the instance are made
    beforehand (`instance`), or by `connecting` in the slow path.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        inspect_body: int = 0,
        trusted: tuple[IPv4Network, ...] = (),
        http2: Http2 | None = None,
        instances: int = 4,
        plans: tuple[RoutePlan, ...] = (),
    ) -> None:
        self.turns = Turns()
        self.connecting = Connecting(asyncio.get_running_loop())
        self.origins = Origins(instances)
        self.origins._loop = self.connecting  # type: ignore[assignment]
        self.origins.outbox = Outbox(self.turns.call_soon)
        self.origins.queue = RunQueue(self.turns.call_soon, self.turns.clock)
        self.traffic = Traffic()
        self.address = Instance("192.0.2.10", 80)
        routes = RouteTable(
            [
                Route("/A", "a", strip_prefix=True, inspect_body=inspect_body),
                Route("/hello", "", response=RouteResponse(200, b"hello", {})),
                *map(make_route, plans),
            ]
        )
        groups = [LaneGroup.model_validate(BODY_LANE)] if inspect_body else []
        snapshot = Snapshot(1, compiled(groups), routes, {"a": ServiceView("a", [self.address], RoundRobin())})
        self.router = EntryRouter(snapshot, Carriers(), random.Random(1), trusted)
        self.clients = Clients()
        self.context = Context(
            router=self.router,
            origins=self.origins,
            traffic=self.traffic,
            tag_header="x-gray-tag",
            timeouts=timeouts or bounds.Timeouts(),
            limits=limits or bounds.Limits(),
            budget=bounds.RetryBudget(),
            http2=http2 or bounds.Http2(),
        )

    def client(self, takes: bool = True) -> tuple[Downstream, FakeTransport]:
        """A client's connection. `takes`: it reads what it is sent."""
        downstream = Downstream(self.context, self.clients)
        transport = FakeTransport(downstream, takes)
        downstream.connection_made(transport)
        return downstream, transport

    def instance(self, takes: bool = True) -> tuple[Upstream, FakeTransport]:
        """A kept connection to the instance, which the next request takes."""
        origin = self.origins.of(self.address, "a")
        upstream = Upstream(origin)
        transport = FakeTransport(upstream, takes)
        upstream.connection_made(transport)
        origin._pool.open += 1
        origin.release(upstream, self.context.now)
        return upstream, transport

    def pass_time(self, seconds: float) -> None:
        """The tick of the listener, that much later."""
        self.context.now += seconds
        for downstream in list(self.clients.connections):
            if downstream.deadline < self.context.now:
                downstream.deadline_passed()


BODY_LANE = {
    "name": "demo",
    "lanes": [{"name": "gray", "tag": "gray", "match": [{"body": "/group", "equals": "gray"}]}],
}


def refused(reason: str) -> ssl.SSLError:
    """What OpenSSL raises for an alert of the peer."""
    error = ssl.SSLError(1, f"[SSL: {reason}] (_ssl.c:2580)")
    error.reason = reason
    return error
