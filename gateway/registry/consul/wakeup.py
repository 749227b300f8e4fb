"""One pair of waiting queries for many services: it shows that something changed, not what."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Final

from gateway.daemons import keep_running
from gateway.errors import RegistryError
from gateway.registry.consul.client import ConsulClient

_log = logging.getLogger("gateway.registry")

LONGEST: Final = 60.0
"""Seconds after which everybody looks again though nothing has changed."""
RETRY: Final = 1.0
_QUERIES: Final = (
    # The filters leave nothing of the responses: only their index counts.
    ("/v1/catalog/services", {"filter": 'ServiceName == "-"'}),
    ("/v1/health/state/any", {"filter": 'Status == "-"'}),
)


class WakeUp:
    """`count` grows whenever a service of the catalog or a check has changed, or the agent did not respond."""

    def __init__(self, client: ConsulClient) -> None:
        self._client = client
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.count = 0

    async def wait(self, seen: int) -> None:
        """Returns once `count` is beyond what was seen, or after a while."""
        if not self._tasks:
            self._tasks = [
                keep_running("waiting for changes in Consul", partial(self._follow, path, params))
                for path, params in _QUERIES
            ]
        if self.count > seen:
            return
        changed = self._changed
        try:
            async with asyncio.timeout(LONGEST):
                await changed.wait()
        except TimeoutError:
            return

    async def _follow(self, path: str, params: dict[str, str]) -> None:
        while True:
            try:
                async for _ in self._client.follow(path, params):
                    self._tell()
            except RegistryError as error:
                # The next lookup finds out what is wrong.
                _log.debug("waiting for changes: %s", error)
                self._tell()
            await asyncio.sleep(RETRY)

    def _tell(self) -> None:
        self.count += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def close(self) -> None:
        """Stops."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
