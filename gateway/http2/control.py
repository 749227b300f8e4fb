"""What an endpoint reads beside messages: frames about streams and the connection, and what a peer's faults lead to."""

from __future__ import annotations

from gateway.http2.budget import CONTROL, EARNED, RAPID, RESETS
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
from gateway.http2.events import GOAWAY, MALFORMED, PONG, RESET, SETTINGS, Event
from gateway.http2.frames import (
    ACK,
    MAX_STREAM,
    MAX_WINDOW,
    PRIORITY,
    PUSH_PROMISE,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    ping_frame,
    rst_stream_frame,
)
from gateway.http2.frames import GOAWAY as GOAWAY_FRAME
from gateway.http2.frames import PING as PING_FRAME
from gateway.http2.frames import RST_STREAM as RST_STREAM_FRAME
from gateway.http2.frames import SETTINGS as SETTINGS_FRAME
from gateway.http2.sending import SendingEndpoint
from gateway.http2.stream import Stream


class ControlledEndpoint(SendingEndpoint):
    """The way in of everything that is not part of a message."""

    __slots__ = ()

    # --- frames about streams and the connection

    def _read_control(self, kind: int, number: int, payload: bytes, flags: int) -> None:
        self._control_frame()
        if kind == WINDOW_UPDATE:
            self._read_window_update(number, payload)
        elif kind == RST_STREAM_FRAME:
            self._read_reset(number, payload)
        elif kind == SETTINGS_FRAME:
            self._read_settings(payload, flags)
        elif kind == PING_FRAME:
            if len(payload) != 8:
                raise ConnectionFailure(FRAME_SIZE_ERROR, "PING has not 8 bytes")
            if flags & ACK:
                self._events.append(Event(PONG, payload=payload))
            else:
                self._write(ping_frame(payload, ACK))
        elif kind == GOAWAY_FRAME:
            self._read_goaway(payload)
        elif kind == PRIORITY:
            self._read_priority(number, payload)
        elif kind == PUSH_PROMISE:
            raise ConnectionFailure(PROTOCOL_ERROR, "PUSH_PROMISE comes, and pushes were not allowed")
        # §4.1: frames of other types are ignored.

    def _read_window_update(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFailure(FRAME_SIZE_ERROR, "WINDOW_UPDATE has not 4 bytes")
        more = int.from_bytes(payload, "big") & MAX_WINDOW
        if not number:
            if not more:
                raise ConnectionFailure(PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            self.send_window += more
            if self.send_window > MAX_WINDOW:
                raise ConnectionFailure(FLOW_CONTROL_ERROR, "the connection's window is more than 2^31-1")
            self._pump_all()
            return
        stream = self.streams.get(number)
        if stream is None:
            self._check_opened(number, "WINDOW_UPDATE")
            return
        stream.send_window += more
        if not more:
            self._fail_stream(stream, StreamFailure(PROTOCOL_ERROR, "WINDOW_UPDATE of 0"))
        elif stream.send_window > MAX_WINDOW:
            self._fail_stream(stream, StreamFailure(FLOW_CONTROL_ERROR, "the stream's window is more than 2^31-1"))
        elif stream.id in self._blocked:
            self._pump(stream, stream.pending_size)

    def _read_reset(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFailure(FRAME_SIZE_ERROR, "RST_STREAM has not 4 bytes")
        stream = self.streams.get(number)
        if stream is None:
            self._check_opened(number, "RST_STREAM")
            return
        self._forget(stream)
        self._events.append(Event(RESET, stream, code=int.from_bytes(payload, "big")))
        if self.is_server and self.now - stream.opened_at < RAPID:
            self._spend_reset()

    def _read_settings(self, payload: bytes, flags: int) -> None:
        if flags & ACK:
            if payload:
                raise ConnectionFailure(FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS has a payload")
            self.blocks.decoder.limit = 0
            return
        if len(payload) % 6:
            raise ConnectionFailure(FRAME_SIZE_ERROR, "the length of SETTINGS is not a multiple of 6")
        before = self.peer.window
        self.peer.take(payload, self.is_server)
        self._write(SETTINGS_ACK)
        change = self.peer.window - before
        if change:
            for stream in self.streams.values():
                stream.send_window += change
                if stream.send_window > MAX_WINDOW:
                    raise ConnectionFailure(FLOW_CONTROL_ERROR, "a stream's window is more than 2^31-1")
            if change > 0:
                self._pump_all()
        self._events.append(Event(SETTINGS))

    def _read_goaway(self, payload: bytes) -> None:
        if len(payload) < 8:
            raise ConnectionFailure(FRAME_SIZE_ERROR, "GOAWAY has less than 8 bytes")
        last = int.from_bytes(payload[:4], "big") & MAX_STREAM
        code = int.from_bytes(payload[4:8], "big")
        self.is_going_away = True
        if not self.is_server:
            for stream in [stream for stream in self.streams.values() if stream.id > last]:
                self._forget(stream)
                self._events.append(Event(RESET, stream, code=REFUSED_STREAM))
        self._events.append(Event(GOAWAY, code=code))

    def _read_priority(self, number: int, payload: bytes) -> None:
        """Priorities are ignored, as RFC 9113 §5.3 has it. What is malformed still is."""
        stream = self.streams.get(number)
        if len(payload) != 5:
            failure = StreamFailure(FRAME_SIZE_ERROR, "PRIORITY has not 5 bytes")
        elif int.from_bytes(payload[:4], "big") & MAX_STREAM == number:
            failure = StreamFailure(PROTOCOL_ERROR, "a stream depends on itself")
        else:
            return
        if stream is None:
            raise ConnectionFailure(failure.code, failure.detail)
        self._fail_stream(stream, failure)

    # --- faults of the peer

    def _remote_done(self, stream: Stream) -> None:
        stream.is_remote_done = True
        if stream.is_local_done:
            self._completed += 1
            self._forget(stream)

    def _fail_stream(self, stream: Stream, failure: StreamFailure) -> None:
        """Resets a stream because of what the peer sent on it."""
        self.reset(stream, failure.code)
        self._events.append(Event(RESET, stream, failure.detail.encode(), code=failure.code, is_ours=True))
        if self.is_server:
            self._spend_reset()

    def _data_on_closed(self, number: int, stream: Stream | None) -> None:
        if stream is not None:
            self._fail_stream(stream, StreamFailure(STREAM_CLOSED, "DATA comes after the end of the stream"))
        elif number not in self._reset_by_us:
            self._check_opened(number, "DATA")
            self._spend_reset()
            self._note_reset(number)
            self._write(rst_stream_frame(number, STREAM_CLOSED))

    def _malformed(self, stream: Stream, error: Malformed) -> None:
        self._spend_reset()
        code = 1 if error.is_too_large else 0
        self._events.append(Event(MALFORMED, stream, error.detail.encode(), code=code))

    def _check_opened(self, number: int, what: str) -> None:
        """§5.1: nothing but HEADERS and PRIORITY may come on a stream that nobody has opened."""
        is_theirs = self.is_server == (number & 1 == 1)
        if number > self.last_stream if is_theirs else number >= self.next_stream:
            raise ConnectionFailure(PROTOCOL_ERROR, f"{what} is on a stream that was not opened")

    def _spend_reset(self) -> None:
        earned = self._completed
        self._completed = 0
        if not self._resets.spend(self.now, earned):
            what = f"more than {self.terms.resets} streams ended early"
            raise ConnectionFailure(ENHANCE_YOUR_CALM, what, RESETS)

    def _control_frame(self) -> None:
        earned = self._earned
        self._earned = 0
        if not self._control.spend(self.now, earned * EARNED):
            what = f"more than {self.terms.control} frames carried nothing of a message"
            raise ConnectionFailure(ENHANCE_YOUR_CALM, what, CONTROL)
