"""Keeps some of the exchanges that are over, for people to look at (`docs/live.md`).

What a request pays is a look at a budget, and appending to a list what exists already. The rest is done some times a second,
for no more exchanges than the budget allows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.grpc.status import NAMES
from gateway.http.masking import MASKED, Mask
from gateway.http.request import VERSIONS
from gateway.proxy.record import Record
from gateway.tags import BASE
from gateway.telemetry.counters import Traffic
from gateway.telemetry.request_record import RequestRecord

MAX_TEXT: Final = 2048
"""Bytes of a path, a host or a parameter's value; the rest is cut off."""
MAX_HEAD: Final = 16384
"""Bytes of a head that is kept so that its request can be explained."""


class Renderer:
    """Makes records of the exchanges of one listener.

    `masked` are parameters whose values are never shown, `params` those whose are. `keeps_head`: the head is kept as well, so
    that the request can be explained.
    """

    __slots__ = ("_keeps_head", "_listener", "_mask", "_params")

    def __init__(
        self, listener: str, *, masked: Sequence[str] = (), params: Sequence[str] = (), keeps_head: bool = True
    ) -> None:
        self._listener = listener
        self._keeps_head = keeps_head
        self._mask = Mask(masked)
        self._params: list[str] = list(params)

    def render(self, record: Record, ended: float, overhead: float, offset: float) -> RequestRecord:
        """The record of an exchange; `offset` is how far the epoch's clock is ahead of `perf_counter`'s, in seconds."""
        request = record.request
        decision = record.decision
        responded = record.responded_at
        return RequestRecord(
            time=record.started + offset,
            listener=self._listener,
            method=request.method[:MAX_TEXT],
            host=_text(request.authority),
            path=_text(self._mask.text(request.raw_path)),
            version=VERSIONS[request.version],
            params=self._named(record),
            status=record.status,
            cause="" if record.cause is None else record.cause.code,
            grpc_status=NAMES[record.grpc_status] if record.grpc_status >= 0 else "",
            route=decision.route,
            service=decision.service,
            group=decision.group,
            lane=decision.lane,
            tag=decision.tag,
            tag_source=decision.tag_source,
            pool=decision.pool,
            fallback=decision.fallback,
            lost=decision.lost,
            lost_tag=decision.lost_tag,
            signature=decision.signature,
            fault="" if decision.fault is None else decision.fault.kind,
            mirror=decision.is_copy,
            instance="" if decision.instance is None else decision.instance.address,
            duration_us=int((ended - record.started) * 1e6),
            upstream_us=int((responded - record.sent_at) * 1e6) if responded else None,
            overhead_us=int(overhead * 1e6) if overhead >= 0.0 else None,
            attempts=record.attempts or 1,
            trace_id=request.trace_id.decode("ascii"),
            revision=decision.revision,
            rules=decision.rules,
            unknown_rules=decision.unknown_rules,
            callee_failed=record.callee_failed,
            has_body=request.body != 0,
            client_ip=decision.client_ip,
            head=request.head if self._keeps_head and len(request.head) <= MAX_HEAD else b"",
        )

    def _named(self, record: Record) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in self._params:
            value = record.request.param(name)
            if value is not None:
                is_masked = self._mask.field(name, b"") == MASKED
                found[name] = MASKED.decode("ascii") if is_masked else value[:MAX_TEXT]
        return found


class Recorder:
    """Of one listener. At most `marked_rate` marked exchanges a second, and `unmarked_rate` others; the rest is counted.

    A request is marked if it has a tag.
    """

    __slots__ = (
        "_kept",
        "_marked_left",
        "_marked_rate",
        "_renderer",
        "_traffic",
        "_unmarked_left",
        "_unmarked_rate",
    )

    def __init__(self, renderer: Renderer, traffic: Traffic, marked_rate: float, unmarked_rate: float) -> None:
        self._renderer = renderer
        self._traffic = traffic
        self._marked_rate = marked_rate
        self._unmarked_rate = unmarked_rate
        self._marked_left: float = marked_rate
        self._unmarked_left: float = unmarked_rate
        self._kept: list[tuple[Record, float, float]] = []

    def note(self, record: Record, now: float, overhead: float) -> None:
        """Takes an exchange that ended `now` (`perf_counter`'s seconds), if the budget allows it; see `AccessLog.record`."""
        if record.decision.tag == BASE:
            if self._unmarked_left < 1.0:
                self._traffic.records_skipped += 1
                return
            self._unmarked_left -= 1.0
        else:
            if self._marked_left < 1.0:
                self._traffic.records_skipped += 1
                return
            self._marked_left -= 1.0
        self._traffic.records_kept += 1
        self._kept.append((record, now, overhead))

    def take(self, seconds: float, now: float, wall: float) -> list[RequestRecord]:
        """What was kept since the last time, `seconds` ago, for which the budget grows.

        `now` and `wall` are the same moment, on `perf_counter`'s clock and in seconds since the epoch.
        """
        self._marked_left = min(self._marked_rate, self._marked_left + self._marked_rate * seconds)
        self._unmarked_left = min(self._unmarked_rate, self._unmarked_left + self._unmarked_rate * seconds)
        kept = self._kept
        if not kept:
            return []
        self._kept = []
        return [self._renderer.render(record, ended, overhead, wall - now) for record, ended, overhead in kept]


_UNSAFE: Final = re.compile(rb"[^\x21-\x7e]")


def _text(value: bytes) -> str:
    """A value that a client chose, as ASCII."""
    return _UNSAFE.sub(b"?", value[:MAX_TEXT]).decode("ascii")
