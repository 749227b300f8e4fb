"""The body of one answer on its way to the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader
from gateway.http.response import CHUNKED, UNTIL_CLOSE
from gateway.proxy.upload import PIECE

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange

FEW: Final = 4096
"""Bytes of chunks that are read whatever else there is to do."""


class Download:
    """How much of a body is still to come. `body` is a length in bytes, CHUNKED or UNTIL_CLOSE; `is_old`: to HTTP/1.0.

    Where the instance tells the end by closing, the client gets chunks: it can tell then whether the end has come. One that
    speaks HTTP/1.0 cannot read them; to it nothing but the close tells the end (`is_told_by_closing`).
    """

    __slots__ = ("_chunks", "_is_old", "_left", "_unread")

    def __init__(self, body: int, is_old: bool) -> None:
        self._is_old = is_old
        self._left = body  # what is no length stays as it is
        self._unread: bytes = b""
        self._chunks: ChunkedReader | None = None
        if body == CHUNKED:
            self._chunks = ChunkedReader(decode=is_old)

    @property
    def ends_with_connection(self) -> bool:
        """Whether the instance tells the end by closing."""
        return self._left == UNTIL_CLOSE

    @property
    def is_told_by_closing(self) -> bool:
        """Whether nothing else tells the client."""
        return self._left < 0 and self._is_old

    def receive(self, exchange: Exchange, data: bytes, head: bytes = b"") -> None:
        """Passes on more of the body, behind `head` where this is its beginning, in one write: one packet."""
        chunks = self._chunks
        if chunks is not None:
            if self._unread:
                self._unread += data  # what is read at the end of others' turn
            elif len(data) <= FEW:
                self._pass_chunks(exchange, chunks, data, head)
            else:
                self._read_chunks(exchange, chunks, data, head)
        elif self._left == UNTIL_CLOSE:
            self._pass_some(exchange, data, head)
        else:
            self._pass_length(exchange, data, head)

    def end(self, exchange: Exchange) -> None:
        """Takes that the instance has closed, which is the end where nothing else tells it."""
        if not self.is_told_by_closing:
            exchange.downstream.write(b"0\r\n\r\n")
        exchange.answer_ended(False)

    def proceed(self, exchange: Exchange, has_ended: bool = False) -> None:
        """Reads what was left for a later turn; all of it, where the instance has ended."""
        data = self._unread
        if data and self._chunks is not None:
            self._unread = b""
            self._read_chunks(exchange, self._chunks, data, b"", is_its_turn=True, has_ended=has_ended)

    def _pass_length(self, exchange: Exchange, data: bytes, head: bytes) -> None:
        surplus = len(data) - self._left
        if surplus > 0:
            data = data[: self._left]
        self._left -= len(data)
        exchange.sent += len(data)
        if head or data:
            exchange.downstream.write(head + data if head else data)
        if not self._left:
            exchange.answer_ended(surplus <= 0)

    def _pass_some(self, exchange: Exchange, data: bytes, head: bytes) -> None:
        """Passes on what only the instance's close ends: to who can read them, in chunks of our own."""
        downstream = exchange.downstream
        exchange.sent += len(data)
        if not data or self.is_told_by_closing:
            downstream.write(head + data)
        else:
            downstream.write(head + b"%x\r\n" % len(data))
            downstream.write(data)
            downstream.write(b"\r\n")

    def _pass_chunks(
        self, exchange: Exchange, chunks: ChunkedReader, data: bytes, head: bytes, is_all: bool = True
    ) -> None:
        """Passes on some chunks. `is_all`: nothing else has come behind them."""
        try:
            payload, rest = chunks.feed(data)
        except ProtocolError as error:
            if head:
                exchange.response = None  # nothing of it was passed on: the client can still get a whole 502
            exchange.answer_failed("bad_answer", f"the body of the instance's answer is malformed: {error.detail}")
            return
        exchange.sent += len(payload)
        if head or payload:
            exchange.downstream.write(head + payload if head else payload)
        if chunks.is_done:
            exchange.answer_ended(is_all and not rest)

    def _read_chunks(
        self,
        exchange: Exchange,
        chunks: ChunkedReader,
        data: bytes,
        head: bytes,
        is_its_turn: bool = False,
        has_ended: bool = False,
    ) -> None:
        """Passes on many chunks, a piece at a time, as long as this turn has time."""
        queue = exchange.context.queue
        size = len(data)
        position = 0
        while position < size and not exchange.is_over:
            if not (head or is_its_turn or has_ended or queue.has_time()):
                self._unread = data[position:]
                exchange.rest_upstream()
                return
            piece = data[position : position + PIECE]
            position += len(piece)
            self._pass_chunks(exchange, chunks, piece, head, position == size)
            is_its_turn = False
            head = b""
