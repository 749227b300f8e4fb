"""What an endpoint sends: heads, data as far as both windows go (RFC 9113 §5.2), and frames about the connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.http2.blocks import BlockReader
from gateway.http2.budget import Budget
from gateway.http2.errors import ConnectionFailure
from gateway.http2.events import DRAINED, Event
from gateway.http2.frames import (
    DATA,
    END_STREAM,
    MAX_STREAM,
    PREFACE,
    goaway_frame,
    head,
    headers_frames,
    ping_frame,
    rst_stream_frame,
    settings_frame,
    window_update_frame,
)
from gateway.http2.hpack import NO_TABLE
from gateway.http2.stream import Stream
from gateway.http2.terms import DEFAULT_WINDOW, PeerSettings, Terms

LOW_WATER: Final = 16384
"""Bytes of a stream that may wait when its owner is told to go on."""
REMEMBERED: Final = 1024
"""Streams that were reset by us and may still be sent to: the peer did not know yet."""


# Its public members are what a connection says and what its owner looks at: one object for each would be a call more a frame.
class SendingEndpoint:
    """State of one connection, and its way out. `write` takes the bytes to send, in their order.

    `is_held`: the transport takes no more, so that data waits here. `pending` are the bytes of all streams that wait.
    `streams` are those that are not closed. `has_failed`: nothing on the connection means anything any more.
    """

    __slots__ = (
        "_blocked",
        "_completed",
        "_control",
        "_earned",
        "_events",
        "_has_sent_block",
        "_reset_by_us",
        "_resets",
        "_returned",
        "_write",
        "blocks",
        "has_failed",
        "is_going_away",
        "is_held",
        "is_server",
        "last_accepted",
        "last_stream",
        "next_stream",
        "now",
        "peer",
        "pending",
        "receive_window",
        "send_window",
        "streams",
        "terms",
    )

    def __init__(self, terms: Terms, write: Callable[[bytes], None], is_server: bool, now: float) -> None:
        self.terms = terms
        self._write = write
        self.is_server = is_server
        self.now = now
        self.peer = PeerSettings()
        self.blocks = BlockReader(terms.list_bytes, terms.memo)
        self.streams: dict[int, Stream] = {}
        self.send_window: int = DEFAULT_WINDOW
        self.receive_window: int = terms.connection_window
        self.pending: int = 0
        self.is_held: bool = False
        self.has_failed: bool = False
        self.is_going_away: bool = False
        """No new streams are opened: the peer takes none, or their numbers are used up (§5.1.1)."""
        self.last_stream: int = 0
        """The last stream that the peer has opened."""
        self.last_accepted: int = MAX_STREAM
        """The last one that it may open."""
        self.next_stream: int = 1
        self._returned: int = 0
        self._earned: int = 0
        self._completed: int = 0
        self._resets = Budget(terms.resets, now)
        self._control = Budget(terms.control, now)
        self._events: list[Event] = []
        self._has_sent_block: bool = False
        self._blocked: dict[int, Stream] = {}
        self._reset_by_us: dict[int, None] = {}
        first = settings_frame(terms.announced(is_server))
        if not is_server:
            first = PREFACE + first
        more = terms.connection_window - DEFAULT_WINDOW
        self._write(first + window_update_frame(0, more) if more else first)

    @property
    def is_full(self) -> bool:
        """Whether more waits for the peer than there may, over all streams."""
        return self.pending > self.terms.pending

    # --- streams

    def open(self) -> Stream | None:
        """A new stream, for a request; None: the peer takes no more now, or none any more.

        Before the peer's settings have come, as many are opened as we would accept.
        """
        most = self.peer.streams if self.peer.are_known else self.terms.streams
        number = self.next_stream
        if self.is_going_away or self.has_failed or len(self.streams) >= most:
            return None
        self.next_stream = number + 2
        self.is_going_away = number == MAX_STREAM
        stream = self.streams[number] = Stream(number, self.peer.window, self.terms.stream_window, self.now)
        return stream

    def send_head(self, stream: Stream, block: bytes, ends: bool) -> None:
        """Sends a head: a request's, a response's, an interim response's. `ends`: nothing follows it."""
        if stream.is_closed or self.has_failed:
            return
        if not self._has_sent_block:
            self._has_sent_block = True
            block = NO_TABLE + block
        self._earned += 1
        self._write(headers_frames(stream.id, block, ends, self.peer.frame))
        if ends:
            self._local_done(stream)

    def send_data(self, stream: Stream, data: bytes, ends: bool) -> None:
        """Sends data, now or as soon as the peer and the transport take it: `stream.pending_size` says how much waits."""
        if stream.is_closed or self.has_failed:
            return
        size = len(data)
        if (
            not self.is_held
            and not stream.pending
            and size <= stream.send_window
            and size <= self.send_window
            and size <= self.peer.frame
        ):
            # The common case. An end without data needs no window.
            stream.send_window -= size
            self.send_window -= size
            self._earned += 1
            self._write(head(size, DATA, END_STREAM if ends else 0, stream.id) + data)
            if ends:
                self._local_done(stream)
            return
        if size:
            stream.pending.append(data)
            stream.pending_size += size
            self.pending += size
        stream.pending_ends = ends
        self._blocked[stream.id] = stream
        self._pump(stream, stream.pending_size)

    def send_trailers(self, stream: Stream, block: bytes) -> None:
        """Sends trailers, after all data; the stream ends with them."""
        if stream.is_closed or self.has_failed:
            return
        if stream.pending:
            stream.pending_trailers = block
            stream.pending_ends = True
        else:
            self.send_head(stream, block, True)

    def reset(self, stream: Stream, code: int) -> None:
        """Ends a stream now; what waits on it is thrown away."""
        if stream.is_closed or self.has_failed:
            return
        self._forget(stream)
        self._note_reset(stream.id)
        self._write(rst_stream_frame(stream.id, code))

    def take(self, stream: Stream, size: int) -> None:
        """Takes that so many bytes of data have found their reader: the peer may send as many again."""
        if self.has_failed:
            return
        self._return(size)
        if stream.is_closed or stream.is_remote_done:
            return
        stream.returned += size
        if stream.returned * 2 >= self.terms.stream_window:
            stream.receive_window += stream.returned
            self._write(window_update_frame(stream.id, stream.returned))
            stream.returned = 0

    # --- the connection

    def release(self) -> None:
        """Takes that the transport takes more again. What follows from that are events."""
        self.is_held = False
        self._pump_all()

    def ping(self, payload: bytes) -> None:
        """Sends eight bytes, which come back (an event)."""
        self._write(ping_frame(payload))

    def announce_end(self) -> None:
        """Tells the client to open no new streams; those that it opens before it has read that are served (§6.8)."""
        self._write(goaway_frame(MAX_STREAM, 0))

    def end(self) -> None:
        """Takes no new streams from here on. Those that there are go on."""
        self.last_accepted = self.last_stream
        self._write(goaway_frame(self.last_stream, 0))

    def fail(self, failure: ConnectionFailure) -> None:
        """Ends everything, and says why."""
        if not self.has_failed:
            self.has_failed = True
            self._write(goaway_frame(self.last_stream, failure.code, failure.detail.encode("utf-8")))

    # --- the way out

    def _pump(self, stream: Stream, most: int) -> int:
        """Sends up to `most` bytes of what waits on a stream; returns how many it sent."""
        if self.is_held:
            return 0
        room = min(most, stream.send_window, self.send_window)
        sent = 0
        frame = self.peer.frame
        parts: list[bytes | memoryview] = []
        while stream.pending and sent < room:
            piece = stream.pending.pop(0)
            view = memoryview(piece)  # its slices are no copies, and neither is what is left of it
            whole = len(piece)
            at = 0
            while at < whole and sent < room:
                size = min(whole - at, room - sent, frame)
                at += size
                sent += size
                is_last = at == whole and stream.pending_ends and not stream.pending and not stream.pending_trailers
                parts.append(head(size, DATA, END_STREAM if is_last else 0, stream.id))
                parts.append(view[at - size : at])
            if at < whole:
                stream.pending.insert(0, view[at:])
        if sent:
            stream.send_window -= sent
            self.send_window -= sent
            stream.pending_size -= sent
            self.pending -= sent
            self._earned += len(parts) >> 1
            self._write(b"".join(parts))
        if not stream.pending:
            del self._blocked[stream.id]
            if stream.pending_trailers:
                self.send_head(stream, stream.pending_trailers, True)
            elif stream.pending_ends:
                if not sent:
                    self._write(head(0, DATA, END_STREAM, stream.id))
                self._local_done(stream)
        if stream.pending_size <= LOW_WATER and (sent or not stream.pending):
            self._events.append(Event(DRAINED, stream))
        return sent

    def _pump_all(self) -> None:
        """Sends what waits, of each stream a frame in its turn, as far as the connection's window goes."""
        moved = True
        while moved and self._blocked and not self.is_held:
            moved = False
            for stream in list(self._blocked.values()):
                if self._pump(stream, self.peer.frame):
                    moved = True

    def _return(self, size: int) -> None:
        """Gives back window of the connection, in steps of half of it."""
        self._returned += size
        if self._returned * 2 >= self.terms.connection_window:
            self.receive_window += self._returned
            self._write(window_update_frame(0, self._returned))
            self._returned = 0

    def _local_done(self, stream: Stream) -> None:
        stream.is_local_done = True
        if stream.is_remote_done:
            self._completed += 1
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        """The stream is closed."""
        stream.is_closed = True
        number = stream.id
        # Tests and deletions, and no `pop`: compiled, that is a method's call.
        if number in self.streams:
            del self.streams[number]
        if number in self._blocked:
            del self._blocked[number]
            self.pending -= stream.pending_size
            stream.pending = []
            stream.pending_size = 0

    def _note_reset(self, number: int) -> None:
        if len(self._reset_by_us) >= REMEMBERED:
            del self._reset_by_us[next(iter(self._reset_by_us))]
        self._reset_by_us[number] = None
