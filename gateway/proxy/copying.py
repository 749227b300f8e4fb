"""A copy on a connection to an instance: sent whole, and its response kept for nobody but who compares it.

It goes the way of any request (origins, sessions, TLS), but is none of the listener's: it is not counted as traffic, no instance
is judged by it, and nothing is tried again that may have been done.
"""

from __future__ import annotations

import asyncio

from gateway.errors import ProtocolError
from gateway.failures import BAD_RESPONSE, Fault
from gateway.http.chunked import ChunkedReader
from gateway.http.request import Request
from gateway.http.response import CHUNKED, UNTIL_CLOSE, Response, ResponseReader
from gateway.proxy.copies import MAX_RESPONSE
from gateway.proxy.request_body import RequestBody
from gateway.proxy.upstream import ResponseHandler, Upstream


# Its public members are what an upstream connection calls, and what became of it.
class CopyExchange(ResponseHandler):
    """One copy and its response. `done` is set when that is over, whatever became of it.

    `head` and `response` are the head of the final response; None: there is none. `is_whole`: its body came to its end, or
    is too long to be compared (`is_cut`). `is_stale`: the connection, which was idle, closed without a word.
    """

    __slots__ = (
        "_chunks",
        "_left",
        "_parts",
        "_reader",
        "_request",
        "_size",
        "_upstream",
        "done",
        "grpc_status",
        "head",
        "is_cut",
        "is_stale",
        "is_whole",
        "response",
    )

    def __init__(
        self, upstream: Upstream, request: Request, reader: ResponseReader, done: asyncio.Future[None]
    ) -> None:
        self._upstream: Upstream | None = upstream
        self._request = request
        self._reader = reader
        self.done = done
        self.response: Response | None = None
        self.head: bytes = b""
        self.grpc_status: int = -1
        self.is_cut: bool = False
        self.is_whole: bool = False
        self.is_stale: bool = False
        self._chunks: ChunkedReader | None = None
        self._left: int = UNTIL_CLOSE
        self._size: int = 0
        self._parts: list[bytes] = []

    @property
    def body(self) -> bytes:
        """What came of the response's body, without its chunks."""
        return b"".join(self._parts)

    def start(self, head: bytes, body: RequestBody | None) -> None:
        """Sends the copy."""
        upstream = self._upstream
        assert upstream is not None
        upstream.handler = self
        upstream.served += 1
        upstream.send_request(self._request, head, body)

    def stop(self) -> None:
        """Gives it up, if it is not over."""
        self._end(False)

    # --- what the instance does

    def response_received(self, data: bytes) -> None:
        """Takes what the instance sent."""
        self._size += len(data)
        try:
            ends = self._take(data)
        except ProtocolError:
            self._end(False)
            return
        if ends:
            self.is_whole = True
            self._end(not self._left)
        elif self._size > MAX_RESPONSE:
            self.is_cut = self.is_whole = self.response is not None
            self._end(False)

    def response_trailers(self, lines: bytes) -> None:
        """Takes the status of a gRPC call."""
        _, status, _ = self._reader.read_trailers(lines)
        if status >= 0:
            self.grpc_status = status

    def response_ended(self) -> bool:
        """Takes that the instance sends no more, which ends a response of no told length."""
        self.is_whole = self.response is not None and self._left == UNTIL_CLOSE
        self._lose()
        return False

    def response_lost(self) -> None:
        """Takes that the connection broke off."""
        self._lose()

    def response_aborted(self, fault: Fault, detail: str) -> None:
        """Takes that there will be no (more of a) response."""
        self._end(False)

    def instance_stalled(self) -> None:
        """Nothing more is written that would have to wait."""

    def instance_drained(self) -> None:
        """See `instance_stalled`."""

    def broken(self) -> None:
        """This program has hit an internal error."""
        self._end(False)

    # --- the response

    def _take(self, data: bytes) -> bool:
        """Takes more of the response; whether that is its end. Then `_left` is 0, unless more came than that."""
        response = self.response
        if response is None:
            data = self.head + data
            seen = len(self.head)
            while True:
                response = self._reader.read(data, self._request.method, seen)
                if response is None:
                    self.head = data
                    return False
                if response.status >= 200:
                    break
                if response.status == 101:
                    raise ProtocolError(BAD_RESPONSE, "the instance switched protocols without being asked to")
                data = data[response.end :]
                seen = 0
            self.response = response
            self.grpc_status = response.grpc_status
            self.head = data[: response.end]
            data = data[response.end :]
            self._left = response.body
            if self._left == CHUNKED:
                self._chunks = ChunkedReader(decode=True)
        chunks = self._chunks
        if chunks is not None:
            payload, rest = chunks.feed(data)
            self._parts.append(payload)
            if chunks.is_done and not rest:
                self._left = 0
            return chunks.is_done
        self._parts.append(data)
        if self._left < 0:
            return False
        self._left -= len(data)
        if self._left < 0:
            self._parts[-1] = data[: self._left]
        return self._left <= 0

    # --- the end

    def _lose(self) -> None:
        upstream = self._upstream
        if upstream is not None:
            self.is_stale = upstream.served > 1 and not self._size
        self._end(False)

    def _end(self, is_clean: bool) -> None:
        """Gives the connection back if it `is_clean`, and else closes it: once."""
        upstream = self._upstream
        if upstream is None:
            return
        self._upstream = None
        upstream.handler = None
        response = self.response
        if is_clean and response is not None and response.keep_alive and not upstream.is_lost:
            upstream.owner.release(upstream, asyncio.get_running_loop().time())
        else:
            upstream.close()
        if not self.done.done():
            self.done.set_result(None)
