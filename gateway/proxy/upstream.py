"""One connection to an instance: bytes in, handed to the exchange that uses it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.proxy.connection import Connection

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.origin import Origin


class Upstream(Connection):
    """An asyncio protocol. `exchange` is None while the connection is idle in its origin."""

    __slots__ = ("exchange", "idle_since", "is_lost", "origin", "served")

    def __init__(self, origin: Origin) -> None:
        super().__init__(origin.outbox)
        self.origin = origin
        self.exchange: Exchange | None = None
        self.idle_since: float = 0.0
        self.served: int = 0
        self.is_lost: bool = False

    def itself(self) -> Upstream:
        """The protocol factory that `create_connection` asks for."""
        return self

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            # Bytes nobody asked for would be taken for the next exchange's answer.
            self.close()
        else:
            exchange.response_received(data)

    def eof_received(self) -> bool:
        exchange = self.exchange
        if exchange is not None:
            exchange.response_ended()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self.transport = None
        self.origin.lost(self)
        exchange = self.exchange
        if exchange is not None:
            exchange.response_ended()

    def pause_writing(self) -> None:
        self.writes_paused = True
        if self.exchange is not None:
            self.exchange.upload_paused()

    def resume_writing(self) -> None:
        self.writes_paused = False
        if self.exchange is not None:
            self.exchange.upload_resumed()

    def close(self) -> None:
        """Closes at once: whatever is unsent belongs to nobody any more."""
        self.is_lost = True
        transport = self.transport
        if transport is not None:
            self.transport = None
            transport.abort()
