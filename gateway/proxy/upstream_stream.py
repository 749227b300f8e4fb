"""One request on a connection of HTTP/2 to an instance, as an exchange sees it.

Heads are HTTP/1.1's on the exchange's side (`http2.blocks` translates them). A response whose length nothing tells ends with its
stream, as one in HTTP/1.1 ends with its connection.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from gateway.failures import MALFORMED, NO_TUNNEL, REFUSED_STREAM, RESET, Fault
from gateway.http.chunked import ChunkedReader
from gateway.http.request import CHUNKED, Request
from gateway.http2 import errors, events
from gateway.http2.blocks import request_block, trailers_block
from gateway.http2.endpoint import Endpoint
from gateway.http2.events import Event
from gateway.http2.heads import ResponseHead
from gateway.http2.stream import Stream
from gateway.proxy.connection import BULK, HIGH_WATER
from gateway.proxy.request_body import RequestBody
from gateway.proxy.upstream import Upstream, UpstreamOwner

LINGER: Final = 2.0
"""Seconds that an instance has to end a stream of which nobody expects anything any more."""

_KEY: Final = re.compile(rb"\r\nsec-websocket-key:[ \t]*([^\r]*)", re.IGNORECASE)
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_ANNOUNCED: Final = b"\r\ntrailer: "


class Carrier(Upstream):
    """A connection that carries many requests, as their streams see it.

    `endpoint` is None before it is open; `streams` are those that were sent, by number; `reserved` counts the others.
    """

    __slots__ = ("endpoint", "reserved", "streams")

    def __init__(self, owner: UpstreamOwner) -> None:
        super().__init__(owner)
        self.endpoint: Endpoint | None = None
        self.streams: dict[int, UpstreamStream] = {}
        self.reserved: int = 0

    def over(self, stream: UpstreamStream) -> None:
        """Takes that a stream has ended, or (before it began) is not needed."""
        raise NotImplementedError


# Its public members are an upstream connection's, and what its session says.
class UpstreamStream(Upstream):
    """One request on a session, as an exchange sees it: what it sends are HTTP/1.1's bytes, and so are those that it gets.

    `stream` is None until the request is sent. `is_touched`: its session is to have it `deliver` what came.
    """

    __slots__ = (
        "_chunks",
        "_head",
        "_is_over",
        "_is_tunnel",
        "_key",
        "_parts",
        "_request",
        "_trailers",
        "_untaken",
        "has_ended",
        "is_touched",
        "session",
        "stream",
    )

    def __init__(self, session: Carrier) -> None:
        super().__init__(session.owner)
        self.session = session
        self.served = session.served
        session.served += 1
        self.stream: Stream | None = None
        self._request: Request | None = None
        self._chunks: ChunkedReader | None = None
        self._head: ResponseHead | None = None
        self._parts: list[bytes] = []
        self._trailers: bytes = b""
        self._untaken: int = 0
        self._key: bytes = b""
        self._is_tunnel: bool = False
        self._is_over: bool = False
        self.has_ended: bool = False
        self.is_touched: bool = False

    # --- the request

    def send_request(self, request: Request, head: bytes, body: RequestBody | None) -> None:
        """Sends a request with this head, and what there is of its body."""
        self._request = request
        session = self.session
        endpoint = session.endpoint
        session.reserved -= 1
        assert endpoint is not None
        protocol = b""
        if request.upgrade:
            if not endpoint.peer.takes_connect:
                self._cannot(NO_TUNNEL)
                return
            protocol = request.upgrade.lower()
            head, self._key = _without_key(head)
        stream = endpoint.open()
        if stream is None:
            self._cannot(REFUSED_STREAM)
            return
        self.stream = stream
        stream.is_head_response = request.method == "HEAD"
        session.streams[stream.id] = self
        takes_trailers = request.takes_trailers or request.is_grpc
        block = request_block(head, b"https" if session.is_encrypted else b"http", protocol, takes_trailers)
        endpoint.send_head(stream, block, body is None and not protocol)
        if body is not None:
            if body.is_framed and request.body == CHUNKED:
                self._chunks = ChunkedReader(decode=True)
            self.send_body(body, body.kept)

    def send_body(self, body: RequestBody, payload: bytes) -> None:
        """Sends what has just come of a body."""
        if self._chunks is not None:
            payload, _ = self._chunks.feed(payload)
        trailers = body.trailers if self.owner.takes_trailers else b""
        self._send_data(payload, body.is_done and not trailers)
        endpoint, stream = self.session.endpoint, self.stream
        if trailers and endpoint is not None and stream is not None:
            endpoint.send_trailers(stream, trailers_block(trailers))

    def write(self, data: bytes) -> None:
        """Sends bytes of a tunnel."""
        self._send_data(data, False)

    def _send_data(self, data: bytes, ends: bool) -> None:
        endpoint, stream = self.session.endpoint, self.stream
        if endpoint is None or stream is None or not (data or ends):
            return
        endpoint.send_data(stream, data, ends)
        if stream.pending_size > HIGH_WATER and not self.writes_paused:
            self.pause_writing()

    def _cannot(self, fault: Fault) -> None:
        """The request cannot be sent here. Its exchange, which is just sending it, is told a turn later."""
        self._is_over = self.is_lost = True
        self.owner.call_later(0.0, lambda: self._refuse(fault))

    def _refuse(self, fault: Fault) -> None:
        self.owner.has_room(self.session)
        self._abort(fault, "")

    # --- the response

    def take(self, event: Event) -> None:
        """Takes an event of the stream; what follows from it is done in `deliver`."""
        kind = event.kind
        if kind == events.DATA:
            self._parts.append(event.payload)
        elif kind == events.RESPONSE:
            head = event.response
            assert head is not None
            if self._head is not None:
                self.deliver()
            self._head = head
            if head.status < 200:
                self.deliver()
        elif kind == events.TRAILERS:
            self._trailers = event.payload
        elif kind == events.DRAINED:
            if self.writes_paused:
                self.resume_writing()
            return
        elif kind == events.RESET:
            if event.is_ours and self._head is not None and not self.has_ended:
                # Malformed, and nothing of it was passed on: the client can still get a whole 502. What the instance itself
                # cuts off is passed on as far as it came: what the client sees must not depend on packets.
                self._head = None
                self._untaken += sum([len(part) for part in self._parts])  # the window is the whole connection's
                self._parts = []
            self.deliver()
            self._reset(event)
            return
        elif kind == events.MALFORMED:
            self._abort(MALFORMED, event.payload.decode("utf-8", "replace"))
            self.close()
            return
        if event.ends:
            self.has_ended = True

    def deliver(self) -> None:
        """Hands on what has come."""
        parts, self._parts = self._parts, []
        head, self._head = self._head, None
        size = 0
        for part in parts:
            size += len(part)
        self._untaken += size  # first, since a handler may fail: the window is the whole connection's
        if head is not None or size < BULK * len(parts):
            # Long pieces go on one by one: joining them would copy them.
            parts = [parts[0] if len(parts) == 1 else b"".join(parts)]
        for data in parts:
            handler = self.handler
            if handler is None:
                break
            if head is not None:
                handler.response_begun(self._text(head, size), data)
            elif data:
                handler.response_received(data)
        if size and (not (self.is_paused or self.is_resting) or self._is_over):
            self._give_back()
        if not self.has_ended or self._is_over:
            return
        handler = self.handler
        if handler is not None:
            # It was not over by its length.
            if self._trailers:
                handler.response_trailers(self._trailers)
            self.is_lost = not self._is_tunnel
            if handler.response_ended():
                return
        self._finish()

    def _text(self, head: ResponseHead, size: int) -> bytes:
        """The head as HTTP/1.1 has it, which so many bytes have followed up to now."""
        status = head.status
        request = self._request
        if self._key and 200 <= status < 300:
            self._is_tunnel = True
            accept = base64.b64encode(hashlib.sha1(self._key + _GUID, usedforsecurity=False).digest())
            added = b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept
            return head.text_as(101, added)
        if request is None:
            return head.text
        if self.has_ended and not self._trailers:
            if head.length < 0 and status >= 200 and status not in (204, 304) and request.method != "HEAD":
                return head.text_as(status, b"\r\nContent-Length: %d" % size)
        elif request.is_grpc or self._trailers or (head.length >= 0 and _ANNOUNCED in head.lines):
            # What ends a call is its trailers, whatever length is said: nginx, as an instance, says one. In HTTP/1.1, nothing
            # follows a body of known length.
            return head.unsized_text
        return head.text

    def _reset(self, event: Event) -> None:
        if self._is_over:
            return
        if event.is_ours:
            self._abort(MALFORMED, event.payload.decode("utf-8", "replace"))
        elif event.code == errors.REFUSED_STREAM:
            self._abort(REFUSED_STREAM, "")
        else:
            self._abort(RESET, errors.name_of(event.code))
        self._finish()

    def _abort(self, fault: Fault, detail: str) -> None:
        handler = self.handler
        self.is_lost = True
        if handler is not None:
            handler.response_aborted(fault, detail)

    def connection_gone(self, fault: Fault | None, detail: str) -> None:
        """Takes that the session's connection is closed, because of `fault` if it is known, and why."""
        self.deliver()
        self._is_over = True
        if fault is not None:
            self._abort(fault, detail)
            return
        self.is_lost = True
        if self.handler is not None:
            self.handler.response_lost()

    # --- flow control

    def pause_reading(self) -> None:
        """Lets the instance send no more than it may already."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Lets the instance send again."""
        if self.is_paused:
            self.is_paused = False
            if not self.is_resting:
                self._give_back()

    def rest(self) -> None:
        """Lets others have their turn: until it is this stream's again, nothing more is given back to the instance's window."""
        if not self.is_resting and not self._is_over:
            self.is_resting = True
            self._queue.put(self.go_on)

    def go_on(self) -> None:
        """It is this stream's turn again."""
        super().go_on()
        if not self.is_resting and not self.is_paused:
            self._give_back()

    def _give_back(self) -> None:
        endpoint = self.session.endpoint
        if self._untaken and endpoint is not None and self.stream is not None:
            size, self._untaken = self._untaken, 0
            endpoint.take(self.stream, size)

    def _waiting(self) -> int:
        return 0 if self.stream is None else self.stream.pending_size

    # --- the end

    def end_writing(self) -> bool:
        """Ends what goes to the instance, in a tunnel."""
        self._end_writing()
        return True

    def _end_writing(self) -> None:
        endpoint, stream = self.session.endpoint, self.stream
        if endpoint is not None and stream is not None and not stream.is_local_done:
            endpoint.send_data(stream, b"", True)

    def release(self) -> None:
        """The exchange is over, and the response whole; or it was before anything was sent."""
        if self.stream is None or self.stream.is_closed or self.has_ended:
            self._finish()
        else:
            # Its end is on the way.
            self.owner.call_later(LINGER, self.close)

    def close_when_sent(self, seconds: float) -> None:
        """Ends when the instance has taken what waits, and after so many seconds whatever it has taken."""
        self._end_writing()
        self.handler = None
        self.is_lost = True
        if self.has_ended:
            self._finish()
        else:
            self.owner.call_later(seconds, self.close)

    def close(self) -> None:
        """Ends at once: the instance need do nothing more for it."""
        self.is_lost = True
        endpoint, stream = self.session.endpoint, self.stream
        if endpoint is not None and stream is not None and not self._is_over:
            endpoint.reset(stream, errors.CANCEL)
        self._finish()

    def _finish(self) -> None:
        if not self._is_over:
            self._is_over = self.is_lost = True
            self._give_back()
            self.session.over(self)


def _without_key(head: bytes) -> tuple[bytes, bytes]:
    """A WebSocket's head for extended CONNECT (RFC 8441 §5), and the key that it has in HTTP/1.1."""
    match = _KEY.search(head)
    if match is None:
        return head, b"-"
    return head[: match.start()] + head[match.end() :], match[1].strip(b" \t")
