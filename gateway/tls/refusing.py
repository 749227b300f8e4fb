"""Handshakes that a server refuses, and whose client is told why.

OpenSSL writes an alert when it refuses a client's certificate. Event loops drop it: they close the connection at once.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

LINGER: Final = 2.0
"""Seconds that a client has to close after it was refused."""


class _Handshake(ssl.SSLObject):
    """`outgoing` is where OpenSSL writes."""

    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        """See SSLObject. An error has what the client is still to get, as `alert`."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            error.alert = self.outgoing.read()  # type: ignore[attr-defined]
            raise


class RefusingContext(ssl.SSLContext):
    """A context whose handshakes say in their error what the client is still to get."""

    sslobject_class = _Handshake

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See SSLContext."""
        found = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(found, _Handshake)
        found.outgoing = outgoing
        return found


async def tell_refused(connection: socket.socket, error: Exception) -> None:
    """Sends a client the alert of its handshake's error, if there is one, and waits until it has closed, up to `LINGER`.

    In TLS 1.3 its first request is on the way by then: closed with that unread, the connection would be reset,
    and the alert lost.
    """
    alert = getattr(error, "alert", b"")
    if not alert:
        return
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LINGER):
            await loop.sock_sendall(connection, alert)
            connection.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(connection, 65536):
                pass
    except OSError:  # it is gone, or its time is over
        return
