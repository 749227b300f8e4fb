"""A second opinion: what another server of the cluster says of a service that the one in use says is empty.

A server that has just started, or that the others have lost, answers with empty lists and no error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.errors import RegistryError
from gateway.registry.nacos.messages import JSON
from gateway.registry.singleflight import SingleFlight

if TYPE_CHECKING:
    from gateway.registry.nacos.rpc import Connection, RpcClient

_log = logging.getLogger("gateway.registry")

STAY: Final = 30.0
"""Seconds between two moves to another server: if each knows a service that the other does not, moving does not help."""
PAUSE: Final = 10.0
"""Seconds that nobody is asked after nobody was there."""


class Elsewhere:
    """Asks the other servers of `rpc`, over one connection that is made when it is needed first."""

    def __init__(self, rpc: RpcClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._rpc = rpc
        self._clock = clock
        self._connecting = SingleFlight[None]()
        self._connection: Connection | None = None
        self._moved_at = self._again_at = float("-inf")

    async def ask(self, doubted: Connection, request: str, body: JSON) -> tuple[JSON, str] | None:
        """Another server's response and address; None if there is none."""
        if self._clock() < self._again_at:
            return None
        try:
            if self._connection is None or self._connection.lost.is_set() or self._is_same(doubted):
                await self._connecting.run(lambda: self._connect(doubted))
            assert self._connection is not None
            return await self._rpc.request(self._connection, request, body), self._connection.address
        except RegistryError as error:
            _log.debug("no second opinion: %s", error)
            return None

    def move(self, doubted: Connection, better: str) -> None:
        """Uses another server from now on, unless that was done a moment ago."""
        if self._clock() - self._moved_at < STAY or doubted.lost.is_set():
            return
        self._moved_at = self._clock()
        _log.warning("registry %s is used instead of %s, whose lists are empty", better, doubted.address)
        self._rpc.prefer(better)
        doubted.close()

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _is_same(self, doubted: Connection) -> bool:
        return self._connection is not None and self._connection.address == doubted.address

    async def _connect(self, doubted: Connection) -> None:
        self.close()
        try:
            self._connection = await self._rpc.open_other(doubted.address)
        except RegistryError:
            # Many services may be empty: their first lists are not to wait for this, one after the other.
            self._again_at = self._clock() + PAUSE
            raise
