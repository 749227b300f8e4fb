"""One end of a connection, client's or server's: bytes in, events out (RFC 9113).

    endpoint.feed(data, now)
    while (event := endpoint.next_event()) is not None:
        ...

Frames are read one at a time, when the next event is asked for, so that the owner may stop in between and let others have their
turn. What is to be sent is written at once. The owner says when data has been taken (`take`), which is what lets more come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.http2.budget import CONTINUATIONS, STREAMS
from gateway.http2.control import ControlledEndpoint
from gateway.http2.errors import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    ConnectionFailure,
    Malformed,
    StreamFailure,
)
from gateway.http2.events import (
    DATA,
    FAILED,
    REFUSED,
    REQUEST,
    RESPONSE,
    TRAILERS,
    Event,
)
from gateway.http2.frames import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    HEAD_SIZE,
    MAX_STREAM,
    MIN_FRAME,
    PADDED,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    rst_stream_frame,
)
from gateway.http2.frames import DATA as DATA_FRAME
from gateway.http2.frames import GOAWAY as GOAWAY_FRAME
from gateway.http2.frames import HEADERS as HEADERS_FRAME
from gateway.http2.frames import PING as PING_FRAME
from gateway.http2.frames import RST_STREAM as RST_STREAM_FRAME
from gateway.http2.frames import SETTINGS as SETTINGS_FRAME
from gateway.http2.stream import Stream
from gateway.http2.terms import Terms

BULK: Final = 2048
"""Bytes of a frame of data that is joined with those after it: fewer are as cheaply passed on one by one."""
UNAWARE: Final = 2000
"""Number of a stream up to which a peer may not have read how many there may be: it has not acknowledged it."""

_ON_CONNECTION: Final = frozenset({SETTINGS_FRAME, PING_FRAME, GOAWAY_FRAME})
_ON_STREAM: Final = frozenset({DATA_FRAME, HEADERS_FRAME, PRIORITY, RST_STREAM_FRAME, PUSH_PROMISE, CONTINUATION})


class Endpoint(ControlledEndpoint):
    """The way in. `_data` is read from `_at` on, and after it `_next` from `_next_at` on, which was fed later.

    `_block` are the parts of a header block that has not ended, on the stream `_block_stream`.
    """

    __slots__ = (
        "_at",
        "_block",
        "_block_ends",
        "_block_size",
        "_block_stream",
        "_data",
        "_has_begun",
        "_has_settings",
        "_next",
        "_next_at",
    )

    def __init__(self, terms: Terms, write: Callable[[bytes], None], is_server: bool, now: float) -> None:
        super().__init__(terms, write, is_server, now)
        self._data: bytes = b""
        self._at: int = 0
        self._next: bytes = b""
        self._next_at: int = 0
        self._has_begun: bool = not is_server
        self._has_settings: bool = False
        self._block: list[bytes] = []
        self._block_size: int = 0
        self._block_ends: bool = False
        self._block_stream: int = 0

    def feed(self, data: bytes, now: float) -> None:
        """Takes what the peer has sent, at a time in seconds of any clock that only goes forward."""
        self.now = now
        rest = self._rest()
        self._at = 0
        if not rest:
            self._data = data
            return
        need = len(data)
        if self._has_begun and len(rest) >= HEAD_SIZE:
            # Only the frame that is cut is put together: a stream of data has one in every packet.
            need = HEAD_SIZE + int.from_bytes(rest[:3], "big") - len(rest)
        if 0 < need < len(data):
            self._data = rest + data[:need]
            self._next = data
            self._next_at = need
        else:
            self._data = rest + data

    def _rest(self) -> bytes:
        """What was not read yet."""
        rest = self._data[self._at :] if self._at < len(self._data) else b""
        if self._next:
            rest += self._next[self._next_at :]
            self._next = b""
        return rest

    def next_event(self) -> Event | None:
        """The next event in what was fed; None: there is none until there is more."""
        while True:
            if self._events:
                return self._events.pop(0)
            if self.has_failed:
                return None
            try:
                if not self._read_frame():
                    return None
            except ConnectionFailure as failure:
                self.fail(failure)
                self._events.append(Event(FAILED, code=failure.code, failure=failure))

    def _read_frame(self) -> bool:
        """Reads a frame; returns whether there was a whole one."""
        data = self._data
        at = self._at
        if at == len(data) and self._next:
            data = self._data = self._next
            at = self._at = self._next_at
            self._next = b""
        if not self._has_begun:
            if not data.startswith(PREFACE):
                if not PREFACE.startswith(data):
                    raise ConnectionFailure(PROTOCOL_ERROR, "the connection does not begin with the preface of HTTP/2")
                return False
            self._has_begun = True
            at = self._at = len(PREFACE)
        if len(data) - at < HEAD_SIZE:
            return False
        # By index: compiled, that is a seventh of what `struct` takes.
        length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
        kind = data[at + 3]
        flags = data[at + 4]
        number = (data[at + 5] & 0x7F) << 24 | data[at + 6] << 16 | data[at + 7] << 8 | data[at + 8]
        if length > MIN_FRAME:
            raise ConnectionFailure(FRAME_SIZE_ERROR, f"a frame is longer than {MIN_FRAME} bytes")
        at += HEAD_SIZE
        end = at + length
        if end > len(data):
            return False
        self._at = end
        if self._block_stream and (kind != CONTINUATION or number != self._block_stream):
            raise ConnectionFailure(PROTOCOL_ERROR, "a header block is interrupted by another frame")
        if not self._has_settings:
            if kind != SETTINGS_FRAME or flags & ACK:
                raise ConnectionFailure(PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._has_settings = True
        if kind == DATA_FRAME:
            payload = data[at:end] if flags or length < BULK else self._joined(at, end)
            self._read_data(number, payload, flags)
        elif kind == HEADERS_FRAME:
            self._read_headers(number, data[at:end], flags)
        else:
            self._read_other(kind, number, data[at:end], flags)
        return True

    def _read_other(self, kind: int, number: int, payload: bytes, flags: int) -> None:
        if (kind in _ON_CONNECTION and number) or (kind in _ON_STREAM and not number):
            raise ConnectionFailure(PROTOCOL_ERROR, "a frame is on a stream, or on none, and may not be")
        if kind == CONTINUATION:
            self._read_continuation(number, payload, flags)
        else:
            self._read_control(kind, number, payload, flags)

    # --- data

    def _joined(self, at: int, end: int) -> bytes:
        """The payload from `at` to `end`, and those of the same stream's large frames that follow: one piece, copied once."""
        data = self._data
        same = data[at - HEAD_SIZE + 3 : at]
        parts: list[memoryview] = []
        while True:
            parts.append(memoryview(data)[at:end])
            at = end + HEAD_SIZE
            if at > len(data) or data[end + 3 : at] != same:
                break
            length = data[end] << 16 | data[end + 1] << 8 | data[end + 2]
            if not BULK <= length <= MIN_FRAME or at + length > len(data):
                break
            end = at + length
        self._at = end
        return b"".join(parts)

    def _read_data(self, number: int, payload: bytes, flags: int) -> None:
        length = len(payload)
        if not number:
            raise ConnectionFailure(PROTOCOL_ERROR, "DATA is on no stream")
        self.receive_window -= length
        if self.receive_window < 0:
            raise ConnectionFailure(FLOW_CONTROL_ERROR, "there is more data than the connection's window")
        stream = self.streams.get(number)
        if stream is None or stream.is_remote_done:
            self._return(length)
            self._data_on_closed(number, stream)
            return
        if flags & PADDED:
            payload = _unpadded(payload)
        stream.receive_window -= length
        size = len(payload)
        ends = flags & END_STREAM != 0
        if stream.receive_window < 0:
            self._return(length)
            self._fail_stream(stream, StreamFailure(FLOW_CONTROL_ERROR, "there is more data than the stream's window"))
            return
        if stream.length_left >= 0:
            stream.length_left -= size
            if stream.length_left < 0 or (ends and stream.length_left):
                self._return(length)
                self._fail_stream(
                    stream, StreamFailure(PROTOCOL_ERROR, "the data is not as long as Content-Length says")
                )
                return
        if not stream.has_head:
            raise ConnectionFailure(PROTOCOL_ERROR, "DATA comes before the response's head")
        if ends:
            self._remote_done(stream)
        elif not size:
            self._control_frame()
        if length != size:
            self.take(stream, length - size)
        if size or ends:
            self._events.append(Event(DATA, stream, payload, ends=ends))

    # --- heads

    def _read_headers(self, number: int, payload: bytes, flags: int) -> None:
        if not number:
            raise ConnectionFailure(PROTOCOL_ERROR, "HEADERS is on no stream")
        if flags & PADDED:
            payload = _unpadded(payload)
        if flags & HAS_PRIORITY:
            if len(payload) < 5:
                raise ConnectionFailure(FRAME_SIZE_ERROR, "HEADERS is shorter than its priority")
            depends_on = int.from_bytes(payload[:4], "big") & MAX_STREAM
            payload = payload[5:]
            if depends_on == number:
                raise ConnectionFailure(PROTOCOL_ERROR, "a stream depends on itself")
        ends = flags & END_STREAM != 0
        if flags & END_HEADERS:
            self._block_done(number, payload, ends)
        else:
            self._block_stream = number
            self._block_ends = ends
            self._block = [payload]
            self._block_size = len(payload)

    def _read_continuation(self, number: int, payload: bytes, flags: int) -> None:
        if not self._block_stream:
            raise ConnectionFailure(PROTOCOL_ERROR, "CONTINUATION continues nothing")
        self._block.append(payload)
        self._block_size += len(payload)
        terms = self.terms
        if len(self._block) > terms.continuations + 1 or self._block_size > 2 * terms.list_bytes:
            most = f"{terms.continuations} frames more, or {2 * terms.list_bytes} bytes"
            raise ConnectionFailure(ENHANCE_YOUR_CALM, f"a header block has more than {most}", CONTINUATIONS)
        if flags & END_HEADERS:
            block = b"".join(self._block)
            self._block = []
            self._block_stream = 0
            self._block_done(number, block, self._block_ends)

    def _block_done(self, number: int, block: bytes, ends: bool) -> None:
        """Takes a whole header block, whatever it is. It is read in any case: the decoder depends on it."""
        self._earned += 1
        stream = self.streams.get(number)
        if stream is not None:
            self._read_later_block(stream, block, ends)
        elif self.is_server and number & 1 and number > self.last_stream:
            self._open_by_peer(number, block, ends)
        else:
            self._skip_block(block)
            if number not in self._reset_by_us:
                self._check_opened(number, "HEADERS")
                raise ConnectionFailure(STREAM_CLOSED, "HEADERS is on a stream that is closed")

    def _open_by_peer(self, number: int, block: bytes, ends: bool) -> None:
        """A client opens a stream."""
        self.last_stream = number
        if number > self.last_accepted:
            # It did not know yet that we take no more; GOAWAY has told it that this was not processed.
            self._skip_block(block)
            self._note_reset(number)
            return
        if len(self.streams) >= self.terms.streams:
            self._skip_block(block)
            self._refuse(number, STREAMS)
            return
        stream = Stream(number, self.peer.window, self.terms.stream_window, self.now)
        self.streams[number] = stream
        stream.has_head = True
        if ends:
            stream.is_remote_done = True
        try:
            request, trace = self.blocks.traced_request(block)
        except Malformed as error:
            self._malformed(stream, error)
            return
        stream.length_left = request.length
        if ends and request.length > 0:
            self._malformed(stream, Malformed("the stream ends, and Content-Length says that there is a body"))
            return
        self._events.append(Event(REQUEST, stream, trace, ends=ends, request=request))

    def refuse(self, stream: Stream, limit: str) -> None:
        """Refuses a stream that was opened just now, because of a limit: the client may try again."""
        self._forget(stream)
        self._refuse(stream.id, limit)

    def _refuse(self, number: int, limit: str) -> None:
        self._note_reset(number)
        self._write(rst_stream_frame(number, REFUSED_STREAM))
        self._events.append(Event(REFUSED, payload=limit.encode()))
        if not self.blocks.decoder.limit or number > UNAWARE:
            self._spend_reset()

    def _read_later_block(self, stream: Stream, block: bytes, ends: bool) -> None:
        """A response's head, or trailers of either side."""
        if stream.is_remote_done:
            self._skip_block(block)
            self._fail_stream(stream, StreamFailure(STREAM_CLOSED, "HEADERS comes after the end of the stream"))
            return
        try:
            if stream.has_head:
                self._read_trailers(stream, block, ends)
            else:
                self._read_response(stream, block, ends)
        except Malformed as error:
            self._malformed(stream, error)

    def _read_trailers(self, stream: Stream, block: bytes, ends: bool) -> None:
        lines = self.blocks.trailers(block)
        if not ends:
            raise Malformed("trailers do not end the stream")
        if stream.length_left > 0:
            raise Malformed("the data is shorter than Content-Length says")
        self._remote_done(stream)
        self._events.append(Event(TRAILERS, stream, lines, ends=True))

    def _read_response(self, stream: Stream, block: bytes, ends: bool) -> None:
        response = self.blocks.response(block)
        if response.status >= 200:
            stream.has_head = True
            if not stream.is_head_response and response.status not in (204, 304):
                stream.length_left = response.length
                if ends and response.length > 0:
                    raise Malformed("the stream ends, and Content-Length says that there is a body")
            else:
                stream.length_left = 0
        elif ends:
            raise Malformed("the stream ends with an interim response")
        if ends:
            self._remote_done(stream)
        self._events.append(Event(RESPONSE, stream, ends=ends, response=response))

    def _skip_block(self, block: bytes) -> None:
        self.blocks.decoder.decode(block)


def _unpadded(payload: bytes) -> bytes:
    """§6.1: the first byte says how many of the last ones are padding."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFailure(PROTOCOL_ERROR, "there is more padding than payload")
    return payload[1 : len(payload) - payload[0]]
