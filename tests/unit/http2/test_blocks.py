"""Blocks: what is remembered of them and what never is, and heads of HTTP/1.1 as blocks."""

from __future__ import annotations

import pytest

from gateway.http2 import blocks
from gateway.http2.blocks import (
    LONGEST_BLOCK,
    MAX_BLOCKS,
    BlockMemo,
    BlockReader,
    request_block,
    response_block,
    trailers_block,
)
from gateway.http2.errors import Malformed
from gateway.http2.hpack import NO_TABLE, Decoder, encode_field

GET = b"".join(
    encode_field(*field)
    for field in [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
)


def stateless(memo: BlockMemo) -> BlockReader:
    """A reader of a peer that has no table."""
    reader = BlockReader(65536, memo)
    reader.request(NO_TABLE + GET)
    reader.decoder.limit = 0
    return reader


def test_a_block_that_was_seen_before_is_not_read_again_whoever_sends_it() -> None:
    memo = BlockMemo()
    assert stateless(memo).request(GET) is stateless(memo).request(GET)
    assert list(memo.requests) == [GET]


@pytest.mark.parametrize(
    "block",
    [
        GET + encode_field(b"cookie", b"a=1"),
        GET + encode_field(b"authorization", b"x"),
        GET + encode_field(b"a", b"x" * LONGEST_BLOCK),
    ],
    ids=["a cookie", "credentials", "a long one"],
)
def test_what_is_never_remembered(block: bytes) -> None:
    memo = BlockMemo()
    stateless(memo).request(block)
    assert memo.requests == {}


def test_nothing_is_remembered_of_a_peer_with_a_table() -> None:
    """The same bytes say something else the next time."""
    memo = BlockMemo()
    reader = BlockReader(65536, memo)
    reader.request(GET + b"\x40\x01a\x01b")
    assert reader.request(GET + b"\xbe").lines == b"\r\na: b"
    reader.request(GET + b"\x40\x01c\x01d")
    assert reader.request(GET + b"\xbe").lines == b"\r\nc: d"
    assert memo.requests == {}


def test_what_is_remembered_is_bounded() -> None:
    memo = BlockMemo()
    reader = stateless(memo)
    for number in range(MAX_BLOCKS + 1):
        reader.request(GET + encode_field(b"n", b"%d" % number))
    assert len(memo.requests) == 1


def test_responses_are_remembered_too_and_their_cookies_are_not() -> None:
    memo = BlockMemo()
    reader = stateless(memo)
    assert reader.response(b"\x88") is reader.response(b"\x88")
    assert not reader.response(b"\x88" + encode_field(b"set-cookie", b"a=1")).is_plain
    assert list(memo.responses) == [b"\x88"]


def test_a_list_that_is_too_large_is_no_message_and_says_so() -> None:
    reader = BlockReader(100, BlockMemo())
    with pytest.raises(Malformed) as caught:
        reader.request(GET)
    assert caught.value.is_too_large


def test_a_request_of_http_1_1_is_a_block() -> None:
    head = (
        b"POST /a?b HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nX-Y:  z \r\nConnection: Upgrade\r\nTE: trailers\r\n"
        b"Transfer-Encoding: chunked\r\nKeep-Alive: 5\r\nUpgrade: x\r\nCookie: a=1\r\n\r\n"
    )
    for _ in range(2):
        assert Decoder(65536).decode(request_block(head, b"https")) == [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", b"a.example"),
            (b":path", b"/a?b"),
            (b"accept", b"*/*"),
            (b"x-y", b"z"),
            (b"cookie", b"a=1"),
        ]


def test_a_response_of_http_1_1_is_a_block() -> None:
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\nSet-Cookie: a=1\r\n\r\n"
    for _ in range(2):
        assert Decoder(65536).decode(response_block(head)) == [
            (b":status", b"404"),
            (b"content-length", b"0"),
            (b"set-cookie", b"a=1"),
        ]


def test_trailers_are_a_block() -> None:
    assert Decoder(65536).decode(trailers_block(b"\r\nGrpc-Status: 0\r\na: ")) == [(b"grpc-status", b"0"), (b"a", b"")]


def test_secrets_are_not_among_the_lines_that_are_remembered() -> None:
    request_block(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic s3cret\r\nCookie: s3cret\r\n\r\n", b"http")
    response_block(b"HTTP/1.1 200 OK\r\nSet-Cookie: s3cret\r\n\r\n")
    assert not [line for line in blocks._LINES if b"s3cret" in line]
