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
from gateway.http2.hpack import NO_TABLE, OVERHEAD, Decoder, encode_field

GET = b"".join(
    encode_field(*field)
    for field in [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
)


TRACE = b"00-0af7651916cd43dd8448eb211c80319c-%016x-01"
TRACED = b"GET /x?y HTTP/1.1\r\nHost: a\r\nTraceparent: " + TRACE % 1 + b"\r\nAccept: */*\r\n\r\n"
LIST = 4 * OVERHEAD + len(":methodGET:schemehttp:path/:authoritya")
"""What GET is as a list."""


def stateless(memo: BlockMemo, list_bytes: int = 65536) -> BlockReader:
    """A reader of a peer that has no table."""
    reader = BlockReader(list_bytes, memo)
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


def test_requests_that_differ_in_their_trace_alone_have_one_head() -> None:
    memo = BlockMemo()
    reader = stateless(memo)
    found = [
        reader.traced_request(request_block(TRACED.replace(TRACE % 1, TRACE % span), b"http")) for span in (1, 2, 3)
    ]
    assert [traceparent for _, traceparent in found] == [TRACE % 1, TRACE % 2, TRACE % 3]
    assert len({id(head) for head, _ in found}) == 1
    assert found[0][0].text(True) == b"GET /x?y HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n"
    assert len(memo.requests) == 1


LAST = encode_field(b"traceparent", TRACE % 1)


@pytest.mark.parametrize(
    ("block", "lines"),
    [
        (GET + LAST + encode_field(b"a", b"b"), b"\r\ntraceparent: " + TRACE % 1 + b"\r\na: b"),
        (GET + encode_field(b"tracestate", b"a=1") + LAST, b"\r\ntracestate: a=1\r\ntraceparent: " + TRACE % 1),
        (GET + LAST + LAST, (b"\r\ntraceparent: " + TRACE % 1) * 2),
        (GET + encode_field(b"traceparent", b"00" + b"0" * 53), b"\r\ntraceparent: 00" + b"0" * 53),
        (GET + encode_field(b"traceparent", b"ff" + TRACE[2:] % 1), b"\r\ntraceparent: ff" + TRACE[2:] % 1),
        (GET + encode_field(b"x-traceparent", TRACE % 1), b"\r\nx-traceparent: " + TRACE % 1),
    ],
    ids=["not the last", "with its state", "two", "not one", "of a later version", "another field"],
)
def test_any_other_trace_is_a_field_like_others(block: bytes, lines: bytes) -> None:
    for _ in range(2):
        head, traceparent = stateless(BlockMemo()).traced_request(block)
        assert (head.lines, traceparent) == (lines, b"")


def test_a_peer_with_a_table_is_read_in_its_order() -> None:
    reader = BlockReader(65536, BlockMemo())
    head, traceparent = reader.traced_request(GET + LAST)
    assert (head.lines, traceparent) == (b"\r\ntraceparent: " + TRACE % 1, b"")


def test_the_end_of_a_value_that_looks_like_a_trace_is_no_field() -> None:
    """It ends a stream at the most, and not the connection, on which there may be others' requests."""
    with pytest.raises(Malformed):
        stateless(BlockMemo()).traced_request(GET + b"\x00\x01a" + bytes((len(LAST),)) + LAST)
    # A value in Huffman's code whose bytes are those of a field: a client that knows this can write it.
    value = encode_field(b"traceparent", b"00-05805975ed2f89d94a2f20aaf3c64af7-d66b829e6a8ac4ba-97")
    head, traceparent = stateless(BlockMemo()).traced_request(GET + b"\x00\x01a" + bytes((0x80 | len(value),)) + value)
    assert (head.lines[:14], traceparent) == (b"\r\na: 00eBadF/Q", b"")


def test_a_trace_counts_in_the_list() -> None:
    size = LIST + len("traceparent") + 55 + OVERHEAD
    assert stateless(BlockMemo(), size).traced_request(GET + LAST)[1] == TRACE % 1
    reader = stateless(BlockMemo(), size - 1)
    for _ in range(2):
        with pytest.raises(Malformed) as caught:
            reader.traced_request(GET + LAST)
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


PLAIN = b"POST /seldom HTTP/1.1\r\nHost: seldom\r\nAccept: seldom\r\ntraceparent: %b\r\nVia: 2 a\r\n\r\n"


def test_a_head_of_http_1_1_is_kept_without_its_trace_once_all_its_lines_are_known() -> None:
    blocks._REQUESTS[b"http"].clear()
    found = [request_block(PLAIN % (TRACE % span), b"http", b"", True) for span in (1, 2, 3)]
    assert list(blocks._REQUESTS[b"http"]) == [PLAIN.replace(b"traceparent: %b\r\n", b"")]
    assert [Decoder(65536).decode(block) for block in found] == [
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":authority", b"seldom"),
            (b":path", b"/seldom"),
            (b"accept", b"seldom"),
            (b"via", b"2 a"),
            (b"te", b"trailers"),
            (b"traceparent", TRACE % span),
        ]
        for span in (1, 2, 3)
    ]
    # The trace is the last field, so that whoever reads it knows the head again.
    reader = stateless(BlockMemo())
    assert len({id(reader.traced_request(block)[0]) for block in found}) == 1


def test_what_is_kept_for_a_head_is_for_one_scheme() -> None:
    for scheme in (b"http", b"https", b"http", b"https", b"http"):
        assert (b":scheme", scheme) in Decoder(65536).decode(request_block(PLAIN % (TRACE % 1), scheme))


@pytest.mark.parametrize(
    ("value", "last"),
    [
        (b"00-0\r\nx: " + b"a" * 46, [(b"traceparent", b"00-0"), (b"x", b"a" * 46), (b"via", b"2 a")]),
        (b" " + TRACE[1:] % 1, [(b"traceparent", TRACE[1:] % 1), (b"via", b"2 a")]),
        (TRACE[:-1] % 1 + b"\t", [(b"traceparent", TRACE[:-1] % 1), (b"via", b"2 a")]),
        (TRACE % 1 + b"-more", [(b"traceparent", TRACE % 1 + b"-more"), (b"via", b"2 a")]),
    ],
    ids=["another line in its place", "white space before it", "white space behind it", "longer"],
)
def test_what_is_no_trace_is_not_taken_for_one(value: bytes, last: list[tuple[bytes, bytes]]) -> None:
    for _ in range(3):
        assert Decoder(65536).decode(request_block(PLAIN % value, b"http"))[5:] == last


@pytest.mark.parametrize(
    "line",
    [b"cookie: a=1", b"authorization: Basic s3cret", b"x: " + b"y" * LONGEST_BLOCK],
    ids=["a cookie", "credentials", "a long one"],
)
def test_which_heads_of_http_1_1_are_never_kept(line: bytes) -> None:
    blocks._REQUESTS[b"http"].clear()
    for _ in range(3):
        request_block(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n", b"http")
        request_block(b"GET /?a=s3cret HTTP/1.1\r\nHost: a\r\n\r\n", b"http")
    assert blocks._REQUESTS[b"http"] == {}


def test_the_heads_of_http_1_1_that_are_kept_are_bounded() -> None:
    for number in range(MAX_BLOCKS + 1):
        for _ in range(2):
            request_block(b"GET / HTTP/1.1\r\nHost: a\r\nn: %d\r\n\r\n" % number, b"http")
    assert 0 < len(blocks._REQUESTS[b"http"]) <= MAX_BLOCKS


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
