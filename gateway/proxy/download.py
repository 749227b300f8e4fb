"""The body of one answer on its way to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader
from gateway.http.response import CHUNKED, UNTIL_CLOSE
from gateway.proxy.upload import PIECE

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange

FEW: Final = 1024
"""Bytes of chunks that are read whatever else there is to do."""


class Download:
    """How much of the body of `exchange`'s answer is still to come. `body` is a length in bytes, CHUNKED or UNTIL_CLOSE.

    Where the instance tells the end by closing, the client gets chunks: it can tell then whether the end has come. One that
    speaks HTTP/1.0 cannot read them; to it nothing but the close tells the end (`is_told_by_closing`).
    """

    __slots__ = (
        "_chunks",
        "_exchange",
        "_left",
        "_makes_chunks",
        "_unread",
        "ends_with_connection",
        "is_told_by_closing",
    )

    def __init__(self, exchange: Exchange, body: int) -> None:
        is_old = exchange.request.version == 0
        self._exchange = exchange
        self._left = body
        self._unread: bytes = b""
        self.ends_with_connection: bool = body == UNTIL_CLOSE
        self._makes_chunks: bool = body == UNTIL_CLOSE and not is_old
        self.is_told_by_closing: bool = body < 0 and is_old
        self._chunks: ChunkedReader | None = ChunkedReader(decode=is_old) if body == CHUNKED else None

    def receive(self, data: bytes, head: bytes = b"") -> None:
        """Passes on more of the body, behind `head` where this is its beginning, in one write: one packet."""
        chunks = self._chunks
        if chunks is not None:
            if self._unread:
                self._unread += data  # what is read at the end of others' turn
            else:
                self._read_chunks(chunks, data, head)
            return
        exchange = self._exchange
        exchange.sent += len(data)
        if self.ends_with_connection:
            if self._makes_chunks and data:
                exchange.downstream.write(head + b"%x\r\n" % len(data))
                exchange.downstream.write(data)
                exchange.downstream.write(b"\r\n")
            else:
                exchange.downstream.write(head + data)
            return
        surplus = len(data) - self._left
        if surplus > 0:
            data = data[: self._left]
            exchange.sent -= surplus
        self._left -= len(data)
        if head:
            data = head + data if data else head
        if data:
            exchange.downstream.write(data)
        if not self._left:
            exchange.answer_ended(surplus <= 0)

    def end(self) -> None:
        """Takes that the instance has closed, which is the end where nothing else tells it."""
        if self._makes_chunks:
            self._exchange.downstream.write(b"0\r\n\r\n")
        self._exchange.answer_ended(False)

    def proceed(self, has_ended: bool = False) -> None:
        """Reads what was left for a later turn; all of it, where the instance has ended."""
        data = self._unread
        if data and self._chunks is not None:
            self._unread = b""
            self._read_chunks(self._chunks, data, b"", is_its_turn=True, has_ended=has_ended)

    def _read_chunks(
        self, chunks: ChunkedReader, data: bytes, head: bytes, is_its_turn: bool = False, has_ended: bool = False
    ) -> None:
        exchange = self._exchange
        queue = exchange.context.queue
        position = 0
        while True:
            if len(data) - position > FEW and not (head or is_its_turn or has_ended or queue.has_time()):
                self._unread = data[position:]
                exchange.rest_upstream()
                return
            is_its_turn = False
            piece = data[position : position + PIECE]
            position += len(piece)
            try:
                payload, rest = chunks.feed(piece)
            except ProtocolError as error:
                if head:
                    exchange.response = None  # nothing of it was passed on: the client can still get a whole 502
                exchange.answer_failed("bad_answer", f"the body of the instance's answer is malformed: {error.detail}")
                return
            exchange.sent += len(payload)
            if head or payload:
                exchange.downstream.write(head + payload if head else payload)
            head = b""
            if chunks.is_done:
                exchange.answer_ended(not rest and position == len(data))
                return
            if position == len(data) or exchange.is_over:
                return
