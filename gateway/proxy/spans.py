"""Keeps the exchanges of sampled traces that are over, until their spans are exported.

What a request pays is appending to a list what exists already. The rest is done some times a second.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from gateway.failures import DOWNSTREAM
from gateway.grpc.status import is_error
from gateway.http.request import VERSIONS
from gateway.instance import Instance
from gateway.proxy.record import Record
from gateway.proxy.recorder import Renderer
from gateway.telemetry.counters import Traffic
from gateway.telemetry.traced_request import TracedRequest

MOST: Final = 4096
MOST_BYTES: Final = 16 << 20
"""Exchanges that are kept between two times, and bytes of their heads; the rest is dropped."""


class SpanRecorder:
    """Of one listener. `scheme` is what its clients speak; `is_secured` says of a service and an instance if it speaks TLS.

    `random_source` supplies ids.
    """

    __slots__ = ("_bytes", "_is_secured", "_kept", "_random", "_renderer", "_scheme", "_traffic")

    def __init__(
        self,
        renderer: Renderer,
        traffic: Traffic,
        scheme: str,
        is_secured: Callable[[str, Instance], bool],
        random_source: random.Random,
    ) -> None:
        self._renderer = renderer
        self._traffic = traffic
        self._scheme = scheme
        self._is_secured = is_secured
        self._bytes: int = 0
        self._random = random_source
        self._kept: list[tuple[Record, float, float]] = []

    def note(self, record: Record, now: float, overhead: float) -> None:
        """Takes an exchange that ended `now` (`perf_counter`'s seconds); see `AccessLog.record`."""
        if len(self._kept) < MOST and self._bytes < MOST_BYTES:
            self._bytes += len(record.request.head)
            self._kept.append((record, now, overhead))
        else:
            self._traffic.spans_dropped += 2 if _is_sent(record) else 1

    def take(self, now: float, wall: float) -> list[TracedRequest]:
        """What was kept since the last time. `now` and `wall` are the same moment, as for `Recorder.take`."""
        kept = self._kept
        if not kept:
            return []
        self._kept = []
        self._bytes = 0
        return [self._traced(record, ended, overhead, wall - now) for record, ended, overhead in kept]

    def _traced(self, record: Record, ended: float, overhead: float, offset: float) -> TracedRequest:
        request = record.request
        cause = record.cause
        sent_at = record.sent_at or record.started
        instance = record.decision.instance
        is_secured = instance is not None and self._is_secured(record.decision.service, instance)
        return TracedRequest(
            record=self._renderer.render(record, ended, overhead, offset),
            server_span=f"{self._random.getrandbits(64) or 1:016x}",
            client_span=request.span_id.decode("ascii"),
            parent=request.parent_id.decode("ascii"),
            scheme=self._scheme,
            upstream_scheme="https" if is_secured else "http",
            version=VERSIONS[request.version],
            sent_us=int((sent_at - record.started) * 1e6) if _is_sent(record) else None,
            upstream_status=record.upstream_status,
            is_fault=record.status >= 500
            or (cause is not None and cause.side != DOWNSTREAM)
            or is_error(record.grpc_status),
            call=request.call,
        )


def _is_sent(record: Record) -> bool:
    """Whether an instance was called, be it in vain."""
    return record.sent_at > 0.0 or record.attempts > 0
