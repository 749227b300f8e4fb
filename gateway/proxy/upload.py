"""The body of one request on its way to the instance."""

from __future__ import annotations

from gateway.http.chunked import ChunkedReader
from gateway.http.request import CHUNKED


class Upload:
    """How much of a body is still to come, what waits to be sent, and since when it has been coming.

    `begun` is seconds of the loop's clock, moved forward by what the client is not to blame for. `kept` is what is there
    of the body before it can be sent; once some of it is gone, `can_replay` says that there is no second time.
    """

    __slots__ = ("_chunks", "_left", "_paused_at", "begun", "can_replay", "is_done", "kept", "received")

    def __init__(self, body: int, now: float) -> None:
        self._left = body
        self._chunks: ChunkedReader | None = ChunkedReader() if body == CHUNKED else None
        self._paused_at: float = 0.0
        self.begun = now
        self.can_replay: bool = True
        self.is_done: bool = False
        self.kept: bytes = b""
        self.received: int = 0

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """Parts bytes into what is to be passed on and what lies behind the body. Raises ProtocolError."""
        chunks = self._chunks
        if chunks is not None:
            payload, rest = chunks.feed(data)
            self.received += len(payload)
            self.is_done = chunks.is_done
            return payload, rest
        left = self._left
        if len(data) < left:
            self.received += len(data)
            self._left = left - len(data)
            return data, b""
        self.received += left
        self._left = 0
        self.is_done = True
        return data[:left], data[left:]

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
