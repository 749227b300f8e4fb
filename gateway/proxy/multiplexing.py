"""An origin whose connections carry many requests: as few connections as have room, opened for all who wait and not for each."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from gateway.failures import BUSY, CERTIFICATE_REFUSED, CONNECT_TIMEOUT, NOT_HTTP2
from gateway.http2.terms import Terms
from gateway.instance import Instance
from gateway.proxy.connection import Outbox
from gateway.proxy.origin import Exhausted, NotConnected, Origin
from gateway.proxy.patience import comes_within
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import Upstream
from gateway.proxy.upstream_session import Session
from gateway.proxy.upstream_stream import UpstreamStream
from gateway.tls.contexts import Spoken, UpstreamTLS

RECONSIDER: Final = 60.0
"""Seconds for which an instance that was said to speak HTTP/2, and does not, is spoken to in HTTP/1.1."""
SILENCE: Final = 2.0
"""Seconds after which an instance that owes a response and is silent is asked whether it is there."""

_Waiter = asyncio.Future[Upstream | None]
"""Gets a stream, or None: the instance is spoken to in HTTP/1.1."""


# Its public members are what its sessions call, an exchange, and whoever counts connections.
class MultiplexedOrigin(Origin):
    """`streams` are how many requests a connection carries at most. `is_certain`: nothing but HTTP/2 will do.

    `silence` is as in `Session.look`; 0: nobody is asked.
    """

    __slots__ = (
        "_http1_until",
        "_is_certain",
        "_opening",
        "_queue_of",
        "_sessions",
        "_silence",
        "_streams",
        "_tasks",
        "_terms",
    )

    def __init__(
        self,
        instance: Instance,
        limit: int,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        queue: RunQueue,
        tls: UpstreamTLS | None,
        *,
        streams: int,
        is_certain: bool,
        terms: Terms,
        silence: float = SILENCE,
    ) -> None:
        super().__init__(instance, limit, loop, outbox, queue, tls)
        self._streams = streams
        self._is_certain = is_certain
        self._terms = terms
        self._silence = silence
        self._sessions: list[Session] = []
        self._http1_until: float = 0.0
        self._opening: int = 0
        self._queue_of: dict[_Waiter, float] = {}  # each with its timeout
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def spoken(self) -> Spoken:
        """How its instance is spoken to."""
        return Spoken(self._tls, True, self._is_certain)

    @property
    def idle(self) -> int:
        """How many connections wait for work."""
        return super().idle + sum(1 for session in self._sessions if session.is_idle)

    @property
    def waiting(self) -> int:
        """How many requests wait for a connection."""
        return super().waiting + len(self._queue_of)

    @property
    def requests(self) -> int:
        """How many requests are under way at the instance, however many connections carry them."""
        pool = self._pool
        found = pool.open - len(pool.idle) - len(self._sessions) - self._opening  # those of HTTP/1.1
        for session in self._sessions:
            found += len(session.streams) + session.reserved
        return found + self.waiting + self.tunnels

    @property
    def is_unused(self) -> bool:
        """Whether there is nothing of it that is worth keeping."""
        return super().is_unused and self._loop.time() >= self._http1_until

    def acquire_nowait(self) -> Upstream | None:
        """A stream on a connection with room, an idle connection for HTTP/1.1, or None."""
        for session in self._sessions:
            if session.room > 0:
                return session.reserve()
        return super().acquire_nowait() if self._http1_until else None

    async def acquire(self, timeout: float, is_new: bool = False) -> Upstream:
        """See Origin. `is_new`: on a connection that is made from now on."""
        if self._http1_until > self._loop.time():
            return await super().acquire(timeout, is_new)
        upstream = None if is_new else self.acquire_nowait()
        if upstream is not None:
            return upstream
        waiter: _Waiter = self._loop.create_future()
        self._queue_of[waiter] = timeout
        self._open_enough()
        try:
            if not await comes_within(waiter, timeout):
                raise NotConnected(CONNECT_TIMEOUT if self._opening else BUSY)
            upstream = waiter.result()
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                unused = waiter.result()
                if unused is not None:
                    self.release(unused, self._loop.time())
            raise
        finally:
            self._queue_of.pop(waiter, None)
        return await super().acquire(timeout, is_new) if upstream is None else upstream

    def release(self, upstream: Upstream, now: float) -> None:
        """Takes back what an exchange that ended cleanly used."""
        if isinstance(upstream, UpstreamStream):
            upstream.release()
        else:
            super().release(upstream, now)

    def detach(self, upstream: Upstream) -> None:
        """Takes note of a tunnel: one on a stream has its place as any other request."""
        if not isinstance(upstream, UpstreamStream):
            super().detach(upstream)

    def lost(self, upstream: Upstream) -> None:
        """Notes that a connection closed."""
        if isinstance(upstream, Session) and upstream in self._sessions:
            self._sessions.remove(upstream)
        super().lost(upstream)
        self._open_enough()

    def close_idle(self, before: float) -> None:
        """Closes the connections that have been idle since before this time."""
        super().close_idle(before)
        now = self._loop.time()
        for session in list(self._sessions):
            if session.is_idle and session.idle_since <= before:
                session.leave()
            elif self._silence:
                session.look(now, self._silence)

    def leave(self) -> None:
        """The instance is gone: its connections take no more requests, and close when none is under way."""
        super().leave()
        for session in list(self._sessions):
            session.leave()

    def has_room(self, upstream: Upstream) -> None:
        """See UpstreamOwner."""
        session = upstream
        assert isinstance(session, Session)
        session.close_if_over()
        if self._queue_of:
            self._serve(session)

    # --- connections

    def _new(self) -> Upstream:
        if self._http1_until > self._loop.time():
            return Upstream(self)
        return Session(self, self._terms, self._streams, self._loop.create_future())

    def _context(self, tls: UpstreamTLS) -> ssl.SSLContext:
        return tls.context if self._http1_until > self._loop.time() else tls.multiplexed or tls.context

    def _open_enough(self) -> None:
        """Opens connections for those who wait, as far as it may. Each has as long as the most patient of them."""
        while self._queue_of and self._opening * self._streams < len(self._queue_of) and self._pool.has_place:
            self._opening += 1
            self._pool.open += 1
            task = self._loop.create_task(self._open(max(self._queue_of.values())))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, timeout: float) -> None:
        try:
            session = await self._make(timeout)
            assert isinstance(session, Session)
            if not await comes_within(session.ready, timeout):
                session.close()
                raise NotConnected(CONNECT_TIMEOUT)
            if session.refusal:
                raise NotConnected(CERTIFICATE_REFUSED, session.refusal)
        except (NotConnected, Exhausted) as error:
            self._opening -= 1
            if not self._opening:
                self._tell(error)
            return
        self._opening -= 1
        if session.speaks_http2:
            self._sessions.append(session)
            session.idle_since = self._loop.time()
            if self.is_gone:
                session.leave()
            self._serve(session)
            self._open_enough()
        elif self._is_certain:
            self._drop(session)
            self._tell(NotConnected(NOT_HTTP2, "it does not speak HTTP/2"))
        else:
            self._http1_until = self._loop.time() + RECONSIDER
            if session.other is not None and not session.other.is_lost:
                super().release(session.other, self._loop.time())
            for waiter in self._queue_of:
                if not waiter.done():
                    waiter.set_result(None)
            self._queue_of.clear()

    def _drop(self, upstream: Upstream) -> None:
        """Gives up a connection that was being made, whatever was agreed to be spoken on it."""
        other = upstream.other if isinstance(upstream, Session) else None
        super()._drop(upstream if other is None else other)

    def _serve(self, session: Session) -> None:
        """Gives the session's room to those who wait, in the order in which they came."""
        while self._queue_of and session.room > 0:
            waiter = next(iter(self._queue_of))
            del self._queue_of[waiter]
            if not waiter.done():
                waiter.set_result(session.reserve())

    def _tell(self, error: Exception) -> None:
        """Nobody who waits gets a connection."""
        for waiter in self._queue_of:
            if not waiter.done():
                waiter.set_exception(error)
        self._queue_of.clear()
