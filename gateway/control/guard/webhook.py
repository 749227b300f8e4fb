"""Telling another program what a guard did: a few tries for each event, and nobody waits for them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.printable import printable
from gateway.settings.guard import GuardSettings

_log = logging.getLogger("gateway.guard")

TIMEOUT: Final = ClientTimeout(total=5.0)
PAUSES: Final = (1.0, 4.0, 16.0)
"""Seconds between the tries of one event."""
MOST: Final = 100
"""Events that wait; the oldest make room."""


class Webhook:
    """Posts events in their order, to where the settings say at the time. `counts` are events, `delivered` and `lost`."""

    def __init__(self, settings: Callable[[], GuardSettings | None]) -> None:
        self._settings = settings
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._has_some = asyncio.Event()
        self.counts: Counter[str] = Counter(delivered=0, lost=0)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Has an event posted, if there is somebody to be told."""
        if self._settings() is None:
            return
        if len(self._waiting) == MOST:
            self._waiting.popleft()
            self.counts["lost"] += 1
        self._waiting.append(event)
        self._has_some.set()

    async def run(self) -> None:
        """Posts what there is to post. Never returns."""
        while True:
            await self._has_some.wait()
            while self._waiting:
                await self._post(self._waiting.popleft())
            self._has_some.clear()

    async def _post(self, event: Mapping[str, Any]) -> None:
        trouble = ""
        for pause in (*PAUSES, None):
            settings = self._settings()
            if settings is None:
                break
            trouble, is_refused = await _try(settings, event)
            if not trouble:
                self.counts["delivered"] += 1
                return
            if is_refused or pause is None:
                break
            await asyncio.sleep(pause)
        self.counts["lost"] += 1
        _log.error("an event of a guard was not delivered to its webhook: %s", printable(trouble))


async def _try(settings: GuardSettings, event: Mapping[str, Any]) -> tuple[str, bool]:
    """What went wrong, empty: nothing; and whether there is no use in another try."""
    headers = {} if settings.token is None else {"Authorization": f"Bearer {settings.token}"}
    try:
        async with (
            ClientSession(timeout=TIMEOUT, headers=headers) as session,
            session.post(settings.webhook, json=event, allow_redirects=False) as response,
        ):
            if 200 <= response.status < 300:
                return "", False
            return f"status {response.status}", 300 <= response.status < 500 and response.status not in (408, 429)
    except (ClientError, TimeoutError, OSError) as error:
        return str(error) or type(error).__name__, False
