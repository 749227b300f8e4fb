"""The request records of one program: its own, those that others delivered, and what brings and delivers them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gateway.daemons import keep_running
from gateway.live.feed import feed
from gateway.live.store import RecordStore
from gateway.settings import RecordSettings
from gateway.telemetry.request_record import Reporter, RequestRecord

if TYPE_CHECKING:
    from gateway.live.delivery import Deliverer


class Records:
    """`own` are this program's, `collected` those of others."""

    def __init__(self, settings: RecordSettings, reporter: Reporter) -> None:
        self.settings = settings
        self.reporter = reporter
        self.own = RecordStore(settings.size, settings.max_bytes)
        self.collected = RecordStore(settings.collected, settings.max_bytes)
        self._tasks: list[asyncio.Task[None]] = []
        self._deliverer: Deliverer | None = None

    def start(self, take: Callable[[], list[RequestRecord]]) -> None:
        """Begins to bring what `take` returns, and to deliver it."""
        settings = self.settings
        if not settings.enabled:
            return
        self._tasks.append(keep_running("gathering request records", partial(feed, take, self.own, self.reporter)))
        if settings.collector is not None:
            from gateway.live.delivery import Deliverer

            deliverer = Deliverer(self.own, self.reporter, str(settings.collector), settings.token or "")
            self._deliverer = deliverer
            self._tasks.append(keep_running("delivering request records", deliverer.run))

    def deliveries(self) -> dict[str, int] | None:
        """How many records were delivered and lost; None: none are delivered anywhere."""
        deliverer = self._deliverer
        return None if deliverer is None else {"delivered": deliverer.delivered, "lost": deliverer.lost}

    async def close(self) -> None:
        """Ends all that, and whatever follows the records."""
        self.own.close()
        self.collected.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
