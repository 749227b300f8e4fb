"""The real proxy without sockets: Downstream, Exchange and Upstream over transports that only note what is written."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.http.request import Request
from gateway.instance import Instance
from gateway.proxy.client import Clients
from gateway.proxy.connection import Connection, Outbox
from gateway.proxy.context import Context
from gateway.proxy.downstream import Downstream
from gateway.proxy.origins import Origins
from gateway.proxy.own_responses import CONTINUE
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import Upstream
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.peer import Peer
from gateway.routing.router import UNREAD
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.routing.verdict import Verdict
from gateway.telemetry.counters import Traffic
from tests.support.bounds import Limits, RetryBudget, Timeouts
from tests.support.rules import compiled

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
HEAD_BYTES = 2048
"""The limit of a head, lower than in production like those beside it, so that short inputs reach them."""

_INSTANCE = Instance("192.0.2.10", 80)


class Pipe(asyncio.Transport):
    """A transport whose writes are a list."""

    def __init__(self, on_abort: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False
        self._on_abort = on_abort

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 40000) if name == "peername" else default

    def is_closing(self) -> bool:
        return self.is_closed

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self.is_closed:
            self.writes.append(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.is_closed = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True
        self._on_abort()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)


class AtOnce(Outbox):
    """Sends each write by itself: one write, one answer."""

    def put(self, connection: Connection) -> None:
        connection.flush()


class RecordingRouter(EntryRouter):
    """Routes everything to one instance, and keeps the requests it was asked about."""

    __slots__ = ("requests", "sent")

    def __init__(self, snapshot: Snapshot, sent: list[bytes]) -> None:
        super().__init__(snapshot, Carriers(), random.Random(1))
        self.requests: list[tuple[Request, int]] = []
        self.sent = sent

    def route(self, request: Request, peer: Peer, now: float, content: Any = UNREAD) -> Verdict:
        self.requests.append((request, len(self.sent)))
        return super().route(request, peer, now, content)


@dataclass
class Conversation:
    """What one client connection came to: the requests taken, what each sent upstream, the statuses answered."""

    requests: list[Request] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    is_closed: bool = False

    @property
    def refusal(self) -> int:
        """The error status that ended the connection, or 0."""
        last = self.statuses[-1] if self.statuses else 0
        return last if last >= 400 and self.is_closed else 0

    @property
    def completed(self) -> int:
        """How many requests were read to their end, and answered."""
        return len(self.statuses) - bool(self.refusal)


@dataclass
class Relay:
    """What an upstream's answer came to. `kind` is `done`, `failed` (a 502 of our own), `aborted`, `tunnel` or `open`."""

    kind: str
    written: bytes
    is_closed: bool
    is_reused: bool


class Wire:
    """One listener's shared state; every conversation is on connections of its own."""

    def __init__(self) -> None:
        with asyncio.Runner() as runner:  # the loop is wanted for its clock only: no slow path is ever taken
            self._context = runner.run(self._make())
        self._upstreams: list[Pipe] = []

    async def _make(self) -> Context:
        routes = RouteTable([Route("/", "a", strip_prefix=False)])
        views = {"a": ServiceView("a", [_INSTANCE], Turns())}
        self._snapshot = Snapshot(1, compiled([]), routes, views)
        router = RecordingRouter(self._snapshot, [])
        origins = Origins()
        origins.outbox = AtOnce(lambda flush: None)
        origins.queue = RunQueue(lambda run: None, lambda: 1.0)  # time stands still: a turn never ends
        return Context(
            router=router,
            origins=origins,
            traffic=Traffic(),
            tag_header="x-gray-tag",
            timeouts=Timeouts(),
            limits=Limits(head_bytes=HEAD_BYTES, header_count=20, target_bytes=512),
            budget=RetryBudget(),
        )

    def ask(self, pieces: Iterable[bytes]) -> Conversation:
        """A client sends these pieces; the upstream answers every whole request with 200."""
        sent: list[bytes] = []
        router, client, downstream = self._connect(sent)
        for piece in pieces:
            if client.is_closed:
                break
            downstream.data_received(piece)
            while (exchange := downstream._exchange) is not None and exchange.request_done:
                assert exchange.upstream is not None, "the slow path was taken"
                exchange.upstream.data_received(ANSWER)
        starts = [start for _, start in router.requests] + [len(sent)]
        conversation = Conversation(
            [request for request, _ in router.requests],
            [b"".join(sent[start:end]) for start, end in itertools.pairwise(starts)],
            [int(write[9:12]) for write in client.writes if write != CONTINUE],
            client.is_closed,
        )
        self._disconnect(downstream)
        return conversation

    def answer(self, request: bytes, pieces: Iterable[bytes]) -> Relay:
        """An upstream answers this request with these pieces, and then closes."""
        _, client, downstream = self._connect([])
        downstream.data_received(request)
        exchange = downstream._exchange
        assert exchange is not None
        upstream = exchange.upstream
        assert upstream is not None
        for piece in pieces:
            if upstream.is_lost:
                break
            upstream.data_received(piece)
        is_reused = not upstream.is_lost and upstream.handler is None
        is_tunnel = exchange.tunnel is not None
        if not upstream.is_lost:
            upstream.eof_received()
        if is_tunnel:
            kind = "tunnel"
        elif exchange.record.upstream_status and exchange.record.cause:
            kind = "aborted"
        elif not exchange.is_over:
            kind = "open"
        elif client.writes[-1:] and client.writes[-1].startswith(
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/p"
        ):
            kind = "failed"
        else:
            kind = "done"
        relay = Relay(kind, client.written, client.is_closed, is_reused)
        self._disconnect(downstream)
        return relay

    def _connect(self, sent: list[bytes]) -> tuple[RecordingRouter, Pipe, Downstream]:
        context = self._context
        router = context.router = RecordingRouter(self._snapshot, sent)
        self._stock(sent)
        client = Pipe()
        downstream = Downstream(context, Clients())
        downstream.connection_made(client)
        return router, client, downstream

    def _stock(self, sent: list[bytes]) -> None:
        """Puts an idle upstream connection where the next exchange finds it."""
        origin = self._context.origins.of(_INSTANCE, "a")
        upstream = Upstream(origin)
        pipe = Pipe()
        pipe.writes = sent
        upstream.connection_made(pipe)
        origin.release(upstream, 0.0)

    def _disconnect(self, downstream: Downstream) -> None:
        downstream.connection_lost(None)
        origin = self._context.origins.of(_INSTANCE, "a")
        while origin.acquire_nowait() is not None:
            pass
