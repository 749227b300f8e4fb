"""A response from an instance that speaks HTTP/1 to a client's stream (HTTP/2)."""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.failures import BAD_RESPONSE
from gateway.http.chunked import ChunkedReader
from gateway.http.response import Response, without
from gateway.http.trailers import Hidden
from gateway.proxy.client import Client
from gateway.proxy.record import Record
from gateway.proxy.request_body import RequestBody
from gateway.proxy.response_body import ENDED, ENDED_DIRTY, MORE, ResponseBody
from gateway.proxy.response_relay import ResponseRelay
from gateway.routing.verdict import Forward


class StreamRelay(ResponseRelay):
    """The head is passed on as a block of its own, and of the body the bare data: its end is the stream's."""

    __slots__ = ()

    def _switch(self, response: Response, data: bytes, request_body: RequestBody | None) -> None:
        """An extended CONNECT is accepted with 200 (RFC 8441 §5)."""
        if not self._record.request.upgrade or not response.upgrade:
            raise ProtocolError(BAD_RESPONSE, "the instance switched protocols without being asked to")
        lines = without(data, response.line_end, response.end - 4, response.cuts).split(b"\r\n")[1:]
        kept = [b"\r\n" + line for line in lines if not line.lower().startswith(b"sec-websocket-accept:")]
        self._client.send_head(b"HTTP/1.1 200 OK" + b"".join(kept) + b"\r\n\r\n", False)
        if response.end < len(data):
            self._client.write(data[response.end :])

    def _pass_head(self, response: Response, data: bytes, request_body: RequestBody | None) -> int:
        """Passes on a final head, and what came after it."""
        client = self._client
        record = self._record
        if record.request.upgrade and response.status < 300:
            raise ProtocolError(BAD_RESPONSE, "the instance did not switch protocols, and says that it succeeded")
        added = self._added(response, data)
        self.response = response
        self.keeps = True
        record.upstream_status = response.status
        record.response_head = response.end
        head = response.head(data, added)
        size = len(data) - response.end
        body = response.body
        if 0 <= body <= size:
            # The common case: all of it.
            record.sent = body
            client.send_head(head, not body)
            if body:
                client.send_data(data[response.end : response.end + body], True)
            return ENDED if body == size else ENDED_DIRTY
        relayed = self._body = StreamResponseBody(body, client, record, self._forward, response.hidden)
        try:
            return relayed.receive(data[response.end :], head)
        except ProtocolError:
            if not relayed.is_begun:
                # Nothing of it was passed on: the client can still get a whole 502.
                self.response = None
                record.upstream_status = record.response_head = 0
            raise


class StreamResponseBody(ResponseBody):
    """Passes on data without its framing. `head` goes before the first of it."""

    __slots__ = ()

    def __init__(self, body: int, client: Client, record: Record, forward: Forward, hidden: Hidden | None) -> None:
        super().__init__(body, True, client, record, forward, hidden)

    @property
    def is_told_by_closing(self) -> bool:
        """A stream tells its own end."""
        return False

    def end(self) -> None:
        """Takes that the instance has closed, which is the end if nothing else tells it."""
        self._finish(self.trailers)

    def _finish(self, trailers: bytes) -> None:
        if trailers:
            self._client.send_trailers(trailers)
        else:
            self._client.send_data(b"", True)

    def _pass_length(self, data: bytes, head: bytes) -> int:
        surplus = len(data) - self._left
        if surplus > 0:
            data = data[: self._left]
        self._left -= len(data)
        self._send(data, head, not self._left)
        if self._left:
            return MORE
        return ENDED if surplus <= 0 else ENDED_DIRTY

    def _pass_some(self, data: bytes, head: bytes) -> None:
        self._send(data, head, False)

    def _pass_chunks(self, chunks: ChunkedReader, data: bytes, head: bytes, is_all: bool) -> int:
        payload, rest = self._feed(chunks, data)
        if chunks.is_done:
            self.take_trailers(chunks.trailers)
        trailers = self.trailers
        self._send(payload, head, chunks.is_done and not trailers)
        if not chunks.is_done:
            return MORE
        if trailers:
            self._client.send_trailers(trailers)
        return ENDED if is_all and not rest else ENDED_DIRTY

    def _send(self, data: bytes, head: bytes, ends: bool) -> None:
        client = self._client
        self.is_begun = True
        self._record.sent += len(data)
        if head:
            client.send_head(head, ends and not data)
            ends = ends and len(data) > 0
        if data or ends:
            client.send_data(data, ends)
