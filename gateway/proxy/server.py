"""A listener: accepts connections, keeps the coarse clock, enforces deadlines and drains."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Final

from gateway.errors import StartError
from gateway.failures import BAD_PROXY_HEADER
from gateway.proxy import descriptors
from gateway.proxy.client import Clients
from gateway.proxy.context import Context
from gateway.proxy.downstream import Downstream
from gateway.proxy.keepalive import watch_peer
from gateway.proxy.peeking import PeekingServer
from gateway.proxy.proxied import ProxiedServer
from gateway.tls.certificates import ListenerTLS

TICK = 0.25
"""Seconds between two looks at the deadlines: how late a timeout may be."""
PAUSE = 1.0
"""Seconds by which a look is late if the process stood still, rather than was busy."""
QUIET = 1.0
"""Seconds without a request after which a draining listener closes a client's connection. One that was used a moment
ago is likely to be used again, and a request that crosses the closing is lost; its response will say `close` instead."""
SILENCE: Final = 10.0
"""Seconds after a failed handshake was logged in which others are only counted."""

BACKLOG: Final = 4096
"""Connections that wait to be accepted, as far as the kernel lets them (`net.core.somaxconn`): the next one is not refused, but
tries again a second later, and takes the process for dead after another."""

_log = logging.getLogger("gateway")


def bind(host: str, port: int, shared: bool = False) -> socket.socket:
    """A listening socket on the address; port 0 takes a free one. Raises StartError naming the address.

    `shared`: others may listen on it too (SO_REUSEPORT), and the kernel deals connections out among them.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    sock.setblocking(False)
    return sock


class Listener:
    """A listening socket, and its clients: the live sets. `others`: more sockets to accept connections from."""

    def __init__(
        self,
        sock: socket.socket,
        context: Context,
        tls: ListenerTLS | None = None,
        others: Sequence[socket.socket] = (),
    ) -> None:
        self._sockets = (sock, *others)
        self._ssl = None if tls is None else tls.context
        self.port: int = sock.getsockname()[1]
        self._context = context
        self.clients = Clients()
        self._servers: list[asyncio.Server | PeekingServer] = []
        self._peeking: list[PeekingServer] = []
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._has_paused = False
        self._next_word = 0.0

    async def start(self) -> None:
        """Begins to accept."""
        context = self._context
        descriptors.warn_of_shortage(context.limits.connections, context.limits.in_flight)
        for sock in self._sockets:
            await self._accept(sock)
        self._tick()

    async def add(self, sock: socket.socket) -> None:
        """Accepts connections from one more socket."""
        if self._context.is_draining:
            sock.close()
            return
        await self._accept(sock)
        self._sockets = (*self._sockets, sock)

    async def _accept(self, sock: socket.socket) -> None:
        watch_peer(sock)
        context = self._context
        reception = context.reception
        if reception is not None:
            peeking = PeekingServer(
                context.loop,
                sock,
                self._arrive,
                context=lambda: reception.context,
                failed=self._handshake_failed,
                timeout=context.timeouts.head,
            )
            self._servers.append(peeking)
            self._peeking.append(peeking)
            return
        if context.reads_proxy_header:
            proxied = ProxiedServer(
                context.loop,
                sock,
                self._arrive_for,
                is_trusted=context.router.is_trusted,
                context=lambda: self._ssl,
                failed=self._handshake_failed,
                refused=self._header_refused,
                timeout=context.timeouts.head,
            )
            self._servers.append(proxied)
            self._peeking.append(proxied)
            return
        server = await context.loop.create_server(
            self._arrive,  # type: ignore[arg-type]
            sock=sock,
            backlog=BACKLOG,  # it listens already, but event loops set this anew, to 100 if nothing is said
            ssl=self._ssl,
            ssl_handshake_timeout=None if self._ssl is None else context.timeouts.head,
        )
        self._servers.append(server)

    def _handshake_failed(self, address: str, error: Exception) -> None:
        """Counts it, and says so now and then: a peer with the wrong certificate tries again and again."""
        context = self._context
        context.traffic.handshakes_failed += 1
        now = context.loop.time()
        if now >= self._next_word:
            self._next_word = now + SILENCE
            why = getattr(error, "verify_message", "") or str(error) or type(error).__name__
            _log.warning("%s: the TLS handshake with %s failed: %s", context.name, address, why)

    def _header_refused(self, address: str, why: str) -> None:
        """Counts it: nobody is told more than that the connection closes."""
        context = self._context
        context.traffic.count_refused(BAD_PROXY_HEADER.code)
        if context.log is not None:
            context.log.record_refused(address, BAD_PROXY_HEADER)
        now = context.loop.time()
        if now >= self._next_word:
            self._next_word = now + SILENCE
            _log.warning("%s: a connection of %s, which is trusted, was closed: %s", context.name, address, why)

    def _arrive_for(self, client_ip: str) -> Downstream:
        """What a connection is told to that a load balancer passes on, for the client at an address."""
        connection = self._arrive()
        connection.proxied_ip = client_ip
        return connection

    def _arrive(self) -> Downstream:
        """What a connection that was just accepted is told to; it opens a turn of the loop later, or after its handshake."""
        connection = Downstream(self._context, self.clients)
        self.clients.arriving.add(connection)
        return connection

    def _forget_failed(self, now: float) -> None:
        """Of a handshake that fails nobody is told: it is over when its time is."""
        self.clients.arriving -= {connection for connection in self.clients.arriving if connection.deadline < now}

    @property
    def _silent(self) -> int:
        return sum(peeking.silent for peeking in self._peeking)

    def _drop_silent(self, before: float) -> None:
        for peeking in self._peeking:
            peeking.drop_silent(before)

    def _tick(self) -> None:
        context = self._context
        now = context.now = context.loop.time()
        self._timer = context.loop.call_later(TICK, self._tick)
        # After a standstill of the process itself, what its peers have sent lies in the kernel: it is read before they are
        # judged, which takes a tick. One that stands still all the time judges at every other tick.
        self._has_paused = 0.0 < self._due < now - PAUSE and not self._has_paused
        self._due = now + TICK
        if not self._has_paused:
            for connection in [connection for connection in self.clients.connections if connection.deadline < now]:
                connection.run(connection.deadline_passed)
        if self.clients.arriving:
            self._forget_failed(now)
        self._drop_silent(now - context.timeouts.head)
        context.origins.close_idle(now - context.timeouts.upstream_idle)
        descriptors.look()
        if context.log is not None:
            context.log.flush()

    async def drain(self, delay: float, timeout: float) -> bool:
        """Winds down without failing a request: every response from now on says `Connection: close`.

        For `delay` seconds new connections are still accepted (peers may not have noticed yet). Then the socket
        closes, and what is in flight has `timeout` seconds to finish. Returns whether all of it did.
        """
        context = self._context
        context.is_draining = True
        if delay:
            await asyncio.sleep(delay)
        await self.stop_accepting()
        deadline = context.loop.time() + timeout
        while True:
            await self._close_quiet()
            if not self.clients.connections and not self.clients.arriving and not self._silent:
                return True
            if context.loop.time() >= deadline:
                return False
            await asyncio.sleep(0.02)

    async def _close_quiet(self) -> None:
        """Closes connections that have been without a request for a while."""
        context = self._context
        quiet = context.loop.time() - QUIET
        self._drop_silent(quiet)
        found = [connection for connection in self.clients.connections if connection.quiet_since <= quiet]
        if found:
            # If this process was held up, requests may have come that it has not read: after two turns of the loop it has.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        for connection in found:
            if connection.quiet_since <= quiet:
                connection.close_if_idle()

    async def stop_accepting(self) -> None:
        """Closes the sockets. Clients that have connected but were not accepted yet are served: they would be reset.

        Every response from now on says `Connection: close`.
        """
        servers, self._servers = self._servers, []
        context = self._context
        context.is_draining = True
        accepted: list[socket.socket] = []
        for sock, server in zip(self._sockets, servers, strict=False):
            while True:
                try:
                    found = sock.accept()[0]
                except OSError:
                    break
                if isinstance(server, PeekingServer):
                    server.take(found)
                else:
                    accepted.append(found)
            server.close()
        for sock in accepted:
            sock.setblocking(False)
            await context.loop.connect_accepted_socket(
                self._arrive,  # type: ignore[type-var]
                sock,
                ssl=self._ssl,
                ssl_handshake_timeout=None if self._ssl is None else context.timeouts.head,
            )

    async def close(self) -> None:
        """Closes everything at once."""
        if self._timer is not None:
            self._timer.cancel()
        for server in self._servers:
            server.close()
        for peeking in self._peeking:
            peeking.abort()
        for connection in list(self.clients.connections):
            connection.close_now()
        for task in list(self.clients.tasks):
            task.cancel()
        await asyncio.gather(*self.clients.tasks, return_exceptions=True)
