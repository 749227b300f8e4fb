"""One client connection: packets in, exchanges one after the other, answers out in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.errors import ProtocolError
from gateway.http.address import plain_ip
from gateway.http.grammar import check_partial, too_large
from gateway.http.request import HeadReader
from gateway.proxy.connection import Connection
from gateway.proxy.exchange import Exchange
from gateway.proxy.replies import error_reply
from gateway.routing.plan import Peer

if TYPE_CHECKING:
    from gateway.proxy.context import Context

CR: Final = 0x0D
MAX_BLANKS: Final = 2
"""Empty lines passed over before a request: some old clients send one behind a body."""
LINGER: Final = 2.0
"""Seconds that a connection to be closed goes on reading what it will not use. Closing earlier would answer that data
with a reset, which can destroy the response before the client has read it (RFC 9112 §9.6)."""


class Downstream(Connection):
    """An asyncio protocol. `deadline` (the loop's clock) is looked at by the listener's tick; every wait sets it.

    `heard_at` is when the last piece of a body came, `quiet_since` since when no request has been under way.
    """

    __slots__ = (
        "_blanks",
        "_buffer",
        "_exchange",
        "_is_closing",
        "_is_serving",
        "_reader",
        "_searched",
        "context",
        "deadline",
        "heard_at",
        "peer",
        "quiet_since",
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context.outbox)
        self.context = context
        self.peer: Peer = Peer("")
        self.deadline: float = context.now + context.timeouts.head
        self._reader: HeadReader = context.reader
        self._exchange: Exchange | None = None
        self._buffer: bytes = b""
        self._searched: int = 0
        self._blanks: int = 0
        self.heard_at: float = 0.0
        self.quiet_since: float = context.now
        self._is_serving: bool = False
        self._is_closing: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether the client has nothing under way: not a byte of a next request."""
        return self._exchange is None and not self._buffer and not self._is_closing

    # --- the transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        context = self.context
        name = transport.get_extra_info("peername")
        ip = plain_ip(name[0]) if isinstance(name, tuple) else ""
        trusted = context.router.is_trusted(ip)
        self.peer = Peer(ip, trusted, context.scheme)
        context.connections.add(self)
        context.traffic.connections += 1
        context.by_client[ip] = mine = context.by_client.get(ip, 0) + 1
        limits = context.limits
        if trusted:
            self._reader = context.trusted_reader
        elif mine > limits.connections_per_client:
            most = limits.connections_per_client
            self._refuse(ProtocolError(429, "too_many_connections", f"{ip} has more than {most} connections open"))
        if len(context.connections) > limits.connections and not self._is_closing:
            self._refuse(ProtocolError(503, "overloaded", f"more than {limits.connections} connections are open"))

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None:
            if exchange.is_tunnel:
                if exchange.upstream is not None:
                    exchange.upstream.write(data)
            elif exchange.request_done:
                self._buffer += data
                if len(self._buffer) > self.context.limits.pipelined_bytes:
                    self.pause_reading()
            else:
                self.heard_at = self.context.now
                try:
                    self._buffer = exchange.request_received(data)
                except ProtocolError as error:
                    self._refuse(error)
        elif not self._is_closing:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            self._serve(data)

    def eof_received(self) -> bool:
        """The client closed its side.

        One that hung up looks the same as one that only finished sending, and is far more common: the exchange is
        cancelled, as in nginx and Envoy, so that nobody works for an answer that nobody reads.
        """
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        context = self.context
        context.connections.discard(self)
        context.traffic.connections -= 1
        ip = self.peer.ip
        left = context.by_client[ip] - 1
        if left:
            context.by_client[ip] = left
        else:
            del context.by_client[ip]
        self.transport = None
        self._is_closing = True
        exchange = self._exchange
        if exchange is not None:
            self._exchange = None
            exchange.client_gone()

    def pause_writing(self) -> None:
        self.writes_paused = True
        exchange = self._exchange
        if exchange is not None and exchange.upstream is not None:
            exchange.upstream.pause_reading()

    def resume_writing(self) -> None:
        self.writes_paused = False
        exchange = self._exchange
        if exchange is not None:
            self.deadline = self.context.now + self.context.timeouts.body_idle
            if exchange.upstream is not None:
                exchange.upstream.resume_reading()
        elif self._buffer:
            self._serve_buffer()

    # --- requests

    def _serve(self, data: bytes) -> None:
        """Starts exchanges until one has to wait, the bytes run out or the connection is to be closed."""
        self._is_serving = True
        while data and self._exchange is None and not self._is_closing and not self.writes_paused:
            if data[0] == CR and self._blanks < MAX_BLANKS:
                # RFC 9112 §2.2: an empty line before a request is to be ignored.
                if data[:2] == b"\r\n":
                    self._blanks += 1
                    data = data[2:]
                    continue
                if len(data) == 1:
                    self._buffer = data
                    break
            end = data.find(b"\r\n\r\n", self._searched - 3 if self._searched > 3 else 0) + 4
            if end < 4:
                self._wait_for_head(data)
                break
            self._searched = 0
            self._blanks = 0
            try:
                if end > self.context.limits.head_bytes:
                    raise self._too_large(data[:end])
                request = self._reader.read(data[:end], self.peer.ip)
                exchange = self._exchange = Exchange(self.context, self, request)
                data = exchange.start(data[end:])
            except ProtocolError as error:
                self._refuse(error)
                break
        else:
            self._buffer = data
        self._is_serving = False

    def _serve_buffer(self) -> None:
        data = self._buffer
        self._buffer = b""
        self._serve(data)

    def _wait_for_head(self, data: bytes) -> None:
        try:
            # Only what is new is looked at: a head that trickles in must not cost its square.
            check_partial(data, self._searched)
            if len(data) > self.context.limits.head_bytes:
                raise self._too_large(data)
        except ProtocolError as error:
            self._refuse(error)
            return
        if not self._searched:
            self.deadline = self.context.now + self.context.timeouts.head
        self._searched = len(data)
        self._buffer = data

    def _too_large(self, data: bytes) -> ProtocolError:
        limits = self.context.limits
        return too_large(data, limits.head_bytes, limits.target_bytes)

    def _refuse(self, error: ProtocolError) -> None:
        """Answers a message that must not be forwarded, and closes: where the next one would start is unknown."""
        exchange = self._exchange
        if exchange is None:
            self.context.traffic.count_refused(error.code)
            if self.context.log is not None:
                self.context.log.record_refused(self.peer.ip, error.status, error.code)
            self.write(error_reply(error.status, error.code, error.detail, None, False))
            self._close_gently()
        elif exchange.has_answered:
            exchange.abort(error.status, error.code)
        else:
            exchange.fail(error.status, error.code, error.detail)

    # --- what an exchange asks for

    def exchange_ended(self, keeps: bool) -> None:
        """The answer is written; `keeps`: the connection can take another request."""
        exchange = self._exchange
        self._exchange = None
        if not keeps:
            self._close_gently(exchange is None or not exchange.request_done or bool(self._buffer))
            return
        self.quiet_since = self.context.now
        self.deadline = self.context.now + self.context.timeouts.keep_alive
        if self.is_paused:
            self.resume_reading()
        if self._buffer and not self._is_serving:
            self._serve_buffer()

    def tunnel_opened(self) -> None:
        """The connection is the client's own now; bytes it sent ahead go through."""
        exchange = self._exchange
        if self._buffer and exchange is not None and exchange.upstream is not None:
            exchange.upstream.write(self._buffer)
        self._buffer = b""

    def close_now(self) -> None:
        """Closes both directions at once: an answer was cut short and the client must notice."""
        self._is_closing = True
        self._exchange = None
        if self.transport is not None:
            self.flush()
            self.transport.abort()

    # --- the listener's calls

    def deadline_passed(self) -> None:
        """A wait took too long."""
        exchange = self._exchange
        if exchange is not None:
            exchange.timed_out()
        elif self._is_closing:
            self.close_now()
        elif self._buffer:
            self._refuse(ProtocolError(408, "head_timeout", "the request head did not arrive in time"))
        else:
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """Closes a connection that has nothing under way."""
        if self.is_idle and self.transport is not None:
            self._is_closing = True
            self.flush()
            self.transport.close()

    def _close_gently(self, may_send_more: bool = True) -> None:
        """Closes when all is sent; a client that may still be sending is read from for a while first."""
        self._is_closing = True
        self._buffer = b""
        self.flush()
        transport = self.transport
        if transport is None:
            return
        if not may_send_more or not transport.can_write_eof():
            transport.close()
            return
        self.deadline = self.context.now + LINGER
        transport.write_eof()
        self.resume_reading()
