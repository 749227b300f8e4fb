"""Transports and a loop that only note what they are told, so that every step of a test is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class FakeTransport(asyncio.Transport):
    """Takes what is written into `written`; with `takes=False` nothing leaves it, as where the peer does not read.

    Flow control is asyncio's: `protocol` is told when more than `high` bytes wait.
    """

    def __init__(self, protocol: Any = None, takes: bool = True, high: int = 65536) -> None:
        super().__init__()
        self.protocol = protocol
        self.takes = takes
        self.high = high
        self.written = b""
        self.waiting = b""
        self.is_paused = False
        self.is_closed = False
        self.is_aborted = False
        self.has_written_eof = False
        self._has_paused_protocol = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 40000) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self.has_written_eof
        if self.is_closed:
            return
        if self.takes:
            self.written += bytes(data)
            return
        self.waiting += bytes(data)
        if len(self.waiting) > self.high and not self._has_paused_protocol:
            self._has_paused_protocol = True
            self.protocol.pause_writing()

    def drain(self) -> None:
        """The peer reads everything that waits."""
        self.written += self.waiting
        self.waiting = b""
        if self._has_paused_protocol:
            self._has_paused_protocol = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = self.high if high is None else high

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_written_eof = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Connecting:
    """The part of an event loop that an origin asks for: connections are made at once, or fail with `error`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.time = loop.time
        self.create_future = loop.create_future
        self.made = 0
        self.error: Exception | None = None

    async def create_connection(self, factory: Callable[[], Any], host: str, port: int) -> None:
        if self.error is not None:
            raise self.error
        self.made += 1
        protocol = factory()
        protocol.connection_made(FakeTransport(protocol))
