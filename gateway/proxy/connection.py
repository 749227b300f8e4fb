"""What both ends of the proxy have in common: writing, in turns; flow control; and that no error passes unseen."""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
from collections.abc import Callable
from typing import Any, Final

from gateway.proxy.bugs import tell_once
from gateway.proxy.runqueue import RunQueue

BULK: Final = 16384
"""Bytes from which on a write is not held back."""
HIGH_WATER: Final = 65536
"""Bytes that may wait in a transport before the other side is no longer read from; asyncio's default without TLS."""
LARGE: Final = 131_072
"""Bytes of a read behind which others have their turn: libuv keeps reading as long as its buffer of 250 KB comes full."""


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
        for connection in waiting:
            data = connection.take_unsent()
            transport = connection.transport
            if data and transport is not None:
                try:
                    transport.write(data)
                except Exception as error:
                    connection.caught(error)


# More public members than most: what a transport calls, what a side overrides and what a side does. An object of its own for each
# would be one more call for every packet.
class Connection:
    """One side of an exchange: an asyncio protocol, whose calls go to the hooks below.

    This is the root of all that peers can set off. What a hook raises ends here (`caught`): an event loop would close the
    connection without a word.

    `transport` is None before it is connected and after its end; `unsent` waits for the end of the turn, or `_pieces` do, if
    there is more than one: `unsent_size` bytes. Nothing is read while `is_paused` (the receiver of the bytes is slower than this
    peer sends them) or `is_resting` (it is others' turn). `writes_paused`: the peer reads more slowly than this program writes.
    """

    __slots__ = (
        "_outbox",
        "_pieces",
        "_queue",
        "_waited",
        "is_encrypted",
        "is_paused",
        "is_resting",
        "transport",
        "unsent",
        "unsent_size",
        "writes_paused",
    )

    def __init__(self, outbox: Outbox, queue: RunQueue) -> None:
        self._outbox = outbox
        self._queue = queue
        self._waited: int = 0
        self.unsent: bytes = b""
        self.unsent_size: int = 0
        self._pieces: list[bytes] | None = None
        self.is_encrypted: bool = False
        self.is_paused: bool = False
        self.is_resting: bool = False
        self.transport: asyncio.Transport | None = None
        self.writes_paused: bool = False

    # --- the transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The connection is open, its TLS handshake done."""
        self.transport = transport
        self.is_encrypted = transport.get_extra_info("ssl_object") is not None
        self.run(self.opened)

    def data_received(self, data: bytes) -> None:
        """The peer has sent something."""
        try:
            self.received(data)
        except Exception as error:
            self.caught(error)
        if len(data) >= LARGE:
            self.rest()

    def eof_received(self) -> bool:
        """The peer sends no more. Returns whether the connection stays open for what goes the other way."""
        try:
            return self.ended()
        except Exception as error:
            self.caught(error)
            return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, or (with an error) broken off."""
        try:
            self.lost(exc)
        except Exception as error:
            self.caught(error)
        self.transport = None

    def pause_writing(self) -> None:
        """The peer does not read as fast as this program writes."""
        self.writes_paused = True
        self.watch()
        self.run(self.stalled)

    def resume_writing(self) -> None:
        """The peer has read what waited."""
        self.writes_paused = False
        self.run(self.drained)

    def go_on(self) -> None:
        """It is this connection's turn again."""
        self.is_resting = False
        self.run(self.proceed)
        if not self.is_resting and not self.is_paused and self.transport is not None:
            self._read(self.transport)

    def run(self, step: Callable[[], None]) -> None:
        """Takes a step that may raise, and from which nobody else is to suffer."""
        try:
            step()
        except Exception as error:
            self.caught(error)

    def caught(self, error: Exception) -> None:
        """Deals with an error of this program."""
        tell_once(error)
        try:
            self.broken()
        except Exception as another:
            tell_once(another)
            self.close_now()

    # --- the hooks

    def opened(self) -> None:
        """Begins."""

    def received(self, data: bytes) -> None:
        """Takes what the peer sent."""

    def ended(self) -> bool:
        """Takes that the peer sends no more; returns whether the connection stays open."""
        return False

    def lost(self, exc: Exception | None) -> None:
        """Takes that the connection is closed; `exc` is why it broke. The transport is still there for the last time."""

    def stalled(self) -> None:
        """Takes that the peer does not read."""

    def drained(self) -> None:
        """Takes that the peer has read."""

    def proceed(self) -> None:
        """Works on what was read, and not looked at yet."""

    def broken(self) -> None:
        """Notes that this program has hit an internal error, and nothing is certain any more."""

    def close_now(self) -> None:
        """Closes at once, whatever is unsent."""

    # --- what the sides do

    def write(self, data: bytes) -> None:
        """Sends bytes: a few at the end of this turn of the loop, many at once, because gathering them would copy them."""
        if len(data) >= BULK:
            if self.unsent and not self.is_encrypted:
                self._send_both(self.take_unsent(), data)
            else:
                self.flush()
                self._send(data)
        elif self.unsent:
            # Joined once, in the end: a connection of HTTP/2 may get hundreds of frames in a turn.
            if self._pieces is None:
                self._pieces = [self.unsent]
            self._pieces.append(data)
            self.unsent_size += len(data)
            if self.unsent_size >= BULK:
                self.flush()
        elif self.transport is not None:
            self.unsent = data
            self.unsent_size = len(data)
            self._outbox.put(self)

    def take_unsent(self) -> bytes:
        """What was written, and is to be sent now."""
        pieces = self._pieces
        data = self.unsent
        if pieces is not None:
            data = b"".join(pieces)
            self._pieces = None
        self.unsent = b""
        self.unsent_size = 0
        return data

    def flush(self) -> None:
        """Sends what was written, now."""
        if self.unsent:
            self._send(self.take_unsent())

    def _send(self, data: bytes) -> None:
        # One that broke off is told of in the next turn only, and logs whatever is written until then.
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.write(data)

    def _send_both(self, data: bytes, more: bytes) -> None:
        """Sends bytes, and others behind them, in one system call."""
        transport = self.transport
        if transport is not None and not transport.is_closing():
            transport.writelines([data, more])

    def end_writing(self) -> bool:
        """Sends an end of stream after all that was written; returns whether that is possible: not in TLS."""
        transport = self.transport
        if transport is None or not transport.can_write_eof():
            return False
        self.flush()
        transport.write_eof()
        return True

    def watch(self) -> None:
        """Begins to look at how fast the peer takes what waits for it."""
        self._waited = self._waiting()

    def has_taken(self, least: int) -> bool:
        """Whether the peer has taken as many bytes (and at least one) since the last look.

        A transport says that something can be written only when a third of the kernel's buffer, megabytes, is free: to a
        slow but steady reader that takes longer than a deadline.
        """
        before = self._waited
        self._waited = self._waiting()
        return before - self._waited >= max(1, least)

    def _waiting(self) -> int:
        """Bytes that were written and that the peer's kernel has not acknowledged."""
        transport = self.transport
        if transport is None:
            return 0
        waiting = transport.get_write_buffer_size()
        sock = transport.get_extra_info("socket")
        if sock is not None:
            try:
                # SIOCOUTQ, which Linux numbers as it does this one for terminals.
                queued = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
            except (OSError, ValueError):  # it is closed already
                return waiting
            waiting += int.from_bytes(queued, sys.byteorder)
        return waiting

    def pause_reading(self) -> None:
        """Stops reading: the receiver of the bytes is slower than this peer sends them."""
        if not self.is_paused and self.transport is not None:
            self.is_paused = True
            if not self.is_resting:
                self._read_not(self.transport)

    def resume_reading(self) -> None:
        """Reads again."""
        if self.is_paused and self.transport is not None:
            self.is_paused = False
            if not self.is_resting:
                self._read(self.transport)

    def rest(self) -> None:
        """Lets others have their turn: until it is this connection's again, it is not read from."""
        if not self.is_resting and self.transport is not None:
            self.is_resting = True
            if not self.is_paused:
                self._read_not(self.transport)
            self._queue.put(self.go_on)

    def _read_not(self, transport: asyncio.Transport) -> None:
        transport.pause_reading()
        if self.is_encrypted:
            # A TLS transport reads ahead by itself, and if it then meets the end of the connection, uvloop's throws away what
            # nobody has taken. With any of that waiting, it is not to read on.
            transport.set_read_buffer_limits(high=1)  # type: ignore[attr-defined]

    def _read(self, transport: asyncio.Transport) -> None:
        transport.resume_reading()
        if self.is_encrypted:
            self._queue.call_soon(self._read_ahead)  # behind what the transport itself has put off

    def _read_ahead(self) -> None:
        if self.transport is not None and not self.is_paused and not self.is_resting:
            self.transport.set_read_buffer_limits()  # type: ignore[attr-defined]
