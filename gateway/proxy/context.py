"""What all connections of one listener share: settings, router, origins, counters and a coarse clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from gateway.http.request import HeadReader, Request
from gateway.routing.plan import Peer, Plan
from gateway.telemetry.counters import Traffic

if TYPE_CHECKING:
    from gateway.proxy.downstream import Downstream
    from gateway.proxy.origin import Origins


class Router(Protocol):
    """Decides where a request goes: synchronously, and without ever raising."""

    def is_trusted(self, ip: str) -> bool:
        """Whether a client at this address may say who it speaks for."""
        ...

    def route(self, request: Request, peer: Peer, now: float) -> Plan:
        """The decision for one request and the head to forward."""
        ...


class Timeouts:
    """Seconds that the proxy waits: see `docs/configuration.md`, `timeouts`."""

    __slots__ = ("answer", "body_idle", "connect", "head", "keep_alive", "upstream_idle")

    def __init__(
        self,
        head: float = 10.0,
        body_idle: float = 60.0,
        connect: float = 2.0,
        answer: float = 30.0,
        keep_alive: float = 75.0,
        upstream_idle: float = 4.0,
    ) -> None:
        self.head = head
        self.body_idle = body_idle
        self.connect = connect
        self.answer = answer
        self.keep_alive = keep_alive
        self.upstream_idle = upstream_idle


class Context:
    """One listener's shared state. `now` is seconds on the loop's clock, at most a tick old."""

    __slots__ = (
        "connections",
        "head_bytes",
        "header_count",
        "is_draining",
        "learn",
        "loop",
        "now",
        "origins",
        "reader",
        "router",
        "tasks",
        "timeouts",
        "traffic",
        "trusted_reader",
    )

    def __init__(
        self,
        router: Router,
        origins: Origins,
        traffic: Traffic,
        tag_header: str = "x-gray-tag",
        timeouts: Timeouts | None = None,
        head_bytes: int = 65536,
        header_count: int = 100,
        learn: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.router = router
        self.origins = origins
        self.traffic = traffic
        self.reader = HeadReader(tag_header)
        self.trusted_reader = HeadReader(tag_header, keeps_forwarded=True)
        self.timeouts = timeouts or Timeouts()
        self.head_bytes = head_bytes
        self.header_count = header_count
        self.learn = learn
        self.now: float = self.loop.time()
        self.is_draining: bool = False
        self.connections: set[Downstream] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs the slow path of an exchange; the set keeps the task alive until it is done."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
