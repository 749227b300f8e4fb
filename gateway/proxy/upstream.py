"""One connection to an instance: bytes in, handed to the exchange that uses it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from gateway.proxy.connection import HIGH_WATER, Connection

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.origin import Origin

PIECE: Final = 65536
REST: Final = 4 * PIECE
"""Bytes that are read at the most from a connection that broke: the size of an ordinary read."""


class Upstream(Connection):
    """`exchange` is None while the connection is idle in its origin. `is_detached`: it has become a tunnel."""

    __slots__ = ("exchange", "idle_since", "is_detached", "is_lost", "origin", "served")

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin.outbox, origin.queue)
        self.origin = origin
        self.exchange: Exchange | None = None
        self.idle_since: float = 0.0
        self.served: int = 0
        self.is_lost: bool = False
        self.is_detached: bool = False

    def itself(self) -> Upstream:
        """The protocol factory that `create_connection` asks for."""
        return self

    def opened(self) -> None:
        """Begins."""
        if self.is_encrypted and self.transport is not None:
            self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def received(self, data: bytes) -> None:
        """Takes what the instance sent."""
        exchange = self.exchange
        if exchange is None:
            # Bytes nobody asked for would be taken for the next exchange's answer.
            self.close()
        else:
            exchange.response_received(data)

    def proceed(self) -> None:
        """Works on what was left for this turn."""
        if self.exchange is not None:
            self.exchange.response_proceed()

    def ended(self) -> bool:
        """Takes that the instance sends no more."""
        return self.exchange is not None and self.exchange.response_ended()

    def lost(self, exc: Exception | None) -> None:
        """Takes that the connection is closed."""
        if exc is not None and self.exchange is not None:
            self._read_rest(self.exchange)
        self.is_lost = True
        self.origin.lost(self)
        if self.exchange is not None:
            self.exchange.response_lost()

    def _read_rest(self, exchange: Exchange) -> None:
        """Reads what came before the connection broke, and was not read yet.

        An instance that refuses a body answers, closes, and resets what goes on coming. A write that meets this breaks off
        the connection with the answer still in the kernel, where nobody would look for it any more.
        """
        transport = self.transport
        if transport is None or self.is_encrypted:
            return
        sock = transport.get_extra_info("socket")
        if sock is None:
            return
        try:
            for _ in range(REST // PIECE):
                data = os.read(sock.fileno(), PIECE)
                if not data or self.exchange is not exchange:
                    return
                exchange.response_received(data)
        except OSError:
            return

    def stalled(self) -> None:
        """Takes that the instance does not read."""
        if self.exchange is not None:
            self.exchange.instance_stalled()

    def drained(self) -> None:
        """Takes that the instance has read what waited."""
        if self.exchange is not None:
            self.exchange.instance_drained()

    def broken(self) -> None:
        """Takes an error of this program: it is the exchange's, whoever's bytes set it off."""
        if self.exchange is not None:
            self.exchange.downstream.broken()
        self.close()

    def close_now(self) -> None:
        """Closes at once."""
        self.close()

    def close_when_sent(self, seconds: float) -> None:
        """Closes when the instance has taken what waits, and after so many seconds whatever it has taken."""
        self.flush()
        self.is_lost = True
        self.exchange = None
        transport = self.transport
        if transport is not None:
            self.transport = None
            transport.close()
            if transport.get_write_buffer_size():
                self.origin.call_later(seconds, transport.abort)

    def close(self) -> None:
        """Closes at once: whatever is unsent belongs to nobody any more."""
        self.is_lost = True
        transport = self.transport
        if transport is not None:
            self.transport = None
            transport.abort()
