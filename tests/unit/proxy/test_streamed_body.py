"""The body of a request that comes on a stream: as data, and as the chunks that an instance of HTTP/1 gets."""

from __future__ import annotations

import pytest

from gateway.http.request import CHUNKED
from gateway.proxy.streamed_body import StreamedBody


def test_its_end_is_what_the_stream_says() -> None:
    body = StreamedBody(CHUNKED, 100.0)
    assert body.begin(b"", 0) == 0
    assert body.take(b"hello", 0, 101.0) == (b"hello", 5)
    assert (body.is_done, body.received, body.heard_at, body.is_framed) == (False, 5, 101.0, False)
    body.has_ended = True
    assert body.take(b"", 0, 102.0) == (b"", 0)
    assert body.is_done


@pytest.mark.parametrize(
    ("length", "payload", "ends", "framed"),
    [
        (CHUNKED, b"hello", False, b"5\r\nhello\r\n"),
        (CHUNKED, b"hello", True, b"5\r\nhello\r\n0\r\n\r\n"),
        (CHUNKED, b"", True, b"0\r\n\r\n"),
        (CHUNKED, b"", False, b""),
        (5, b"hello", True, b"hello"),
        (5, b"", True, b""),
    ],
)
def test_what_an_instance_gets(length: int, payload: bytes, ends: bool, framed: bytes) -> None:
    body = StreamedBody(length, 100.0)
    body.has_ended = ends
    body.take(payload, 0, 100.0)
    assert body.framed(payload) == framed
