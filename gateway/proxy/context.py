"""What all connections of one listener share: settings, router, origins, counters and a coarse clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from gateway.health.ejection import Ejector
from gateway.http.request import HeadReader, Request
from gateway.http.response import ResponseReader
from gateway.proxy.budget import RetryBudget
from gateway.proxy.connection import Outbox
from gateway.proxy.runqueue import RunQueue
from gateway.routing.plan import Peer, Plan
from gateway.telemetry.counters import Traffic

if TYPE_CHECKING:
    from gateway.proxy.access_log import AccessLog
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
    """Seconds that the proxy waits: see `docs/limits.md`."""

    __slots__ = ("answer", "body_grace", "body_idle", "connect", "head", "keep_alive", "tunnel_idle", "upstream_idle")

    def __init__(
        self,
        head: float = 10.0,
        body_idle: float = 60.0,
        connect: float = 2.0,
        answer: float = 30.0,
        keep_alive: float = 75.0,
        upstream_idle: float = 4.0,
        body_grace: float = 10.0,
        tunnel_idle: float = 3600.0,
    ) -> None:
        self.head = head
        self.body_idle = body_idle
        self.body_grace = body_grace
        self.connect = connect
        self.answer = answer
        self.keep_alive = keep_alive
        self.upstream_idle = upstream_idle
        self.tunnel_idle = tunnel_idle


class Limits:
    """What one listener accepts at most: bytes, counts, and bytes per second. See `docs/limits.md`."""

    __slots__ = (
        "body_rate",
        "connections",
        "connections_per_client",
        "head_bytes",
        "header_count",
        "in_flight",
        "inspected_bytes",
        "pipelined_bytes",
        "target_bytes",
        "tunnels",
        "tunnels_per_client",
    )

    def __init__(
        self,
        head_bytes: int = 65536,
        header_count: int = 100,
        target_bytes: int = 16384,
        pipelined_bytes: int = 65536,
        body_rate: int = 500,
        connections: int = 10_000,
        connections_per_client: int = 2_000,
        in_flight: int = 4_096,
        inspected_bytes: int = 67_108_864,
        tunnels: int = 5_000,
        tunnels_per_client: int = 500,
    ) -> None:
        self.head_bytes = head_bytes
        self.header_count = header_count
        self.target_bytes = target_bytes
        self.pipelined_bytes = pipelined_bytes
        self.body_rate = body_rate
        self.connections = connections
        self.connections_per_client = connections_per_client
        self.in_flight = in_flight
        self.inspected_bytes = inspected_bytes
        self.tunnels = tunnels
        self.tunnels_per_client = tunnels_per_client


class Context:
    """One listener's shared state. `now` is seconds on the loop's clock, at most a tick old.

    `name` is the listener's: `entry`, `inbound` or `outbound`. `learn` asks the registry for a service that the router
    does not know; `ejector` is told how instances answer; `scheme` is what clients speak here, `http` or `https`.
    `inspected` counts the bytes of bodies that are kept for rules now, `tunnels` the tunnels that are open or asked for.
    """

    __slots__ = (
        "budget",
        "by_client",
        "connections",
        "ejector",
        "inspected",
        "is_draining",
        "learn",
        "limits",
        "log",
        "loop",
        "name",
        "now",
        "origins",
        "outbox",
        "queue",
        "reader",
        "response_reader",
        "router",
        "scheme",
        "tasks",
        "timeouts",
        "traffic",
        "trusted_reader",
        "tunnels",
        "tunnels_by_client",
    )

    def __init__(
        self,
        router: Router,
        origins: Origins,
        traffic: Traffic,
        tag_header: str = "x-gray-tag",
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        budget: RetryBudget | None = None,
        learn: Callable[[str], Awaitable[bool]] | None = None,
        log: AccessLog | None = None,
        name: str = "entry",
        scheme: str = "http",
        debug_header: str = "",
        ejector: Ejector | None = None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.outbox: Outbox = origins.outbox
        self.queue: RunQueue = origins.queue
        self.inspected: int = 0
        self.router = router
        self.origins = origins
        self.ejector = ejector
        self.traffic = traffic
        self.timeouts = timeouts or Timeouts()
        self.limits = limits or Limits()
        self.budget = budget or RetryBudget()
        most = self.limits
        is_secure = scheme == "https"
        self.reader = HeadReader(tag_header, False, most.target_bytes, most.header_count, debug_header, is_secure)
        self.trusted_reader = HeadReader(
            tag_header, True, most.target_bytes, most.header_count, debug_header, is_secure
        )
        self.response_reader = ResponseReader(most.head_bytes, most.header_count)
        self.learn = learn
        self.log = log
        self.name = name
        self.scheme = scheme
        self.now: float = self.loop.time()
        self.is_draining: bool = False
        self.connections: set[Downstream] = set()
        self.by_client: dict[str, int] = {}
        self.tunnels: int = 0
        self.tunnels_by_client: dict[str, int] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], caught: Callable[[Exception], None]) -> None:
        """Runs the slow path of an exchange; the set keeps the task alive until it is done. `caught` takes what it raises."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(lambda task: self._done(task, caught))

    def _done(self, task: asyncio.Task[None], caught: Callable[[Exception], None]) -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            caught(error)
