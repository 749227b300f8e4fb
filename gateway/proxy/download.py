"""The body of one answer on its way to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader
from gateway.http.response import CHUNKED, UNTIL_CLOSE

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange


class Download:
    """How much of the body of `exchange`'s answer is still to come. `body` is a length in bytes, CHUNKED or UNTIL_CLOSE."""

    __slots__ = ("_chunks", "_exchange", "_left", "ends_with_connection")

    def __init__(self, exchange: Exchange, body: int) -> None:
        self._exchange = exchange
        self._left = body
        self.ends_with_connection: bool = body == UNTIL_CLOSE
        self._chunks: ChunkedReader | None = None
        if body == CHUNKED:
            self._chunks = ChunkedReader(decode=exchange.request.version == 0)

    def receive(self, data: bytes, head: bytes = b"") -> None:
        """Passes on more of the body, behind `head` where this is its beginning, in one write: one packet."""
        exchange = self._exchange
        chunks = self._chunks
        is_done = False
        is_clean = True
        if chunks is not None:
            try:
                data, rest = chunks.feed(data)
            except ProtocolError as error:
                if head:
                    exchange.response = None  # nothing of it was passed on: the client can still get a whole 502
                exchange.answer_failed("bad_answer", f"the body of the instance's answer is malformed: {error.detail}")
                return
            is_done = chunks.is_done
            is_clean = not rest
        elif not self.ends_with_connection:
            surplus = len(data) - self._left
            if surplus > 0:
                data = data[: self._left]
                is_clean = False
            self._left -= len(data)
            is_done = not self._left
        exchange.sent += len(data)
        if head:
            data = head + data if data else head
        if data:
            exchange.downstream.write(data)
        if is_done:
            exchange.answer_ended(is_clean)
