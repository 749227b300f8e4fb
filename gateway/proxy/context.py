"""What all connections of one listener share: settings, router, origins, counters and a coarse clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.health.ejection import Ejector
from gateway.http.head_reader import HeadReader
from gateway.http.response import ResponseReader
from gateway.proxy.access_log import AccessLog
from gateway.proxy.bounds import COMPRESSED, Http2, Limits, Places
from gateway.proxy.budget import RetryBudget
from gateway.proxy.connection import Outbox
from gateway.proxy.copies import Copies
from gateway.proxy.origins import Origins
from gateway.proxy.recorder import Recorder
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.spans import SpanRecorder
from gateway.routing.patience import Timeouts
from gateway.routing.router import Router
from gateway.telemetry.counters import Traffic
from gateway.tls.mesh import Reception


# A value of many parts, which everything of a listener is handed: no behaviour.
class Context:
    """One listener's shared state. `now` is seconds on the loop's clock, at most a tick old.

    `name` is the listener's: `entry`, `inbound` or `outbound`. `learn` queries the registry for a service that the router
    does not know; `ejector` learns how instances respond; `scheme` is what clients speak here, `http` or `https`.
    `doors` are addresses that stand for one service each, as `(host, port)`; an empty host is any.
    `recorder` keeps exchanges for people to look at; None: nobody may. `spans` keeps those of sampled traces; None: requests
    are not traced.
    `reception` takes callers of the mesh in mutual TLS, and others in plain text, on the same sockets; None: there is no mesh.
    `reads_proxy_header`: connections of trusted clients begin with a header of the PROXY protocol.
    `http2` says how HTTP/2 is spoken; None: it is not. `inspected` counts the bytes of bodies that are kept for rules now,
    `lanes` the requests in flight at instances with a tag, by tag, and `in_lanes` all of them. `copies` takes those of requests
    that lanes mirror; None: nobody sends them. `compressing` are the places of responses that are compressed.
    """

    __slots__ = (
        "budget",
        "compressing",
        "copies",
        "doors",
        "ejector",
        "http2",
        "in_lanes",
        "inspected",
        "is_draining",
        "lanes",
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
        "reads_proxy_header",
        "reception",
        "recorder",
        "response_reader",
        "router",
        "scheme",
        "spans",
        "timeouts",
        "traffic",
        "trusted_reader",
    )

    def __init__(
        self,
        *,
        router: Router,
        origins: Origins,
        traffic: Traffic,
        tag_header: str,
        timeouts: Timeouts,
        limits: Limits,
        budget: RetryBudget,
        learn: Callable[[str], Awaitable[bool]] | None = None,
        log: AccessLog | None = None,
        name: str = "entry",
        scheme: str = "http",
        debug_header: str = "",
        ejector: Ejector | None = None,
        recorder: Recorder | None = None,
        spans: SpanRecorder | None = None,
        reception: Reception | None = None,
        http2: Http2 | None = None,
        reads_proxy_header: bool = False,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.outbox: Outbox = origins.outbox
        self.queue: RunQueue = origins.queue
        self.http2 = http2
        self.copies: Copies | None = None
        self.compressing = Places(COMPRESSED)
        self.inspected: int = 0
        self.lanes: dict[str, int] = {}
        self.in_lanes: int = 0
        self.router = router
        self.origins = origins
        self.ejector = ejector
        self.traffic = traffic
        self.timeouts = timeouts
        self.limits = limits
        self.budget = budget
        is_secure = scheme == "https"
        self.reader = HeadReader(
            tag_header,
            target_bytes=limits.target_bytes,
            header_count=limits.header_count,
            debug_header=debug_header,
            is_secure=is_secure,
            is_traced=spans is not None,
        )
        self.trusted_reader = HeadReader(
            tag_header,
            target_bytes=limits.target_bytes,
            header_count=limits.header_count,
            keeps_forwarded=True,
            debug_header=debug_header,
            is_secure=is_secure,
            is_traced=spans is not None,
        )
        self.response_reader = ResponseReader(head_bytes=limits.head_bytes, header_count=limits.header_count)
        self.learn = learn
        self.log = log
        self.doors: dict[tuple[str, int], str] = {}
        self.recorder = recorder
        self.spans = spans
        self.reception = reception
        self.reads_proxy_header = reads_proxy_header
        self.name = name
        self.scheme = scheme
        self.now: float = self.loop.time()
        self.is_draining: bool = False
