"""One stream of a client's HTTP/2 connection as an exchange sees it: heads, data and windows instead of bytes on a socket."""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.failures import INTERNAL_ERROR
from gateway.http.request import Request
from gateway.http2.blocks import response_block, trailers_block
from gateway.http2.endpoint import Endpoint
from gateway.http2.errors import CANCEL, NO_ERROR, PROTOCOL_ERROR
from gateway.http2.errors import INTERNAL_ERROR as INTERNAL
from gateway.http2.stream import Stream
from gateway.proxy.client import Client, ClientConnection
from gateway.proxy.connection import HIGH_WATER
from gateway.proxy.exchange import Exchange
from gateway.proxy.own_responses import error_response
from gateway.proxy.record import Record
from gateway.proxy.relay import Relay
from gateway.proxy.request_body import RequestBody
from gateway.proxy.stream_relay import StreamRelay
from gateway.proxy.streamed_body import StreamedBody
from gateway.routing.verdict import Forward


class StreamOwner(ClientConnection):
    """The connection that streams are on. `endpoint` speaks for it."""

    __slots__ = ("endpoint",)

    endpoint: Endpoint

    def filled(self) -> None:
        """Notes that more waits for the client than there may, over all streams."""
        raise NotImplementedError

    def over(self, stream: ClientStream) -> None:
        """Notes that nothing more comes of a stream, either way."""
        raise NotImplementedError


# Its public members are what an exchange, and the connection that the stream is on, call.
class ClientStream(Client):
    """A client's stream. It has no transport of its own: what a connection would do to its socket, it does to its windows.

    `_owed` are the bytes of the request that were not given back to the client's window: the instance has not taken them.
    `_ahead` is what came of a tunnel before it was one.
    """

    __slots__ = (
        "_ahead",
        "_code",
        "_endpoint",
        "_has_ended",
        "_has_ended_ahead",
        "_has_responded",
        "_is_connect",
        "_owed",
        "_owner",
        "exchange",
        "stream",
    )

    def __init__(self, owner: StreamOwner, stream: Stream) -> None:
        super().__init__(owner.context, owner.clients)
        self.peer = owner.peer
        self.stream = stream
        self.exchange: Exchange | None = None
        self._owner = owner
        self._endpoint: Endpoint = owner.endpoint
        self._has_ended_ahead: bool = False
        self._code: int = NO_ERROR  # §8.1: a client that has its response need not send the rest
        self._has_ended: bool = False
        self._has_responded: bool = False
        self._is_connect: bool = False
        self._owed: int = 0
        self._ahead: bytes = b""

    # --- what the connection says

    def start(self, request: Request) -> None:
        """Begins the exchange."""
        self._is_connect = request.upgrade != b""
        exchange = self.exchange = Exchange(self, request)
        exchange.start(b"", 0)

    def request_data(self, payload: bytes, ends: bool) -> None:
        """Takes data of the request. `ends`: it is the last."""
        exchange = self.exchange
        size = len(payload)
        if exchange is None:
            self._endpoint.take(self.stream, size)
            return
        self._owed += size
        tunnel = exchange.tunnel
        body = exchange.body
        if tunnel is not None:
            if payload:
                tunnel.client_sent(payload)
            if ends:
                tunnel.client_ended()
        elif isinstance(body, StreamedBody):
            body.has_ended = ends
            exchange.receive_body(payload, 0)
        elif self._is_connect:
            self._ahead += payload
            self._has_ended_ahead = ends
            return
        if not self.is_paused:
            self._give_back()

    def request_trailers(self, lines: bytes) -> None:
        """Takes trailers of the request (field lines, each led by CRLF), which end it."""
        body = None if self.exchange is None else self.exchange.body
        if body is not None:
            body.trailers = lines
        self.request_data(b"", True)

    def peer_drained(self) -> None:
        """What waited for the client was sent."""
        if self.exchange is None:
            self._finish()
        elif self.writes_paused:
            self.resume_writing()

    def peer_stalled(self) -> None:
        """The client, or its whole connection, takes nothing for now."""
        if not self.writes_paused:
            self.pause_writing()

    def gone(self) -> None:
        """The client has given it up, or its connection is lost."""
        exchange = self.exchange
        self._give_back()
        if exchange is not None:
            self.exchange = None
            exchange.client_gone()

    def refuse(self, error: ProtocolError) -> None:
        """Responds to a message that must not be forwarded."""
        exchange = self.exchange
        if exchange is not None:
            exchange.stop(error.failure, error.detail)
        else:
            self.respond(self._refusal(error))
            self._finish()

    def refuse_malformed(self, error: ProtocolError) -> None:
        """Says what is wrong with something that is no message, and resets the stream (RFC 9113 §8.1.1)."""
        exchange = self.exchange
        self._code = PROTOCOL_ERROR
        if exchange is not None:
            exchange.stop(error.failure, error.detail)
        else:
            head, _, body = self._refusal(error).partition(b"\r\n\r\n")
            self.send_head(head + b"\r\n\r\n", False)
            self.send_data(body, False)
        self._endpoint.reset(self.stream, PROTOCOL_ERROR)
        self._owner.over(self)

    def _refusal(self, error: ProtocolError) -> bytes:
        self.context.traffic.count_refused(error.failure.code)
        if self.context.log is not None:
            self.context.log.record_refused(self.peer.ip, error.failure)
        return error_response(error.failure, error.detail, None, True)

    def deadline_passed(self) -> None:
        """A wait took too long."""
        if self.exchange is not None:
            self.exchange.deadline_passed()
        elif self.has_taken(self.context.timeouts.due(self.context.limits.body_rate)):
            self.deadline = self.context.now + self.context.timeouts.body_idle
        else:
            self._endpoint.reset(self.stream, CANCEL)
            self._owner.over(self)

    # --- hooks

    def stalled(self) -> None:
        """Takes that the client does not take what is for it."""
        if self.exchange is not None:
            self.exchange.client_stalled()

    def drained(self) -> None:
        """Takes that the client has taken what waited."""
        if self.exchange is not None:
            self.exchange.client_drained()

    def broken(self) -> None:
        """Takes an error of this program: 500 if no response has begun, and otherwise the stream is cut off."""
        self.context.traffic.internal_errors += 1
        exchange = self.exchange
        if self._has_responded or (exchange is not None and exchange.is_over):
            self.close_now()
        else:
            self.refuse(ProtocolError(INTERNAL_ERROR, "internal error in the gateway"))

    # --- what an exchange needs

    def request_body(self, request: Request) -> RequestBody:
        """The body of a request that has one."""
        return StreamedBody(request.body, self.context.now)

    def relay(self, record: Record, forward: Forward) -> Relay:
        """From HTTP/1 to HTTP/2."""
        return StreamRelay(self, record, forward)

    def respond(self, message: bytes) -> None:
        """Sends a response of this program's own."""
        end = message.find(b"\r\n\r\n") + 4
        self.send_head(message[:end], end == len(message))
        if end < len(message):
            self.send_data(message[end:], True)

    def send_interim(self, head: bytes) -> None:
        """Sends the head of an interim response."""
        self._endpoint.send_head(self.stream, response_block(head), False)

    def send_head(self, head: bytes, ends: bool) -> None:
        """Sends the head of the final response."""
        self._has_ended = ends
        self._has_responded = True
        self._endpoint.send_head(self.stream, response_block(head), ends)

    def send_data(self, data: bytes, ends: bool) -> None:
        """Sends some of the body. What the client does not take waits, and the instance with it."""
        self._has_ended = ends
        stream = self.stream
        endpoint = self._endpoint
        endpoint.send_data(stream, data, ends)
        waiting = stream.pending_size
        if waiting:
            if waiting > HIGH_WATER:
                self.peer_stalled()
            if endpoint.is_full:
                self._owner.filled()

    def send_trailers(self, lines: bytes) -> None:
        """Ends the body, with trailers."""
        self._has_ended = True
        self._endpoint.send_trailers(self.stream, trailers_block(lines))

    def exchange_ended(self, keeps: bool) -> None:
        """The response is written, or cut short."""
        self.exchange = None
        self._finish()

    def tunnel_opened(self) -> None:
        """The stream is the client's own now; bytes it sent ahead go through."""
        tunnel = None if self.exchange is None else self.exchange.tunnel
        assert tunnel is not None
        data = self._ahead
        self._ahead = b""
        if data:
            tunnel.client_sent(data)
        if self._has_ended_ahead:
            tunnel.client_ended()
        if not tunnel.is_blocked:
            self.resume_reading()
            self._give_back()

    def tunnel_ended(self, may_send_more: bool) -> None:
        """The tunnel is closed at its other end."""
        exchange = self.exchange
        self.exchange = None
        if exchange is not None:
            exchange.end_tunnel()
        if not self._has_ended:
            self.send_data(b"", True)
        self._finish()

    def close_now(self) -> None:
        """Cuts it off, so that the client can notice."""
        exchange = self.exchange
        self.exchange = None
        self._endpoint.reset(self.stream, INTERNAL)
        if exchange is not None and not exchange.is_over:
            exchange.cut_off()
        self._finish()

    # --- what a connection does to its socket

    def write(self, data: bytes) -> None:
        """Passes on bytes of a tunnel."""
        self.send_data(data, False)

    def end_writing(self) -> bool:
        """Ends what is sent to the client, which may go on sending."""
        self.send_data(b"", True)
        return True

    def pause_reading(self) -> None:
        """Gives nothing more back: when the window is used up, the client has to wait."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Gives back what was held back."""
        if self.is_paused:
            self.is_paused = False
            self._give_back()

    def _give_back(self) -> None:
        owed = self._owed
        if owed:
            self._owed = 0
            self._endpoint.take(self.stream, owed)

    def _waiting(self) -> int:
        return self.stream.pending_size

    def _finish(self) -> None:
        """Leaves the stream to the client, as soon as it has the whole response: what it still sends is of no use."""
        stream = self.stream
        if self._owed:
            self.is_paused = False
            self._give_back()
        if not stream.is_closed:
            if not self._has_ended:
                self._endpoint.reset(stream, INTERNAL)
            elif stream.is_local_done:
                self._endpoint.reset(stream, self._code)
            else:
                self.deadline = self.context.now + self.context.timeouts.body_idle
                self.watch()
                return
        self._owner.over(self)
