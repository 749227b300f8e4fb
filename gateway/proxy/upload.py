"""The body of one request on its way to the instance."""

from __future__ import annotations

from typing import Final

from gateway.http.chunked import ChunkedReader
from gateway.http.request import CHUNKED

PIECE: Final = 32768
"""Bytes of a chunked body that are read in one go: their cost is in the chunks, and a peer may make one of each byte."""

SMALL: Final = 4096
"""Bytes of a piece to which the next one is joined: each by itself takes 40 bytes, and a client may send one at a time."""
REPLAY: Final = 65536
"""Bytes of a body that are kept after they were passed on: a sidecar may refuse the request unread, and it goes elsewhere."""


class Upload:
    """How much of a body is still to come, what waits to be sent, and since when it has been coming.

    Times are seconds of the loop's clock. `begun` is moved forward by what the client is not to blame for, `heard_at` is when
    the last piece came. `held` counts the bytes that are kept; once some of the body is gone, `can_replay` says that there is
    no second time.
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
        "is_done",
        "received",
    )

    def __init__(self, body: int, now: float) -> None:
        self._left = body
        self._chunks: ChunkedReader | None = ChunkedReader() if body == CHUNKED else None
        self._kept: list[bytes] = []
        self._paused_at: float = 0.0
        self.begun = now
        self.heard_at = now
        self.held: int = 0
        self.can_replay: bool = True
        self.is_done: bool = False
        self.received: int = 0

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

    def take(self, data: bytes, at: int, now: float) -> tuple[bytes, int]:
        """Reads more of the body from `data[at:]`; returns what is to be passed on, and how far it has read.

        That is up to the end of the body or of the data, and of a chunked body a piece. Raises ProtocolError.
        """
        self.heard_at = now
        chunks = self._chunks
        if chunks is not None:
            end = min(len(data), at + PIECE)
            payload, rest = chunks.feed(data[at:end])
            self.received += len(payload)
            self.is_done = chunks.is_done
            return payload, end - len(rest)
        size = min(len(data) - at, self._left)
        self._left -= size
        self.received += size
        self.is_done = not self._left
        # Compiled, even a slice that is all of it is a copy.
        return data if size == len(data) else data[at : at + size], at + size

    def deadline(self, now: float, idle: float, grace: float, rate: int) -> float:
        """Until when more must come: within `idle` seconds, and at `rate` bytes a second (0: any) after `grace` seconds.

        A body that drips has an end too (as Apache's mod_reqtimeout has it: every second is to be earned).
        """
        if not rate:
            return now + idle
        return min(now + idle, self.begun + grace + self.received / rate)

    def paused(self, now: float) -> None:
        """The instance takes the body more slowly than the client sends it."""
        self._paused_at = now

    def resumed(self, now: float) -> None:
        """The instance has taken what waited. The pause is not held against the client."""
        self.begun += now - self._paused_at
