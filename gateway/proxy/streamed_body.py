"""The body of a request that comes on a stream (HTTP/2): data as it is, whose end the stream tells."""

from __future__ import annotations

from gateway.http.chunked import last_chunk
from gateway.http.request import CHUNKED
from gateway.proxy.request_body import RequestBody


class StreamedBody(RequestBody):
    """`has_ended`: what is taken next is the last of it."""

    __slots__ = ("_is_chunked", "has_ended")

    def __init__(self, body: int, now: float) -> None:
        super().__init__(body, now)
        self._is_chunked: bool = body == CHUNKED
        self.is_framed = False
        self.has_ended: bool = False

    def begin(self, data: bytes, at: int) -> int:
        """Takes and keeps what came with the head: nothing, if not for a test."""
        payload, at = self.take(data, at, self.begun)
        self.keep(payload)
        return at

    def take(self, data: bytes, at: int, now: float) -> tuple[bytes, int]:
        """Takes data, all of it. That it is as long as Content-Length says is the stream's business."""
        self.heard_at = now
        payload = data[at:] if at else data
        self.received += len(payload)
        self.is_done = self.has_ended
        return payload, len(data)

    def framed(self, payload: bytes) -> bytes:
        """What is to be sent of a piece to an instance that speaks HTTP/1: chunks, if the length is not known.

        If it is, there is no place for trailers (RFC 9112 §6.2).
        """
        if not self._is_chunked:
            return payload
        chunk = b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""
        return chunk + last_chunk(self.trailers) if self.is_done else chunk
