"""Brings what the data plane kept to the store, some times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter, time
from typing import Final

from gateway.live.store import RecordStore
from gateway.proxy.recorder import Recorder
from gateway.proxy.spans import SpanRecorder
from gateway.telemetry.request_record import Reporter, RequestRecord
from gateway.telemetry.traced_request import TracedRequest

INTERVAL: Final = 0.25
"""Seconds between two times: what somebody who looks on has to wait at most."""


class Taker:
    """Takes what the recorders of this process have kept."""

    def __init__(self) -> None:
        self.recorders: list[Recorder] = []
        self.span_recorders: list[SpanRecorder] = []
        self._taken_at = perf_counter()

    def take(self) -> list[RequestRecord]:
        """The records since the last time, in the order in which the exchanges began."""
        now = perf_counter()
        seconds, self._taken_at = now - self._taken_at, now
        found = [record for recorder in self.recorders for record in recorder.take(seconds, now, time())]
        return sorted(found, key=lambda record: record.time)

    def take_traced(self) -> list[TracedRequest]:
        """The requests of sampled traces since the last time."""
        now, wall = perf_counter(), time()
        return [traced for recorder in self.span_recorders for traced in recorder.take(now, wall)]


async def feed(take: Callable[[], list[RequestRecord]], store: RecordStore, reporter: Reporter) -> None:
    """Never returns."""
    while True:
        await asyncio.sleep(INTERVAL)
        store.add(reporter, take())
