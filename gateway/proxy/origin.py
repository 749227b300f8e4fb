"""Origins: the upstream connections of one instance, kept alive between exchanges."""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.proxy.upstream import Upstream
from gateway.routing.instance import Instance


class Busy(Exception):
    """The instance's connections are all in use, and none came free in time."""


class Origin:
    """The connections to one address. The last one released is the first one reused, so that surplus ones age out."""

    __slots__ = ("_idle", "_limit", "_loop", "_open", "_waiters", "host", "is_gone", "port")

    def __init__(self, host: str, port: int, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self.host = host
        self.port = port
        self.is_gone: bool = False
        self._limit = limit
        self._loop = loop
        self._idle: list[Upstream] = []
        self._open: int = 0
        self._waiters: deque[asyncio.Future[Upstream | None]] = deque()

    @property
    def open(self) -> int:
        """How many connections exist, idle or in use, being made included."""
        return self._open

    @property
    def idle(self) -> int:
        """How many connections wait for work."""
        return len(self._idle)

    def acquire_nowait(self) -> Upstream | None:
        """An idle connection, or None."""
        return self._idle.pop() if self._idle else None

    async def acquire(self, timeout: float) -> Upstream:
        """A new connection, or the next one to come free where the limit is reached.

        Raises OSError (TimeoutError included) when the connection could not be made, Busy when none came free; each
        within `timeout` seconds.
        """
        if self._open >= self._limit:
            waiter: asyncio.Future[Upstream | None] = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                async with asyncio.timeout(timeout):
                    upstream = await waiter
            except TimeoutError:
                raise Busy from None
            if upstream is not None:
                return upstream
        self._open += 1
        upstream = Upstream(self)
        try:
            async with asyncio.timeout(timeout):
                await self._loop.create_connection(upstream.itself, self.host, self.port)  # type: ignore[type-var]
        except BaseException:
            if upstream.transport is None:
                self._closed()
            else:
                upstream.close()
            raise
        return upstream

    def release(self, upstream: Upstream, now: float) -> None:
        """Takes back a connection whose exchange ended cleanly."""
        if self.is_gone:
            upstream.close()
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(upstream)
                return
        upstream.idle_since = now
        self._idle.append(upstream)

    def lost(self, upstream: Upstream) -> None:
        """Notes that a connection closed, whatever it was doing."""
        if upstream in self._idle:
            self._idle.remove(upstream)
        self._closed()

    def close_idle(self, before: float) -> None:
        """Closes the connections that have been idle since before this time."""
        while self._idle and self._idle[0].idle_since <= before:
            self._idle.pop(0).close()

    def _closed(self) -> None:
        self._open -= 1
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class Origins:
    """Every origin of this process, by address."""

    __slots__ = ("_by_address", "_limit", "_loop")

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._by_address: dict[str, Origin] = {}

    def of(self, instance: Instance) -> Origin:
        """The origin of an instance, made when first asked for."""
        origin = self._by_address.get(instance.address)
        if origin is None:
            origin = Origin(instance.host, instance.port, self._limit, self._loop)
            self._by_address[instance.address] = origin
        return origin

    def retain(self, addresses: set[str]) -> None:
        """Forgets the origins that no service has any more: their idle connections close, busy ones finish."""
        for address in [address for address in self._by_address if address not in addresses]:
            origin = self._by_address.pop(address)
            origin.is_gone = True
            origin.close_idle(float("inf"))

    def close_idle(self, before: float) -> None:
        """Closes connections that have been idle since before this time, in all origins."""
        for origin in self._by_address.values():
            origin.close_idle(before)

    def statistics(self) -> dict[str, tuple[int, int]]:
        """Open and idle connections by address."""
        return {address: (origin.open, origin.idle) for address, origin in self._by_address.items()}
