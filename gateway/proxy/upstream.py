"""One connection to an instance, and what it speaks with: who takes the response, and whose connection it is.

An exchange and a tunnel are handlers. What is said here of connections is true of streams, too (`upstream_stream`).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gateway.failures import CERTIFICATE_REFUSED, Fault
from gateway.http.request import Request
from gateway.proxy.connection import HIGH_WATER, Connection, Outbox
from gateway.proxy.keepalive import watch_peer
from gateway.proxy.request_body import RequestBody
from gateway.proxy.runqueue import RunQueue

PIECE: Final = 65536
REST: Final = 4 * PIECE
"""Bytes that are read at the most from a connection that broke: the size of an ordinary read."""


_REFUSALS: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""What OpenSSL calls the alerts by which a server refuses a client's certificate (RFC 8446 §6.2)."""


def refusal_of(error: Exception | None) -> str:
    """What a person is told if an instance has refused this program's certificate; empty if it is another error, or none."""
    reason = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    if reason not in _REFUSALS:
        return ""
    return f"the instance refuses our certificate ({reason.partition('_ALERT_')[2].lower().replace('_', ' ')})"


class ResponseHandler:
    """Takes what an instance does on one connection."""

    __slots__ = ()

    def response_received(self, data: bytes) -> None:
        """Takes what the instance sent."""
        raise NotImplementedError

    def response_begun(self, head: bytes, data: bytes) -> None:
        """Takes a whole head, which other responses may have had, and what came after it."""
        self.response_received(head + data)

    def response_proceed(self) -> None:
        """Works on what was received and left for a later turn."""

    def response_ended(self) -> bool:
        """Takes that the instance sends no more; returns whether the connection stays open for what goes the other way."""
        raise NotImplementedError

    def response_trailers(self, lines: bytes) -> None:
        """Takes the trailers of a response whose end comes next: field lines, each led by CRLF."""

    def response_aborted(self, fault: Fault, detail: str) -> None:
        """Takes that there will be no (more of a) response, because of `fault`, and why, where there is more to say."""
        raise NotImplementedError

    def response_lost(self) -> None:
        """Takes that the connection broke off, or (in TLS) ended without having said so."""
        raise NotImplementedError

    def instance_stalled(self) -> None:
        """Takes that the instance does not read as fast as it is sent to."""
        raise NotImplementedError

    def instance_drained(self) -> None:
        """Takes that the instance has read what waited."""
        raise NotImplementedError

    def broken(self) -> None:
        """Notes that this program has hit an internal error on the way."""
        raise NotImplementedError


class UpstreamOwner:
    """Whose a connection is: it keeps it between exchanges. `outbox` and `queue` are for its connections.

    `takes_trailers`: requests may end with trailers. In HTTP/2 some instances end the whole connection for that.
    """

    __slots__ = ("outbox", "queue", "takes_trailers")

    def __init__(self, outbox: Outbox, queue: RunQueue) -> None:
        self.outbox = outbox
        self.queue = queue
        self.takes_trailers: bool = True

    def release(self, upstream: Upstream, now: float) -> None:
        """Takes back a connection whose exchange ended cleanly."""
        raise NotImplementedError

    def detach(self, upstream: Upstream) -> None:
        """Takes out a connection that has become a tunnel."""
        raise NotImplementedError

    def lost(self, upstream: Upstream) -> None:
        """Notes that a connection closed, whatever it was doing."""
        raise NotImplementedError

    def has_room(self, upstream: Upstream) -> None:
        """Takes that a connection which carries several requests may have room for one more."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Has something called so many seconds from now."""
        raise NotImplementedError


# Its public members are what a transport, an owner and a handler call.
class Upstream(Connection):
    """`handler` is None while the connection is idle with its owner. `is_detached`: it has become a tunnel."""

    __slots__ = ("handler", "idle_since", "is_detached", "is_lost", "owner", "served")

    def __init__(self, owner: UpstreamOwner) -> None:
        super().__init__(owner.outbox, owner.queue)
        self.owner = owner
        self.handler: ResponseHandler | None = None
        self.idle_since: float = 0.0
        self.served: int = 0
        self.is_lost: bool = False
        self.is_detached: bool = False

    def itself(self) -> Upstream:
        """The protocol factory that `create_connection` needs."""
        return self

    def peer_certificate(self) -> Mapping[str, Any] | None:
        """The certificate that the instance has shown, as `getpeercert` describes it; None if there is none."""
        return None if self.transport is None else self.transport.get_extra_info("peercert")

    def opened(self) -> None:
        """Begins."""
        transport = self.transport
        if transport is None:
            return
        if self.is_encrypted:
            transport.set_write_buffer_limits(high=HIGH_WATER)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            watch_peer(sock)

    def send_request(self, request: Request, head: bytes, body: RequestBody | None) -> None:
        """Sends a request with this head, and what there is of its body."""
        self.write(head if body is None else head + body.framed(body.kept))

    def send_body(self, body: RequestBody, payload: bytes) -> None:
        """Sends what has just come of a body."""
        self.write(body.framed(payload))

    def received(self, data: bytes) -> None:
        """Takes what the instance sent."""
        handler = self.handler
        if handler is None:
            # Bytes that were not requested would be taken for the next exchange's response.
            self.close()
        else:
            handler.response_received(data)

    def proceed(self) -> None:
        """Works on what was left for this turn."""
        if self.handler is not None:
            self.handler.response_proceed()

    def ended(self) -> bool:
        """Takes that the instance sends no more."""
        return self.handler is not None and self.handler.response_ended()

    def lost(self, exc: Exception | None) -> None:
        """Takes that the connection is closed."""
        handler = self.handler
        if exc is not None and handler is not None:
            for data in self.rest_of_it():
                handler.response_received(data)
                if self.handler is not handler:
                    break
        self.is_lost = True
        self.owner.lost(self)
        handler = self.handler
        if handler is None:
            return
        refusal = refusal_of(exc)
        if refusal:
            handler.response_aborted(CERTIFICATE_REFUSED, refusal)
        else:
            handler.response_lost()

    def rest_of_it(self) -> Iterator[bytes]:
        """What came before the connection broke, and was not read yet.

        An instance that refuses a body responds, closes, and resets what keeps arriving. A write that meets this breaks off
        the connection with the response still in the kernel, where nobody would look for it any more.
        """
        transport = self.transport
        if transport is None or self.is_encrypted:
            return
        sock = transport.get_extra_info("socket")
        if sock is None:
            return
        try:
            for _ in range(REST // PIECE):
                data = os.read(sock.fileno(), PIECE)
                if not data:
                    return
                yield data
        except OSError:
            return

    def stalled(self) -> None:
        """Takes that the instance does not read."""
        if self.handler is not None:
            self.handler.instance_stalled()

    def drained(self) -> None:
        """Takes that the instance has read what waited."""
        if self.handler is not None:
            self.handler.instance_drained()

    def broken(self) -> None:
        """Takes an error of this program: it is the handler's, no matter whose bytes caused it."""
        if self.handler is not None:
            self.handler.broken()
        self.close()

    def close_now(self) -> None:
        """Closes at once."""
        self.close()

    def close_when_sent(self, seconds: float) -> None:
        """Closes when the instance has taken what waits, and after so many seconds whatever it has taken."""
        self.flush()
        self.is_lost = True
        self.handler = None
        transport = self.transport
        if transport is not None:
            self.transport = None
            transport.close()
            if transport.get_write_buffer_size():
                self.owner.call_later(seconds, transport.abort)

    def close(self) -> None:
        """Closes at once: whatever is unsent belongs to nobody any more."""
        self.is_lost = True
        transport = self.transport
        if transport is not None:
            self.transport = None
            transport.abort()
