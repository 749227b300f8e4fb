"""Origins: the upstream connections of one instance, kept alive between exchanges."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from gateway.proxy.connection import Outbox
from gateway.proxy.tls import UpstreamTLS
from gateway.proxy.upstream import Upstream
from gateway.routing.instance import Instance

Connections = dict[str, tuple[int, int, int]]
"""How many connections to each address are active, idle and draining."""


class Busy(Exception):
    """The instance's connections are all in use, and none came free in time."""


class Origin:
    """The connections to one address. The last one released is the first one reused, so that surplus ones age out."""

    __slots__ = (
        "_idle",
        "_limit",
        "_loop",
        "_open",
        "_tls",
        "_waiters",
        "address",
        "host",
        "is_gone",
        "outbox",
        "port",
    )

    def __init__(
        self,
        instance: Instance,
        limit: int,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        tls: UpstreamTLS | None = None,
    ) -> None:
        self.outbox = outbox
        self.address = instance.address
        self.host = instance.host
        self.port = instance.port
        self._tls = tls
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

        Raises OSError (TimeoutError included) when the connection could not be made, ValueError where the host is no name, Busy
        when none came free; each within `timeout` seconds.
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
                await self._connect(upstream)
        except BaseException:
            if upstream.transport is None and not upstream.is_lost:
                self._closed()  # nothing will tell that it was lost: it never was
            else:
                upstream.close()
            raise
        return upstream

    async def _connect(self, upstream: Upstream) -> None:
        tls = self._tls
        if tls is None:
            await self._loop.create_connection(upstream.itself, self.host, self.port)  # type: ignore[type-var]
        else:
            await self._loop.create_connection(
                upstream.itself,  # type: ignore[type-var]
                self.host,
                self.port,
                ssl=tls.context,
                server_hostname=tls.server_name or self.host,
            )

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
    """Every origin of this process, by address. Services in `tls` are spoken to in TLS.

    `outbox` is for both sides of the exchanges with them.
    """

    __slots__ = ("_by_address", "_leaving", "_limit", "_loop", "_tls", "outbox")

    def __init__(self, limit: int = 256) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self.outbox = Outbox(self._loop.call_soon)
        self._by_address: dict[str, Origin] = {}
        self._leaving: list[Origin] = []
        self._tls: dict[str, UpstreamTLS] = {}

    def secure(self, tls: Mapping[str, UpstreamTLS]) -> None:
        """Says which services are spoken to in TLS, by name. Connections made under other terms are retired."""
        for service in self._tls.keys() | tls.keys():
            old, new = self._tls.get(service), tls.get(service)
            if old is None or new is None or old.fingerprint != new.fingerprint:
                for key in [key for key in self._by_address if key.endswith(f"#{service}")]:
                    self._retire(key)
        self._tls = dict(tls)

    def of(self, instance: Instance, service: str) -> Origin:
        """The origin of an instance of a service, made when first asked for."""
        key = instance.address
        tls: UpstreamTLS | None = None
        if self._tls:
            tls = self._tls.get(service)
            if tls is not None:
                key = f"{key}#{service}"
        origin = self._by_address.get(key)
        if origin is None:
            origin = self._by_address[key] = Origin(instance, self._limit, self._loop, self.outbox, tls)
        return origin

    def retire(self, address: str) -> None:
        """Forgets an instance that no service has any more: its idle connections close, busy ones finish."""
        if address in self._by_address:
            self._retire(address)
        if self._tls:
            for key in [key for key in self._by_address if key.startswith(f"{address}#")]:
                self._retire(key)

    def close_idle(self, before: float) -> None:
        """Closes connections that have been idle since before this time; origins without any are forgotten."""
        for key, origin in list(self._by_address.items()):
            origin.close_idle(before)
            if not origin.open:
                del self._by_address[key]
        if self._leaving:
            self._leaving = [origin for origin in self._leaving if origin.open]

    def statistics(self) -> Connections:
        """Active, idle and draining connections by address; draining are those of instances that are gone, and still at work."""
        found: dict[str, tuple[int, int, int]] = {}
        for origin in self._by_address.values():
            active, idle, _ = found.get(origin.address, (0, 0, 0))
            found[origin.address] = (active + origin.open - origin.idle, idle + origin.idle, 0)
        for origin in self._leaving:
            active, idle, draining = found.get(origin.address, (0, 0, 0))
            found[origin.address] = (active, idle, draining + origin.open)
        return found

    def _retire(self, key: str) -> None:
        origin = self._by_address.pop(key)
        origin.is_gone = True
        origin.close_idle(float("inf"))
        self._leaving.append(origin)
