"""One client connection: packets in, exchanges one after the other, responses out in order."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Final

from gateway.errors import ProtocolError
from gateway.failures import HEAD_TIMEOUT, INTERNAL_ERROR
from gateway.http.grammar import check_partial, too_large
from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.proxy.admission import admit
from gateway.proxy.client import ClientConnection, Clients
from gateway.proxy.context import Context
from gateway.proxy.exchange import Exchange
from gateway.proxy.http2_downstream import chose_http2, is_preface, speak_http2
from gateway.proxy.own_responses import error_response
from gateway.proxy.record import Record
from gateway.proxy.relay import Relay
from gateway.proxy.request_body import RequestBody
from gateway.proxy.response_body import FEW
from gateway.proxy.response_relay import ResponseRelay
from gateway.routing.verdict import Forward

CR: Final = 0x0D
MAX_BLANKS: Final = 2
"""Empty lines skipped before a request: some old clients send one after a body."""
RESETS: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing throws away what is unsent, and resets the connection."""


# Its public members are what a transport, an exchange and the listener call: none is its own idea.
class Downstream(ClientConnection):
    """A client that speaks HTTP/1.

    `_buffer` holds what was read and is not its turn yet: the rest of a body, or requests after the one under way.
    """

    __slots__ = ("_blanks", "_buffer", "_exchange", "_has_served", "_is_serving", "_reader", "_searched")

    def __init__(self, context: Context, clients: Clients) -> None:
        super().__init__(context, clients)
        self._reader: HeadReader = context.reader
        self._exchange: Exchange | None = None
        self._buffer: bytes = b""
        self._searched: int = 0
        self._blanks: int = 0
        self._has_served: bool = False
        self._is_serving: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether the client has nothing under way: not a byte of a next request."""
        return self._exchange is None and not self._buffer and not self.is_closing

    @property
    def held(self) -> int:
        """Bytes of the client's that are kept here and in its exchange."""
        body = None if self._exchange is None else self._exchange.body
        return len(self._buffer) + (0 if body is None else body.held)

    # --- what the transport says

    def opened(self) -> None:
        """Begins, as far as there is room for one more connection."""
        refused = admit(self)
        if self.peer.is_trusted:
            self._reader = self.context.trusted_reader
        if refused is None:
            self.is_closing = self.is_encrypted and chose_http2(self.transport) and speak_http2(self, b"")
            return
        if not refused.at_once:
            self._refuse(refused.error)
            return
        self._tell_refusal(refused.error)
        self.is_closing = True
        self.flush()
        if self.transport is not None:
            self.transport.close()

    def received(self, data: bytes) -> None:
        """Takes what the client sent."""
        exchange = self._exchange
        if exchange is None:
            if self._buffer:
                if self.is_resting or self.writes_paused:
                    self._keep(data)
                else:
                    data = self._buffer + data
                    self._buffer = b""
                    self._serve(data)
            elif not self.is_closing:
                self._serve(data)
        elif exchange.tunnel is not None:
            exchange.tunnel.client_sent(data)
        elif exchange.request_done:
            self._keep(data)
        elif self._buffer:
            self._buffer += data  # the rest of a body, which is read when its turn comes
        else:
            self._take_body(exchange, data, 0)

    def ended(self) -> bool:
        """The client closed its side.

        One that hung up looks the same as one that only finished sending, and is far more common: the exchange is
        cancelled, as in nginx and Envoy, so that nobody works for a response that nobody reads.
        """
        exchange = self._exchange
        return exchange is not None and exchange.tunnel is not None and exchange.tunnel.client_ended()

    def lost(self, exc: Exception | None) -> None:
        """Takes that the connection is closed."""
        self.clients.leave(self, self.peer.ip)
        self.context.traffic.connections -= 1
        self.is_closing = True
        self._buffer = b""
        exchange = self._exchange
        if exchange is not None:
            self._exchange = None
            exchange.client_gone()

    def stalled(self) -> None:
        """The client does not read: neither is what is for it, nor, between two requests, what it requests next."""
        if self._exchange is not None:
            self._exchange.client_stalled()
        elif not self.is_closing:
            self.deadline = self.context.now + self.context.timeouts.body_idle
            self.pause_reading()

    def drained(self) -> None:
        """The client has read what waited."""
        if self._exchange is not None:
            self._exchange.client_drained()
        elif not self.is_closing:
            timeouts = self.context.timeouts
            self.deadline = self.context.now + (timeouts.head if self._searched else timeouts.keep_alive)
            self.resume_reading()
            if self._buffer and not self.is_resting and not self._is_serving:
                self._serve_buffer()

    def proceed(self) -> None:
        """Works on what was left for this turn."""
        exchange = self._exchange
        if exchange is None:
            if self._buffer and not self.writes_paused:
                self._serve_buffer()
        elif self._buffer and not exchange.request_done:
            data = self._buffer
            self._buffer = b""
            self._take_body(exchange, data, 0, is_its_turn=True)

    def broken(self) -> None:
        """Takes an error of this program: 500 if no response has begun, and the connection closes."""
        self.context.traffic.internal_errors += 1
        exchange = self._exchange
        if self.is_closing or (exchange is not None and exchange.is_over):
            self.close_now()
            return
        self._refuse(ProtocolError(INTERNAL_ERROR, "internal error in the gateway"))

    def _speaks_http2(self, data: bytes) -> bool:
        """Whether the first bytes are those of a client that knows that HTTP/2 is spoken here: then it is from now on."""
        if self._has_served or not is_preface(data) or not speak_http2(self, data):
            return False
        self.is_closing = True
        return True

    # --- requests

    def _keep(self, data: bytes) -> None:
        """Keeps what is not its turn yet; beyond the limit, the client has to wait."""
        self._buffer += data
        if len(self._buffer) > self.context.limits.pipelined_bytes:
            self.pause_reading()

    def _serve(self, data: bytes) -> None:
        """Starts exchanges until one has to wait, the bytes or the turn run out, or the connection is to be closed."""
        self._is_serving = True
        is_first = True
        at = 0
        size = len(data)
        while at < size and self._exchange is None and not self.is_closing and not self.writes_paused:
            if data[at] == CR and self._blanks < MAX_BLANKS:
                # RFC 9112 §2.2: an empty line before a request is to be ignored.
                if data[at : at + 2] == b"\r\n":
                    self._blanks += 1
                    at += 2
                    continue
                if size - at == 1:
                    break
            if is_first:
                is_first = False
            elif not self._queue.has_time():
                self.rest()
                break
            end = data.find(b"\r\n\r\n", at + self._searched - 3 if self._searched > 3 else at) + 4
            if end < 4:
                self._wait_for_head(data[at:] if at else data)
                self._is_serving = False
                return
            self._searched = 0
            self._blanks = 0
            try:
                if end - at > self.context.limits.head_bytes:
                    raise self._too_large(data[at:end])
                request = self._reader.read(data[at:end] if at or end < size else data)
                exchange = self._exchange = Exchange(self, request)
                at = exchange.start(data, end)
                if at < size and self._exchange is exchange and not exchange.request_done:
                    self._is_serving = False
                    self._take_body(exchange, data, at)
                    return
            except ProtocolError as error:
                if not self._speaks_http2(data[at:]):
                    self._refuse(error)
                break
        self._is_serving = False
        if self.is_closing:
            return
        self._buffer = data[at:] if at < size else b""

    def _serve_buffer(self) -> None:
        data = self._buffer
        self._buffer = b""
        self._serve(data)

    def _take_body(self, exchange: Exchange, data: bytes, at: int, is_its_turn: bool = False) -> None:
        """Reads on in the body; what follows it, or is for a later turn, is kept."""
        body = exchange.body
        assert body is not None
        size = len(data)
        try:
            while at < size and not exchange.request_done and self._exchange is exchange:
                if body.is_chunked and size - at > FEW and not is_its_turn and not self._queue.has_time():
                    self.rest()
                    break
                is_its_turn = False
                at = exchange.receive_body(data, at)
        except ProtocolError as error:
            self._refuse(error)
            return
        if at == size or self.is_closing:
            return
        if self._exchange is exchange and exchange.request_done:
            self._keep(data[at:])
            return
        self._buffer = data[at:]
        if self._exchange is None and not self.is_resting:
            self._serve_buffer()

    def _wait_for_head(self, data: bytes) -> None:
        try:
            # Only what is new is looked at: a head that trickles in must not cost its square.
            check_partial(data, self._searched)
            if len(data) > self.context.limits.head_bytes:
                raise self._too_large(data)
        except ProtocolError as error:
            if not self._speaks_http2(data):
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
        """Responds to a message that must not be forwarded, and closes: where the next one would start is unknown."""
        exchange = self._exchange
        if exchange is None:
            self._tell_refusal(error)
            self.close_gently()
        else:
            exchange.stop(error.failure, error.detail)

    def _tell_refusal(self, error: ProtocolError) -> None:
        failure = error.failure
        self.context.traffic.count_refused(failure.code)
        if self.context.log is not None:
            self.context.log.record_refused(self.peer.ip, failure)
        self.write(error_response(failure, error.detail, None, False))

    # --- what an exchange needs

    def request_body(self, request: Request) -> RequestBody:
        """The body of a request that has one."""
        return RequestBody(request.body, self.context.now)

    def relay(self, record: Record, forward: Forward) -> Relay:
        """From HTTP/1 to HTTP/1."""
        return ResponseRelay(self, record, forward)

    def respond(self, message: bytes) -> None:
        """Sends a response of this program's own."""
        self.write(message)

    def send_interim(self, head: bytes) -> None:
        """Sends the head of an interim response."""
        self.write(head)

    def exchange_ended(self, keeps: bool) -> None:
        """The response is written; `keeps`: the connection can take another request."""
        exchange = self._exchange
        self._exchange = None
        self._has_served = True
        if not keeps:
            self.close_gently(exchange is None or not exchange.request_done or bool(self._buffer))
            return
        context = self.context
        self.quiet_since = context.now
        if self.writes_paused:
            # It does not read what it has requested: let it.
            self.deadline = context.now + context.timeouts.body_idle
            self.pause_reading()
            return
        self.deadline = context.now + context.timeouts.keep_alive
        if self.is_paused:
            self.resume_reading()
        if self._buffer and not self._is_serving and not self.is_resting:
            self._serve_buffer()

    def tunnel_opened(self) -> None:
        """The connection is the client's own now; bytes it sent ahead go through."""
        tunnel = None if self._exchange is None else self._exchange.tunnel
        assert tunnel is not None
        data = self._buffer
        self._buffer = b""
        if data:
            tunnel.client_sent(data)
        if not tunnel.is_blocked:
            self.resume_reading()

    def tunnel_ended(self, may_send_more: bool) -> None:
        """The tunnel is closed at its other end."""
        exchange = self._exchange
        self._exchange = None
        if exchange is not None:
            exchange.end_tunnel()
        self.close_gently(may_send_more)

    def close_now(self) -> None:
        """Closes both directions at once; what is under way is cut off, and so that the client can notice."""
        self.is_closing = True
        exchange = self._exchange
        self._exchange = None
        transport = self.transport
        if transport is not None:
            self.flush()
            is_cut = transport.get_write_buffer_size() > 0 or (exchange is not None and exchange.is_told_by_closing)
            sock = transport.get_extra_info("socket") if is_cut else None
            if sock is not None:
                # An end like any other would pass for the response's.
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
            transport.abort()
        if exchange is not None and not exchange.is_over:
            exchange.cut_off()

    # --- the listener's calls

    def records(self) -> list[Record]:
        """See `ClientConnection`."""
        return [] if self._exchange is None else [self._exchange.record]

    def deadline_passed(self) -> None:
        """A wait took too long."""
        exchange = self._exchange
        if exchange is not None:
            exchange.deadline_passed()
        elif self.is_closing or self.writes_paused:
            if self.is_taken():
                self.deadline = self.context.now + self.context.timeouts.body_idle
            else:
                self.close_now()
        elif self._buffer:
            self._refuse(ProtocolError(HEAD_TIMEOUT, "the request head did not arrive in time"))
        else:
            self.close_if_idle()

    def close_if_idle(self) -> None:
        """Closes a connection that has nothing under way."""
        if self.is_idle and self.transport is not None:
            self.is_closing = True
            self.flush()
            self.transport.close()

    def close_gently(self, may_send_more: bool = True) -> None:
        """Closes when all is sent."""
        self._buffer = b""
        super().close_gently(may_send_more)
