"""Accepts TLS and plain text on one socket: the first byte of a connection says which it is.

Every TLS connection begins with a handshake record, whose first byte is 22 (RFC 8446 §5.1). No method of HTTP begins with that,
nor does the preface of HTTP/2. The byte is looked at where it lies, in the kernel, before the connection is given to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Final

from gateway.proxy.descriptors import OUT_OF_THEM, tell
from gateway.proxy.downstream import Downstream
from gateway.tls.refusing import tell_refused

HANDSHAKE: Final = b"\x16"
BATCH: Final = 64
"""Connections accepted in one turn of the loop."""
PAUSE: Final = 1.0
"""Seconds without accepting if there are no file descriptors left."""


class PeekingServer:
    """Accepts from one listening socket. `arrive` makes what a connection talks to.

    `context` returns the context for a handshake. `failed(address, error)` is told of handshakes that come to nothing. A
    handshake has `timeout` seconds; how long a connection may be silent is for the owner to say.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        arrive: Callable[[], Downstream],
        *,
        context: Callable[[], ssl.SSLContext | None],
        failed: Callable[[str, Exception], None],
        timeout: float,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._arrive = arrive
        self._context = context
        self._failed = failed
        self._timeout = timeout
        self._silent: dict[socket.socket, float] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(sock, self._accept)

    @property
    def silent(self) -> int:
        """Connections that are accepted, and of which nothing has been read."""
        return len(self._silent)

    def take(self, connection: socket.socket) -> None:
        """Serves a connection that was accepted."""
        connection.setblocking(False)
        self._silent[connection] = self._loop.time()
        self._loop.add_reader(connection, self._look, connection)

    def drop_silent(self, before: float) -> None:
        """Closes connections that were accepted before this time (of the loop's clock), and have sent nothing."""
        for connection in [connection for connection, since in self._silent.items() if since <= before]:
            self._look(connection)
            if connection in self._silent:
                self._drop(connection)

    def close(self) -> None:
        """Accepts no more, and closes the socket. What has arrived is served."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def abort(self) -> None:
        """Closes what is not open yet."""
        for connection in list(self._silent):
            self._drop(connection)
        for task in self._opening:
            task.cancel()

    def _accept(self) -> None:
        for _ in range(BATCH):
            try:
                connection, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in OUT_OF_THEM:
                    raise
                tell()
                self._loop.remove_reader(self._sock)
                self._pause = self._loop.call_later(PAUSE, self._loop.add_reader, self._sock, self._accept)
                return
            self.take(connection)

    def _look(self, connection: socket.socket) -> None:
        try:
            first = connection.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            first = b""
        if not first:
            self._drop(connection)
            return
        self._forget(connection)
        self.open(connection, self._arrive(), self._context() if first == HANDSHAKE else None)

    def open(self, sock: socket.socket, connection: Downstream, context: ssl.SSLContext | None) -> None:
        """Gives a socket to what it is to talk to; after a handshake, if there is a context for one."""
        task = self._loop.create_task(self._open(sock, connection, context))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, sock: socket.socket, connection: Downstream, context: ssl.SSLContext | None) -> None:
        address = ""
        spare: socket.socket | None = None
        try:
            if context is not None:
                # The loop closes what it was given as soon as a handshake fails: this one stays for what the client is told.
                spare = sock.dup()
            address = sock.getpeername()[0]
            await self._loop.connect_accepted_socket(  # type: ignore[type-var]
                lambda: connection,
                sock,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self._timeout,
            )
        except (OSError, asyncio.CancelledError) as error:  # TLS errors and timeouts are OSErrors
            connection.clients.arriving.discard(connection)
            sock.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            if context is not None:
                self._failed(address, error)
            if spare is not None:
                await tell_refused(spare, error)
        finally:
            if spare is not None:
                spare.close()

    def _forget(self, connection: socket.socket) -> None:
        self._loop.remove_reader(connection)
        del self._silent[connection]

    def _drop(self, connection: socket.socket) -> None:
        self._forget(connection)
        with contextlib.suppress(OSError):
            connection.close()
