"""The spans of one program: from the requests that the data plane traced to the exporter (`live/otlp.py`)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.daemons import keep_running
from gateway.errors import StartError
from gateway.live.feed import INTERVAL
from gateway.live.otel_environment import read_environment
from gateway.telemetry.request_record import Reporter
from gateway.telemetry.traced_request import TracedRequest

if TYPE_CHECKING:
    from gateway.live.otlp import Exporter

Take = Callable[[], list[TracedRequest]]

PATIENCE: Final = 5.0
"""Seconds that the exporter has for the last spans when the program ends."""


class Spans:
    """`is_on`: there are any. OpenTelemetry is loaded only then. Raises StartError if it cannot be, or is not set up soundly."""

    def __init__(self, is_on: bool, reporter: Reporter) -> None:
        self._exporter: Exporter | None = _make_exporter(reporter) if is_on else None
        self._take: Take = list
        self._task: asyncio.Task[None] | None = None

    def start(self, take: Take) -> None:
        """Begins to export what `take` returns."""
        if self._exporter is not None:
            self._take = take
            self._task = keep_running("gathering spans", partial(self._feed, self._exporter))

    def counts(self) -> dict[str, int] | None:
        """How many spans were exported, dropped and failed; None: there are none."""
        exporter = self._exporter
        if exporter is None:
            return None
        return {"exported": exporter.exported, "dropped": exporter.dropped, "failed": exporter.failed}

    async def close(self) -> None:
        """Exports what is left, as far as the collector takes it soon."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._exporter is not None:
            self._exporter.add(self._take())
            await asyncio.to_thread(self._exporter.close, PATIENCE)

    async def _feed(self, exporter: Exporter) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            exporter.add(self._take())


def _make_exporter(reporter: Reporter) -> Exporter:
    environment = read_environment(os.environ)
    try:
        from gateway.live.otlp import Exporter
    except ImportError as error:
        raise StartError(f"tracing: needs OpenTelemetry (`pip install 'gray-gateway[otel]'`): {error}") from error
    return Exporter(reporter, environment.queue)
