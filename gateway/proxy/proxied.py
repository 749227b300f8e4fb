"""Accepts connections of load balancers that say in front of everything, TLS too, whose connection it is (PROXY protocol)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from gateway.http.address import plain_ip
from gateway.http.proxyheader import MAX_BYTES, read_proxy_header
from gateway.proxy.downstream import Downstream
from gateway.proxy.peeking import PeekingServer

_PIECE: Final = MAX_BYTES + 1


class ProxiedServer(PeekingServer):
    """Accepts from one listening socket. Whoever is trusted has to begin with a header, whoever is not cannot send one.

    `arrive(client_ip)` makes what a connection talks to; an empty address is that of the connection itself. `context` returns
    the context for handshakes, None without TLS. `refused(address, why)` is told of connections with a bad header.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        arrive: Callable[[str], Downstream],
        *,
        is_trusted: Callable[[str], bool],
        context: Callable[[], ssl.SSLContext | None],
        failed: Callable[[str, Exception], None],
        refused: Callable[[str, str], None],
        timeout: float,
    ) -> None:
        self._arrive_for = arrive
        self._is_trusted = is_trusted
        self._refused = refused
        self._headers: dict[socket.socket, bytes] = {}
        super().__init__(loop, sock, lambda: arrive(""), context=context, failed=failed, timeout=timeout)

    def take(self, connection: socket.socket) -> None:
        """Serves a connection that was accepted."""
        if self._is_trusted(_address_of(connection)):
            self._headers[connection] = b""
            super().take(connection)
        else:
            connection.setblocking(False)
            self._begin(connection, "")

    def _look(self, connection: socket.socket) -> None:
        """Takes the header out of the connection, and not a byte of what comes after it."""
        try:
            seen = connection.recv(_PIECE, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            seen = b""
        if not seen:
            self._drop(connection)
            return
        before = self._headers[connection]
        try:
            found = read_proxy_header(before + seen)
        except ValueError as error:
            address = _address_of(connection)
            self._drop(connection)
            self._refused(address, str(error))
            return
        if found is None:
            self._headers[connection] = before + connection.recv(len(seen))
            return
        end, client = found
        connection.recv(end - len(before))
        self._forget(connection)
        self._begin(connection, plain_ip(client))

    def _begin(self, connection: socket.socket, client: str) -> None:
        self.open(connection, self._arrive_for(client), self._context())

    def _forget(self, connection: socket.socket) -> None:
        del self._headers[connection]
        super()._forget(connection)


def _address_of(connection: socket.socket) -> str:
    try:
        return plain_ip(connection.getpeername()[0])
    except OSError:
        return ""
