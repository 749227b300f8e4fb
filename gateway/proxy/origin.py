"""Origins: the upstream connections of one instance, kept alive between exchanges. What `pool` decides is done here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from gateway.failures import BUSY, CERTIFICATE_REFUSED, CONNECT_ERROR, CONNECT_TIMEOUT, TLS_ERROR, Fault
from gateway.instance import Instance
from gateway.proxy.connection import Outbox
from gateway.proxy.descriptors import OUT_OF_THEM, RESERVE, is_short, tell
from gateway.proxy.patience import comes_within
from gateway.proxy.pool import Pool, Waiter
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import Upstream, UpstreamOwner, refusal_of
from gateway.tls.contexts import Spoken, UpstreamTLS


class NotConnected(Exception):
    """No connection to an instance: `fault` says what went wrong, the text why (where there is more to say)."""

    def __init__(self, fault: Fault, why: str = "") -> None:
        self.fault = fault
        super().__init__(why)


class Exhausted(Exception):
    """This process can open no more connections, to whomever."""


# Its public members are what its connections call, an exchange, and whoever counts connections.
class Origin(UpstreamOwner):
    """The connections to one address: makes, hands over and closes them as its pool decides."""

    __slots__ = ("_loop", "_pool", "_tls", "address", "host", "is_gone", "limit", "port", "tunnels")

    def __init__(
        self,
        instance: Instance,
        limit: int,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        queue: RunQueue,
        tls: UpstreamTLS | None = None,
    ) -> None:
        super().__init__(outbox, queue)
        self.address = instance.address
        self.host = instance.host
        self.port = instance.port
        self.limit = limit
        self._tls = tls
        self.is_gone: bool = False
        self.tunnels: int = 0
        self._loop = loop
        self._pool = Pool(limit)

    @property
    def spoken(self) -> Spoken:
        """How its instance is spoken to."""
        return Spoken(self._tls, False, True)

    @property
    def open(self) -> int:
        """How many connections exist, idle or in use, being made included."""
        return self._pool.open

    @property
    def idle(self) -> int:
        """How many connections wait for work."""
        return len(self._pool.idle)

    @property
    def requests(self) -> int:
        """How many requests are under way at the instance, tunnels and those that wait for a connection included."""
        return self.open - self.idle + self.waiting + self.tunnels

    @property
    def is_unused(self) -> bool:
        """Whether there is nothing of it that is worth keeping."""
        return not self.open and not self.tunnels

    @property
    def is_half_used(self) -> bool:
        """Whether half of the connections that there may be are at work."""
        return 2 * (self.open - self.idle) >= self.limit

    @property
    def waiting(self) -> int:
        """How many requests wait for a connection."""
        return len(self._pool.waiting)

    def acquire_nowait(self) -> Upstream | None:
        """An idle connection, or None."""
        idle = self._pool.idle
        return idle.pop() if idle else None

    async def acquire(self, timeout: float, is_new: bool = False) -> Upstream:
        """An idle connection, a new one, or the next one to come free if the limit is reached.

        `is_new`: one that has not been idle, for a request that has met one which the instance had closed.

        Raises NotConnected if none could be made or none came free, Exhausted if that is not for the instance; each within
        `timeout` seconds.
        """
        verdict = self._pool.ask(is_new)
        if verdict.to_close is not None:
            verdict.to_close.close()
        if verdict.upstream is not None:
            return verdict.upstream
        if not verdict.may_open:
            upstream = await self._wait(timeout)
            if upstream is not None:
                return upstream
        return await self._make(timeout)

    async def _wait(self, timeout: float) -> Upstream | None:
        """The next connection to come free, or None: leave to make one. Raises NotConnected."""
        waiter: Waiter = self._loop.create_future()
        self._pool.waiting[waiter] = None
        try:
            if not await comes_within(waiter, timeout):
                raise NotConnected(BUSY)
            return waiter.result()
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._give_back(waiter.result())
            raise
        finally:
            self._pool.waiting.pop(waiter, None)

    async def _make(self, timeout: float) -> Upstream:
        """A new connection; it is counted as open already. Raises as `acquire`."""
        upstream = self._new()
        connecting = asyncio.ensure_future(self._connect(upstream))
        error: BaseException | None = None
        try:
            if not await comes_within(connecting, timeout):
                raise TimeoutError
            connecting.result()
            if upstream.transport is not None and is_short(upstream.transport, RESERVE // 2):
                raise Exhausted
        except BaseException as failure:  # noqa: BLE001 - it is raised below
            error = failure  # not dealt with here: compiled, an await in an except clause ruins the interpreter's state
        if error is None:
            return upstream
        if not connecting.done():
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
        self._drop(upstream)
        if isinstance(error, OSError) and error.errno in OUT_OF_THEM:
            tell()
            raise Exhausted from error
        if isinstance(error, (OSError, ValueError)):  # ValueError: a host that cannot even be looked up (`a..b`)
            raise _not_connected(error) from error
        raise error

    def _drop(self, upstream: Upstream) -> None:
        """Gives up a connection that was being made."""
        if upstream.transport is None and not upstream.is_lost:
            self._give_back(None)  # nothing will show that it was lost: it never was
        else:
            upstream.close()

    def _new(self) -> Upstream:
        return Upstream(self)

    def _context(self, tls: UpstreamTLS) -> ssl.SSLContext:
        return tls.context

    async def _connect(self, upstream: Upstream) -> None:
        tls = self._tls
        if tls is None:
            await self._loop.create_connection(upstream.itself, self.host, self.port)  # type: ignore[type-var]
        else:
            await self._loop.create_connection(
                upstream.itself,  # type: ignore[type-var]
                self.host,
                self.port,
                ssl=self._context(tls),
                server_hostname=tls.server_name or self.host,
            )
            if tls.expected is not None and not upstream.is_lost:
                tls.verify_peer(upstream.peer_certificate())

    def release(self, upstream: Upstream, now: float) -> None:
        """Takes back a connection whose exchange ended cleanly."""
        if self.is_gone or upstream.is_lost:
            upstream.close()
            return
        upstream.idle_since = now
        self._pool.idle.append(upstream)
        if self._pool.waiting:
            self._deal_out()

    def lost(self, upstream: Upstream) -> None:
        """Notes that a connection closed, whatever it was doing."""
        if upstream.is_detached:
            self.tunnels -= 1
            return
        if upstream in self._pool.idle:
            self._pool.idle.remove(upstream)
        self._give_back(None)

    def detach(self, upstream: Upstream) -> None:
        """Takes out a connection that has become a tunnel: it stays for long, and others need its place."""
        upstream.is_detached = True
        self.tunnels += 1
        self._give_back(None)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Has something called so many seconds from now."""
        self._loop.call_later(seconds, callback)

    def close_idle(self, before: float) -> None:
        """Closes the connections that have been idle since before this time."""
        for upstream in self._pool.aged(before):
            upstream.close()

    def leave(self) -> None:
        """The instance is gone: idle connections close, busy ones finish."""
        self.is_gone = True
        self.close_idle(float("inf"))

    def _give_back(self, upstream: Upstream | None) -> None:
        """Takes back a connection that was handed over and not used, or (None) the place of one that is not open any more."""
        if upstream is not None:
            self.release(upstream, self._loop.time())
            return
        self._pool.put(None)
        self._deal_out()

    def _deal_out(self) -> None:
        """Gives what there is to those that wait."""
        grants = self._pool.assign()
        while grants:
            for grant in grants:
                if grant.waiter.cancelled():
                    self._pool.put(grant.upstream)
                else:
                    grant.waiter.set_result(grant.upstream)
            grants = self._pool.assign()


def _not_connected(error: OSError | ValueError) -> NotConnected:
    if isinstance(error, ssl.SSLError):
        refusal = refusal_of(error)
        if refusal:
            return NotConnected(CERTIFICATE_REFUSED, refusal)
        return NotConnected(TLS_ERROR, getattr(error, "verify_message", "") or str(error))
    return NotConnected(CONNECT_TIMEOUT if isinstance(error, TimeoutError) else CONNECT_ERROR)
