"""The body of one request on its way to the instance."""

from __future__ import annotations

from typing import Final

from gateway.http.chunked import ChunkedReader, last_chunk
from gateway.http.request import CHUNKED
from gateway.routing.patience import Timeouts

PIECE: Final = 65536
"""Bytes of a chunked body that are read in one go: their cost is in the chunks, and a peer may make one of each byte."""

SMALL: Final = 4096
"""Bytes of a piece to which the next one is joined: each by itself takes 40 bytes, and a client may send one at a time."""
REPLAY: Final = 65536
"""Bytes of a body that are kept after they were passed on: a sidecar may refuse the request unread, and it goes elsewhere."""


# Many small members: an exchange takes the steps, in an order that only it knows.
class RequestBody:
    """How much of a body is still to come, what waits to be sent, and since when it has been coming.

    It acts on nothing: its owner writes, pauses and sets deadlines. `body` is a length in bytes or CHUNKED. Times are
    seconds of the loop's clock. `begun` is moved forward by what the client is not to blame for, `heard_at` is when the last
    piece came. `is_framed`: a body of unknown length is kept, and passed on, as the chunks that it came in, the last one apart.
    `trailers` come after it: field lines, each led by CRLF.

    `held` counts the bytes that are kept, `inspected` those of them that are counted as kept for rules; once some of the body is
    gone, `can_replay` says that there is no second time.
    """

    __slots__ = (
        "_chunks",
        "_kept",
        "_left",
        "_paused_at",
        "begun",
        "can_replay",
        "heard_at",
        "held",
        "inspected",
        "is_done",
        "is_framed",
        "received",
        "trailers",
    )

    def __init__(self, body: int, now: float) -> None:
        self._left = body
        self._chunks: ChunkedReader | None = ChunkedReader() if body == CHUNKED else None
        self._kept: list[bytes] = []
        self._paused_at: float = 0.0
        self.begun = now
        self.heard_at = now
        self.held: int = 0
        self.inspected: int = 0
        self.can_replay: bool = True
        self.is_done: bool = False
        self.is_framed: bool = True
        self.received: int = 0
        self.trailers: bytes = b""

    @property
    def kept(self) -> bytes:
        """What is kept: all that has come before it could be sent."""
        return b"".join(self._kept)

    @property
    def is_chunked(self) -> bool:
        """Whether reading it costs more than its length."""
        return self._chunks is not None

    def keep(self, payload: bytes) -> None:
        """Keeps more of it."""
        kept = self._kept
        if kept and len(kept[-1]) < SMALL:
            kept[-1] += payload
        else:
            kept.append(payload)
        self.held += len(payload)

    def passed(self, payload: bytes) -> None:
        """Takes that more of it was passed on. It is kept for a second time for as long as it is not much."""
        if self.can_replay:
            self.keep(payload)
            self.keep_little()

    def keep_little(self) -> None:
        """Forgets what is kept if it is much: there is no second time then."""
        if self.held > REPLAY:
            self.give_up()

    def give_up(self) -> None:
        """There will be no second time."""
        self.drop()
        self.can_replay = False

    def drop(self) -> None:
        """Forgets what is kept."""
        self._kept = []
        self.held = 0

    def begin(self, data: bytes, at: int) -> int:
        """Takes and keeps what came with the head, from `data[at:]`, before anybody knows where it goes.

        Returns how far it was read. Of this and of `take` the end is that of the body or of the data, or of a piece of a
        chunked body. Both raise ProtocolError for a malformed one.
        """
        size = self._left
        if 0 <= size <= len(data) - at:
            # The common case: all of it.
            self._left = 0
            self._kept.append(data[at : at + size])
            self.held = self.received = size
            self.is_done = True
            return at + size
        payload, at = self.take(data, at, self.begun)
        self.keep(payload)
        return at

    def take(self, data: bytes, at: int, now: float) -> tuple[bytes, int]:
        """What is to be passed on of `data[at:]`, and how far it was read."""
        self.heard_at = now
        chunks = self._chunks
        if chunks is not None:
            end = min(len(data), at + PIECE)
            payload, rest = chunks.feed(data[at:end])
            self.received += len(payload)
            if chunks.is_done:
                self.is_done = True
                self.trailers = chunks.trailers
            return payload, end - len(rest)
        size = min(len(data) - at, self._left)
        self._left -= size
        self.received += size
        self.is_done = not self._left
        # Compiled, even a slice that is all of it is a copy.
        return data if size == len(data) else data[at : at + size], at + size

    def framed(self, payload: bytes) -> bytes:
        """What is to be sent of a piece to an instance that speaks HTTP/1."""
        return payload + last_chunk(self.trailers) if self._chunks is not None and self.is_done else payload

    def due(self, now: float, timeouts: Timeouts, rate: int) -> float:
        """Until when more must come: `timeouts.body_idle`, and at `rate` bytes a second after `timeouts.body_grace`.

        A body that drips has an end too (as Apache's mod_reqtimeout has it: every second is to be earned).
        """
        deadline = now + timeouts.body_idle
        return min(deadline, self.begun + timeouts.body_grace + self.received / rate) if rate else deadline

    def paused(self, now: float) -> None:
        """Takes that the instance accepts the body more slowly than the client sends it."""
        self._paused_at = now

    def resumed(self, now: float) -> None:
        """Takes that the instance has accepted what waited. The pause is not held against the client."""
        self.begun += now - self._paused_at
