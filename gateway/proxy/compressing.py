"""A response that is compressed on its way: to whatever passes it on, it is as if the instance had done so."""

from __future__ import annotations

from typing import Final

from gateway.errors import ProtocolError
from gateway.failures import BAD_RESPONSE
from gateway.http.chunked import ChunkedReader
from gateway.http.coders import CODERS, END, FLUSH, NOTHING, Coder
from gateway.http.compression import NO_CODING, VARY, coded_lines, coded_trailers, varies, weakened
from gateway.http.response import CHUNKED, UNTIL_CLOSE, Response
from gateway.proxy.client import Client
from gateway.proxy.record import Record
from gateway.proxy.relay import Relay
from gateway.proxy.request_body import RequestBody
from gateway.proxy.response_body import ENDED, ENDED_DIRTY, MORE, RESTS
from gateway.routing.verdict import CompressedForward

SLICE: Final = 32_768
"""Bytes that are compressed at a time: well below a millisecond."""


class CompressingRelay(Relay):
    """Reads what an instance sends, and hands it on to `inner` with another body.

    What one piece of a packet was compressed to is sent at once: nobody waits for what is here. Large ones have a slice of each
    turn, as chunks of others do.
    """

    __slots__ = (
        "_after",
        "_before",
        "_chunks",
        "_client",
        "_coder",
        "_coding",
        "_forward",
        "_inner",
        "_is_passing",
        "_left",
        "_partial",
        "_record",
        "_trailers",
        "_unread",
    )

    def __init__(self, inner: Relay, client: Client, record: Record, forward: CompressedForward) -> None:
        super().__init__()
        self._inner = inner
        self._client = client
        self._record = record
        self._forward = forward
        self._is_passing: bool = False
        self._partial: bytes = b""
        self._unread: bytes = b""
        self._trailers: bytes = b""
        self._coder: Coder | None = None
        self._coding: str = NO_CODING
        self._chunks: ChunkedReader | None = None
        self._left: int = 0
        self._before: int = 0
        self._after: int = 0

    @property
    def is_in_head(self) -> bool:
        """Whether part of a head has come."""
        return bool(self._partial) or self._inner.is_in_head

    @property
    def is_told_by_closing(self) -> bool:
        """Whether only the close of its connection tells the client that it has the whole response."""
        return self._inner.is_told_by_closing

    def receive(self, data: bytes, request_body: RequestBody | None) -> int:
        """See `Relay`."""
        if self._coder is not None:
            if self._unread:
                self._unread += data  # what is read at the end of others' turn
                return MORE
            return self._code(data, may_rest=True, is_its_turn=False)
        if self._is_passing:
            return self._pass(data, request_body)
        seen = len(self._partial)
        if seen:
            data = self._partial + data
        while True:
            response = self._client.context.response_reader.read(data, self._record.request.method, seen)
            if response is None:
                self._partial = data
                return MORE
            if response.status >= 200 or response.status == 101:
                break
            self._partial = b""
            self._inner.receive(data[: response.end], request_body)
            data = data[response.end :]
            seen = 0
            if not data:
                return MORE
        self._partial = b""
        if response.status == 101 or response.told:
            return self._pass(data, request_body)
        return self._begin(response, data, request_body)

    def begin(self, head: bytes, data: bytes, request_body: RequestBody | None) -> int:
        """See `Relay`."""
        return self.receive(head + data, request_body)

    def pass_refusal(self, request_body: RequestBody | None) -> int:
        """See `Relay`."""
        state = self._inner.pass_refusal(request_body)
        self._follow()
        return state

    def proceed(self, has_ended: bool = False) -> int:
        """See `Relay`."""
        if self._coder is None:
            return self._inner.proceed(has_ended)
        data = self._unread
        if not data:
            return MORE
        self._unread = b""
        return self._code(data, may_rest=not has_ended, is_its_turn=True)

    def take_trailers(self, lines: bytes) -> None:
        """See `Relay`."""
        if self._coder is None:
            self._inner.take_trailers(lines)
        else:
            self._trailers = coded_trailers(lines)

    def end(self) -> bool:
        """See `Relay`."""
        coder = self._coder
        if coder is None:
            return self._inner.end()
        if self._left != UNTIL_CLOSE:
            return False
        self._finish(coder(b"", END))
        return True

    def _pass(self, data: bytes, request_body: RequestBody | None) -> int:
        """Hands on what is not compressed."""
        self._is_passing = True
        state = self._inner.receive(data, request_body)
        self._follow()
        return state

    def _follow(self) -> None:
        inner = self._inner
        self.response = inner.response
        self.keeps = inner.keeps
        self.refused = inner.refused

    def _begin(self, response: Response, data: bytes, request_body: RequestBody | None) -> int:
        """Takes the head of a final response, and what came after it."""
        lines = data[response.line_end + 2 : response.end - 4].split(b"\r\n")
        compression = self._forward.compression
        if not compression.concerns(response, lines):
            return self._pass(data, request_body)
        request = self._record.request
        decision = self._record.decision
        before = decision.response_fields
        if not varies(lines):
            decision.response_fields = before + VARY
        coding = compression.coding_for(request)
        try:
            if coding and response.status == 304:
                return self._pass(_head(response, data, weakened(lines)) + data[response.end :], request_body)
            is_whole = response.status not in (206, 304) and request.method != "HEAD" and response.body != 0
            places = self._client.context.compressing
            if not coding or not is_whole or not places.take():
                return self._pass(data, request_body)
            self._forward.give_back = places.leave
            return self._begin_coded(response, data, lines, coding, request_body)
        except ProtocolError:
            if self._inner.response is None:
                # The client can still get a whole 502, of which that is not true.
                decision.response_fields = before
            raise

    def _begin_coded(
        self, response: Response, data: bytes, lines: list[bytes], coding: str, request_body: RequestBody | None
    ) -> int:
        coder = CODERS[coding]()
        self._coding = coding
        size = response.body
        body = data[response.end :]
        lines = coded_lines(lines, coding)
        if 0 < size <= min(len(body), SLICE):
            # The common case: all of it.
            coded = coder(body[:size], END)
            lines.append(b"Content-Length: %d" % len(coded))
            self._hand_on(_head(response, data, lines) + coded, request_body)
            self._follow()
            self.response = response
            self._count(size, len(coded))
            return ENDED if size == len(body) else ENDED_DIRTY
        lines.append(b"Transfer-Encoding: chunked")
        self._left = size
        if size == CHUNKED:
            self._chunks = ChunkedReader(decode=True)
        # Before the head: of a body that is malformed from its beginning, nothing is passed on.
        first = body[:SLICE]
        payload, ends, has_more = self._read(first)
        rest = body[SLICE:]
        coded = coder(payload, END if ends else NOTHING if rest else FLUSH)
        self._before += len(payload)
        head = _head(response, data, lines)
        self._hand_on(head + self._chunk(coded), request_body)
        self._follow()
        self.response = response
        if ends:
            self._finish(b"")
            return ENDED_DIRTY if has_more or rest else ENDED
        self._coder = coder
        return self._code(rest, may_rest=True, is_its_turn=False) if rest else MORE

    def _code(self, data: bytes, *, may_rest: bool, is_its_turn: bool) -> int:
        """Compresses what has come, a slice at a time, as long as this turn has time."""
        coder = self._coder
        assert coder is not None
        size = len(data)
        position = 0
        while position < size:
            if size > SLICE and may_rest and not is_its_turn and not self._client.context.queue.has_time():
                self._unread = data[position:]
                return RESTS
            is_its_turn = False
            piece = data[position : position + SLICE]
            position += len(piece)
            payload, ends, has_more = self._read(piece)
            self._before += len(payload)
            if ends:
                self._finish(coder(payload, END))
                return ENDED_DIRTY if has_more or position < size else ENDED
            coded = coder(payload, FLUSH if position == size else NOTHING)
            if coded:
                self._hand_on(self._chunk(coded))
        return MORE

    def _read(self, data: bytes) -> tuple[bytes, bool, bool]:
        """What is in a piece of the body as the instance sent it; whether it ends with that, and whether something follows."""
        chunks = self._chunks
        if chunks is not None:
            try:
                payload, rest = chunks.feed(data)
            except ProtocolError as error:
                why = f"the body of the instance's response is malformed: {error.detail}"
                raise ProtocolError(BAD_RESPONSE, why) from None
            self._trailers = coded_trailers(chunks.trailers)
            return payload, chunks.is_done, bool(rest)
        if self._left == UNTIL_CLOSE:
            return data, False, False
        payload = data[: self._left]
        self._left -= len(payload)
        return payload, not self._left, len(payload) < len(data)

    def _chunk(self, coded: bytes) -> bytes:
        self._after += len(coded)
        return b"%x\r\n%b\r\n" % (len(coded), coded) if coded else b""

    def _finish(self, coded: bytes) -> None:
        """Hands on the last of the body, its end, and the trailers."""
        self._hand_on(self._chunk(coded) + b"0" + self._trailers + b"\r\n\r\n")
        self._count(self._before, self._after)

    def _hand_on(self, data: bytes, request_body: RequestBody | None = None) -> None:
        inner = self._inner
        if inner.receive(data, request_body) == RESTS:
            inner.proceed(has_ended=True)  # it has had its turn

    def _count(self, before: int, after: int) -> None:
        traffic = self._client.context.traffic
        traffic.count_compressed(self._coding, "before", before)
        traffic.count_compressed(self._coding, "after", after)


def _head(response: Response, data: bytes, lines: list[bytes]) -> bytes:
    """The head of a response with other field lines."""
    return b"\r\n".join([b"HTTP/1.1" + data[8 : response.line_end], *lines, b"", b""])
