"""What both ends of the proxy have in common: writing, in turns, and being told to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

BULK: Final = 16384
"""Bytes from which on a write is not held back."""


class Outbox:
    """Sends what one turn of the event loop wrote, all together at the turn's end.

    A write wakes the program at the other end. Written one by one, with the work for another request in between, each one
    finds it asleep again; written together, most find it awake. That saves a twentieth of the CPU time of a small request.

    `call_soon` is the event loop's.
    """

    __slots__ = ("_call_soon", "waiting")

    def __init__(self, call_soon: Callable[[Callable[[], None]], Any]) -> None:
        self._call_soon = call_soon
        self.waiting: list[Connection] = []

    def put(self, connection: Connection) -> None:
        """Has the connection flushed at the end of this turn."""
        if not self.waiting:
            self._call_soon(self.flush)
        self.waiting.append(connection)

    def flush(self) -> None:
        """Sends everything now. What one transport raises keeps nobody else waiting."""
        waiting = self.waiting
        self.waiting = []
        done = 0
        try:
            for connection in waiting:
                done += 1
                data = connection.unsent
                transport = connection.transport
                connection.unsent = b""
                if data and transport is not None:
                    transport.write(data)
        finally:
            for connection in waiting[done:]:
                self.put(connection)


class Connection:
    """One side of an exchange, over an asyncio transport.

    `transport` is None before it is connected and after its end; `unsent` waits for the end of the turn.
    `writes_paused`: the peer reads more slowly than this program writes.
    """

    __slots__ = ("_outbox", "is_paused", "transport", "unsent", "writes_paused")

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.unsent: bytes = b""
        self.is_paused: bool = False
        self.transport: asyncio.Transport | None = None
        self.writes_paused: bool = False

    def write(self, data: bytes) -> None:
        """Sends bytes: a few at the end of this turn of the loop, many at once, because gathering them would copy them."""
        if len(data) >= BULK:
            self.flush()
            if self.transport is not None:
                self.transport.write(data)
        elif self.unsent:
            self.unsent += data
        elif self.transport is not None:
            self.unsent = data
            self._outbox.put(self)

    def flush(self) -> None:
        """Sends what was written, now."""
        data = self.unsent
        if data:
            self.unsent = b""
            if self.transport is not None:
                self.transport.write(data)

    def pause_reading(self) -> None:
        """Stops reading: whoever takes the bytes is slower than this peer sends them."""
        if not self.is_paused and self.transport is not None:
            self.is_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads again."""
        if self.is_paused and self.transport is not None:
            self.is_paused = False
            self.transport.resume_reading()
