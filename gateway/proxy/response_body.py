"""The body of one response on its way to the client."""

from __future__ import annotations

from typing import Final

from gateway.errors import ProtocolError
from gateway.failures import BAD_RESPONSE
from gateway.grpc.status import is_fault
from gateway.http.chunked import ChunkedReader, last_chunk
from gateway.http.request import VERSION_2
from gateway.http.response import CHUNKED, UNTIL_CLOSE
from gateway.http.trailers import Hidden
from gateway.proxy.blame import blame
from gateway.proxy.client import Client
from gateway.proxy.record import Record
from gateway.proxy.request_body import PIECE
from gateway.routing.verdict import Forward

FEW: Final = 4096
"""Bytes of chunks that are read whatever else there is to do."""

# What has become of the body, as far as it has come.
MORE: Final = 0
"""More is to come."""
ENDED: Final = 1
"""It is whole, and nothing followed it."""
ENDED_DIRTY: Final = 2
"""It is whole, and the connection it came on cannot be used again: something followed it, or it is closed."""
RESTS: Final = 3
"""Not all that has come was read: the turn is over."""


class ResponseBody:
    """How much of a body is still to come. `body` is a length in bytes, CHUNKED or UNTIL_CLOSE; `is_old`: to HTTP/1.0.

    If the instance tells the end by closing, the client gets chunks: it can tell then whether the end has come. One that
    speaks HTTP/1.0 cannot read them; to it nothing but the close tells the end (`is_told_by_closing`).
    `is_begun`: some of it, or its head, was passed on in chunks. `trailers` are to follow it: field lines, each led by CRLF.
    `hidden` are names of fields that are none.
    """

    __slots__ = (
        "_chunks",
        "_client",
        "_forward",
        "_hidden",
        "_is_old",
        "_left",
        "_record",
        "_unread",
        "is_begun",
        "trailers",
    )

    def __init__(
        self, body: int, is_old: bool, client: Client, record: Record, forward: Forward, hidden: Hidden | None
    ) -> None:
        self._is_old = is_old
        self._left = body  # what is not a length stays as it is
        self._client = client
        self._record = record
        self._forward = forward
        self._hidden = hidden
        self._unread: bytes = b""
        self.is_begun: bool = False
        self.trailers: bytes = b""
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

    def receive(self, data: bytes, head: bytes = b"") -> int:
        """Passes on more of the body, after `head` if this is its beginning, in one write: one packet.

        Returns what has become of it (MORE, ENDED, …). Raises ProtocolError for what is malformed; then nothing of this piece
        was passed on.
        """
        chunks = self._chunks
        if chunks is not None:
            if self._unread:
                self._unread += data  # what is read at the end of others' turn
                return MORE
            if len(data) <= FEW:
                return self._pass_chunks(chunks, data, head, True)
            return self._read_chunks(chunks, data, head, may_rest=not head)
        if self._left == UNTIL_CLOSE:
            self._pass_some(data, head)
            return MORE
        return self._pass_length(data, head)

    def take_trailers(self, lines: bytes) -> None:
        """Takes the trailers, which follow the body: field lines, each led by CRLF.

        A client that speaks HTTP/1 gets them if it has said that it takes them (RFC 9110 §6.5.1): some have taken them for more
        of the body (https://github.com/nginx/nginx/issues/1115). A call of gRPC says so by being one.
        """
        trailers, status, told = self._client.context.response_reader.read_trailers(lines, self._hidden)
        request = self._record.request
        if request.takes_trailers or request.version == VERSION_2 or request.is_grpc:
            self.trailers = trailers
        if status >= 0:
            self._record.grpc_status = status
            if is_fault(status):
                self.trailers += blame(self._record, self._forward, told)

    def end(self) -> None:
        """Takes that the instance has closed, which is the end if nothing else tells it."""
        if not self.is_told_by_closing:
            self._client.write(last_chunk(self.trailers))

    def proceed(self, has_ended: bool = False) -> int:
        """Reads what was left for a later turn; all of it, if the instance has ended. Returns and raises as `receive`."""
        data = self._unread
        if not data or self._chunks is None:
            return MORE
        self._unread = b""
        return self._read_chunks(self._chunks, data, b"", may_rest=not has_ended, is_its_turn=True)

    def _pass_length(self, data: bytes, head: bytes) -> int:
        surplus = len(data) - self._left
        if surplus > 0:
            data = data[: self._left]
        self._left -= len(data)
        self._record.sent += len(data)
        if head or data:
            self._client.write(head + data if head else data)
        if self._left:
            return MORE
        return ENDED if surplus <= 0 else ENDED_DIRTY

    def _pass_some(self, data: bytes, head: bytes) -> None:
        """Passes on what only the instance's close ends: to who can read them, in chunks of our own."""
        client = self._client
        self._record.sent += len(data)
        if not data or self.is_told_by_closing:
            client.write(head + data)
        else:
            client.write(head + b"%x\r\n" % len(data))
            client.write(data)
            client.write(b"\r\n")

    def _pass_chunks(self, chunks: ChunkedReader, data: bytes, head: bytes, is_all: bool) -> int:
        """Passes on some chunks. `is_all`: nothing else has come after them."""
        payload, rest = self._feed(chunks, data)
        if chunks.is_done:
            self.take_trailers(chunks.trailers)
            if not self._is_old:
                payload += last_chunk(self.trailers)
        self._record.sent += len(payload)
        if head or payload:
            self._client.write(head + payload if head else payload)
            self.is_begun = True
        if not chunks.is_done:
            return MORE
        return ENDED if is_all and not rest else ENDED_DIRTY

    def _feed(self, chunks: ChunkedReader, data: bytes) -> tuple[bytes, bytes]:
        """Reads chunks: see `ChunkedReader.feed`."""
        try:
            return chunks.feed(data)
        except ProtocolError as error:
            raise ProtocolError(
                BAD_RESPONSE, f"the body of the instance's response is malformed: {error.detail}"
            ) from None

    def _read_chunks(
        self, chunks: ChunkedReader, data: bytes, head: bytes, *, may_rest: bool, is_its_turn: bool = False
    ) -> int:
        """Passes on many chunks, a piece at a time, as long as this turn has time."""
        size = len(data)
        position = 0
        while position < size:
            if may_rest and not is_its_turn and not self._client.context.queue.has_time():
                self._unread = data[position:]
                return RESTS
            piece = data[position : position + PIECE]
            position += len(piece)
            state = self._pass_chunks(chunks, piece, head, position == size)
            if state != MORE:
                return state
            is_its_turn = False
            if head:
                head = b""
                may_rest = True
        return MORE
