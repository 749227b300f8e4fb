"""The chunked coding: every case whole, byte by byte and with bytes behind it (h11's `tr`)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.http.chunked import MAX_EXTRA, ChunkedReader, last_chunk


def read_whole(data: bytes, decode: bool = False) -> tuple[bytes, bytes, bool]:
    reader = ChunkedReader(decode)
    out, rest = reader.feed(data)
    return out, rest, reader.is_done


def read_bytewise(data: bytes, decode: bool = False) -> tuple[bytes, bytes, bool]:
    reader = ChunkedReader(decode)
    out = b""
    for position in range(len(data)):
        if reader.is_done:
            return out, data[position:], True
        piece, rest = reader.feed(data[position : position + 1])
        out += piece
        assert rest == b""
    return out, b"", reader.is_done


# What comes out is as it went in, the last chunk apart.
ACCEPTED = [
    pytest.param(b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n", b"hello", id="plain"),
    pytest.param(b"0\r\n\r\n", b"", b"", id="empty"),
    pytest.param(b"005\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n", b"hello", id="leading zeros go"),
    pytest.param(b"5;a=b;c\r\nhello\r\n0;x\r\n\r\n", b"5\r\nhello\r\n", b"hello", id="extensions go"),
    pytest.param(b"5 ;a\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n", b"hello", id="white space before an extension"),
    pytest.param(
        b'5 ;\ta = b; c\t;d="e;\\"\xff" ;f=g\r\nhello\r\n0\r\n\r\n',
        b"5\r\nhello\r\n",
        b"hello",
        id="white space in an extension, and quotes",
    ),
    pytest.param(b"A\r\n0123456789\r\n0\r\n\r\n", b"a\r\n0123456789\r\n", b"0123456789", id="upper-case hex"),
    pytest.param(
        b"1\r\na\r\n0\r\nX-Gray-Tag: gray\r\nContent-Length: 3\r\n\r\n", b"1\r\na\r\n", b"a", id="trailers apart"
    ),
]


@pytest.mark.parametrize("tail", [b"", b"GET / HTTP/1.1\r\n"])
@pytest.mark.parametrize(("data", "canonical", "decoded"), ACCEPTED)
def test_accepted(data: bytes, canonical: bytes, decoded: bytes, tail: bytes) -> None:
    assert read_whole(data + tail) == (canonical, tail, True)
    assert read_bytewise(data + tail) == (canonical, tail, True)
    assert read_whole(data + tail, decode=True) == (decoded, tail, True)
    assert read_bytewise(data + tail, decode=True) == (decoded, tail, True)


def test_trailers_are_lines() -> None:
    for decode in (False, True):
        reader = ChunkedReader(decode)
        reader.feed(b"1\r\na\r\n0;x\r\nX: 1\r\nhost:b \r\n")
        reader.feed(b"y:\r\n\r\n")
        assert reader.trailers == b"\r\nX: 1\r\nhost:b \r\ny:"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"5\nhello\r\n0\r\n\r\n", id="size ends with a bare LF"),
        pytest.param(b"5;a\nhello\r\n0\r\n\r\n", id="extension ends with a bare LF"),
        pytest.param(b"5\r\nhello\n0\r\n\r\n", id="data ends with a bare LF"),
        pytest.param(b"0\r\n\n", id="body ends with a bare LF"),
        pytest.param(b"5\r\nhelloworld\r\n0\r\n\r\n", id="data longer than its size"),
        pytest.param(b"0x5\r\nhello\r\n", id="0x5"),
        pytest.param(b"+5\r\nhello\r\n", id="+5"),
        pytest.param(b"-5\r\nhello\r\n", id="-5"),
        pytest.param(b"0_5\r\nhello\r\n", id="0_5"),
        pytest.param(b" 5\r\nhello\r\n", id="leading space"),
        pytest.param(b"5 \r\nhello\r\n", id="trailing space"),
        pytest.param(b"5\t\r\nhello\r\n", id="trailing TAB"),
        pytest.param(b"\t5\r\nhello\r\n", id="leading TAB"),
        pytest.param(b"5;\r\nhello\r\n", id="empty extension"),
        pytest.param(b"5 ; \r\nhello\r\n", id="extension of white space"),
        pytest.param(b"5;a;\r\nhello\r\n", id="empty second extension"),
        pytest.param(b"5;a \r\nhello\r\n", id="white space behind an extension"),
        pytest.param(b"5;a b\r\nhello\r\n", id="extension of two words"),
        pytest.param(b"5;a=\r\nhello\r\n", id="extension without its value"),
        pytest.param(b"5;=b\r\nhello\r\n", id="extension without its name"),
        pytest.param(b"5;(a)\r\nhello\r\n", id="extension that is no token"),
        pytest.param(b"5;a=b c\r\nhello\r\n", id="value that is no token"),
        pytest.param(b'5;a="b\r\nhello\r\n', id="value with an open quote"),
        pytest.param(b'5;a="b"c\r\nhello\r\n', id="something behind a quoted value"),
        pytest.param(b"5;\xc3\xa4\r\nhello\r\n", id="extension that is not ASCII"),
        pytest.param(b"5;a=\x01\r\nhello\r\n", id="control character in an extension"),
        pytest.param(b"0;\r\n\r\n", id="empty extension of the last chunk"),
        pytest.param(b"\r\nhello\r\n", id="empty size"),
        pytest.param(b"11111111111111111\r\n", id="17 digits"),
        pytest.param(b"5;" + b"a" * 65536 + b"\r\nhello\r\n", id="64 KiB extension"),
        pytest.param((b"1;" + b"a" * 4000 + b"\r\na\r\n") * (MAX_EXTRA // 4000 + 1), id="many extensions"),
        pytest.param(b"0\r\nX : a\r\n\r\n", id="malformed trailer"),
        pytest.param(b"0\r\n" + b"X: aaaaaaaaaa\r\n" * 2000 + b"\r\n", id="endless trailers"),
    ],
)
def test_refused(data: bytes) -> None:
    for read in (read_whole, read_bytewise):
        with pytest.raises(ProtocolError) as error:
            read(data)
        assert error.value.failure.code == "bad_chunk"


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_any_split_gives_the_same(chunks: list[bytes], cuts: list[int]) -> None:
    """However the network cuts the body up, the same bytes come out."""
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    reader = ChunkedReader()
    out = b""
    position = 0
    turn = 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        piece, rest = reader.feed(data[position : position + size])
        out += piece
        assert rest == b""
        position += size
        turn += 1
    assert reader.is_done
    assert out + last_chunk(reader.trailers) == data


@given(st.binary(max_size=200))
def test_garbage_is_read_or_refused(data: bytes) -> None:
    """Nothing but the declared error ever comes out."""
    with contextlib.suppress(ProtocolError):
        ChunkedReader().feed(data)
