"""Where a request's body ends: nothing that two parsers could read in two ways is forwarded."""

from __future__ import annotations

import pytest

from tests.support.hostile import (
    CHUNKED,
    GET,
    NEXT,
    POST,
    assert_body_refused,
    assert_forwarded,
    assert_nothing_completed,
    assert_refused,
    both_ways,
    connect,
    deliver,
    ended,
    reset,
)
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

CL = b"Content-Length: "
TE = b"Transfer-Encoding: "
LAST = b"0\r\n\r\n"
HELLO = b"5\r\nhello\r\n" + LAST


@both_ways
@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(POST + CL + b"5\r\n" + TE + b"chunked\r\n\r\n" + LAST, 400, id="row 1: CL.TE"),
        pytest.param(POST + CL + b"0\r\n" + TE + b"chunked\r\n\r\n" + LAST, 400, id="row 1: CL.TE with CL 0"),
        pytest.param(POST + TE + b"chunked\r\n" + CL + b"5\r\n\r\n" + LAST, 400, id="row 2: TE.CL"),
        pytest.param(POST + TE + b"chunked\r\n" + TE + b"identity\r\n\r\n" + LAST, 400, id="row 3: chunked, identity"),
        pytest.param(POST + TE + b"identity\r\n" + TE + b"chunked\r\n\r\n" + LAST, 400, id="row 3: identity, chunked"),
        pytest.param(POST + TE + b"\r\n\r\n" + LAST, 400, id="row 4: TE empty"),
        pytest.param(POST + TE + b",chunked\r\n\r\n" + LAST, 400, id="row 4: TE led by a comma"),
        pytest.param(POST + TE + b"chunked,\r\n\r\n" + LAST, 400, id="row 4: TE ended by a comma"),
        pytest.param(POST + TE + b"\r\n" + TE + b"chunked\r\n\r\n" + LAST, 400, id="row 4: TE empty, then chunked"),
        pytest.param(POST + TE + b"xchunked\r\n\r\n" + LAST, 501, id="row 4: xchunked"),
        pytest.param(POST + TE + b'"chunked"\r\n\r\n' + LAST, 501, id="row 4: chunked in quotes"),
        pytest.param(POST + TE + b"identity\r\n\r\n", 501, id="row 4: identity alone"),
        pytest.param(POST + TE + b"\x0bchunked\r\n\r\n" + LAST, 400, id="row 4: VT before chunked"),
        pytest.param(POST + TE + b"chunked\x0b\r\n\r\n" + LAST, 400, id="row 4: VT behind chunked"),
        pytest.param(POST + TE + b"gzip, chunked\r\n\r\n" + LAST, 501, id="row 5: gzip, chunked"),
        pytest.param(
            POST + TE + b"gzip\r\n" + TE + b"chunked\r\n\r\n" + LAST, 501, id="row 5: gzip, chunked on two lines"
        ),
        pytest.param(POST + TE + b"chunked, gzip\r\n\r\n" + LAST, 400, id="row 6: chunked is not the last"),
        pytest.param(
            POST + TE + b"chunked\r\n" + TE + b"gzip\r\n\r\n" + LAST, 400, id="row 6: not the last, two lines"
        ),
        pytest.param(POST + TE + b"chunked, chunked\r\n\r\n" + LAST, 400, id="row 7: chunked twice"),
        pytest.param(POST + TE + b"chunked\r\n" + TE + b"chunked\r\n\r\n" + LAST, 400, id="row 7: twice, two lines"),
        pytest.param(
            b"POST /A/x HTTP/1.0\r\nHost: x\r\n" + TE + b"chunked\r\n\r\n" + LAST, 400, id="row 8: TE on HTTP/1.0"
        ),
        pytest.param(
            b"POST /A/x HTTP/1.0\r\nConnection: keep-alive\r\n" + TE + b"chunked\r\n\r\n" + LAST,
            400,
            id="row 8: TE on a kept HTTP/1.0 connection",
        ),
        pytest.param(POST + b"Transfer-Encoding : chunked\r\n\r\n" + LAST, 400, id="row 9: space before the colon"),
        pytest.param(POST + b"Transfer-Encoding\t: chunked\r\n\r\n" + LAST, 400, id="row 9: TAB before the colon"),
        pytest.param(POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + LAST, 400, id="row 10: TE by obs-fold"),
        pytest.param(POST + TE + b"x\r\n\tchunked\r\n\r\n" + LAST, 400, id="row 10: TE continued by obs-fold"),
        pytest.param(POST + CL + b"5\r\n" + CL + b"5\r\n\r\nhello", 400, id="row 12: CL twice, the same"),
        pytest.param(POST + CL + b"5\r\n" + CL + b"6\r\n\r\nhello", 400, id="row 13: CL twice, different"),
        pytest.param(POST + CL + b"5, 5\r\n\r\nhello", 400, id="row 14: CL 5, 5"),
        pytest.param(POST + CL + b"5,6\r\n\r\nhello", 400, id="row 14: CL 5,6"),
        pytest.param(POST + CL + b"+5\r\n\r\nhello", 400, id="row 15: CL +5"),
        pytest.param(POST + CL + b"-5\r\n\r\nhello", 400, id="row 15: CL -5"),
        pytest.param(POST + CL + b"0x5\r\n\r\nhello", 400, id="row 15: CL 0x5"),
        pytest.param(POST + CL + b"0_5\r\n\r\nhello", 400, id="row 15: CL 0_5"),
        pytest.param(POST + CL + b"\r\n\r\nhello", 400, id="row 15: CL empty"),
        pytest.param(POST + CL + b"5 5\r\n\r\nhello", 400, id="row 15: CL 5 5"),
        pytest.param(POST + CL + b"5.0\r\n\r\nhello", 400, id="row 15: CL 5.0"),
        pytest.param(POST + CL + b"\xb2\r\n\r\nhello", 400, id="row 15: CL superscript two in Latin-1"),
        pytest.param(POST + CL + "٥\r\n\r\nhello".encode(), 400, id="row 15: CL Arabic-Indic five in UTF-8"),
        pytest.param(POST + CL + b"18446744073709551621\r\n\r\nhello", 400, id="row 16: CL 2^64+5"),
        pytest.param(POST + CL + b"4294967296000000005\r\n\r\nhello", 400, id="row 16: CL of 19 digits"),
    ],
)
async def test_an_unsound_length_is_refused(proxy: Proxy, origin: Origin, data: bytes, status: int, piece: int) -> None:
    await assert_refused(proxy, origin, data, status, piece)


@both_ways
@pytest.mark.parametrize(
    "field",
    [
        pytest.param(b"Transfer_Encoding: chunked", id="row 11: Transfer_Encoding"),
        pytest.param(b"transfer.encoding: chunked", id="row 11: transfer.encoding"),
        pytest.param(b"Content_Length: 5", id="row 11: Content_Length"),
    ],
)
async def test_a_twin_of_a_framing_field_is_dropped(proxy: Proxy, origin: Origin, field: bytes, piece: int) -> None:
    await assert_forwarded(proxy, origin, GET + field + b"\r\n\r\n", [b"GET /x HTTP/1.1", b"Host: x"], piece=piece)


@both_ways
@pytest.mark.parametrize(
    "digits", [pytest.param(b"05", id="row 17: CL 05"), pytest.param(b"000000000000000005", id="row 17: CL of zeros")]
)
async def test_a_length_is_forwarded_in_canonical_form(proxy: Proxy, origin: Origin, digits: bytes, piece: int) -> None:
    data = POST + CL + digits + b"\r\n\r\nhello"
    lines = [b"POST /x HTTP/1.1", b"Host: x", b"Content-Length: 5"]
    await assert_forwarded(proxy, origin, data, lines, b"hello", piece)


@both_ways
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"5;a=b\r\nhello\r\n" + LAST, id="row 18: name and value"),
        pytest.param(b'5;a="b c";d\r\nhello\r\n' + LAST, id="row 18: quoted"),
        pytest.param(b"5 ;a\r\nhello\r\n" + LAST, id="row 18: white space before the semicolon"),
        pytest.param(b"5 ;\ta = b ;c\r\nhello\r\n" + LAST, id="row 18: white space in an extension"),
        pytest.param(b"5\r\nhello\r\n0;last=1\r\n\r\n", id="row 18: on the last chunk"),
        pytest.param(b"0005\r\nhello\r\n000\r\n\r\n", id="row 18: leading zeros"),
        pytest.param(b"5\r\nhello\r\n0\r\nX-Gray-Tag: gray\r\n\r\n", id="row 26: the tag in a trailer"),
        pytest.param(b"5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n", id="row 26: Content-Length in a trailer"),
        pytest.param(b"5\r\nhello\r\n0\r\nHost: evil\r\n\r\n", id="row 26: Host in a trailer"),
        pytest.param(b"5\r\nhello\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n", id="row 26: TE in a trailer"),
    ],
)
async def test_chunks_are_forwarded_in_canonical_form(proxy: Proxy, origin: Origin, body: bytes, piece: int) -> None:
    """Extensions go no further, and no trailer that is none: a tag in a trailer is read by nobody."""
    lines = [b"POST /x HTTP/1.1", b"Host: x", b"Transfer-Encoding: chunked"]
    answer = await assert_forwarded(proxy, origin, CHUNKED + body, lines, HELLO, piece)
    assert answer.body == b"base POST /x"


@both_ways
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"5;\r\nhello\r\n" + LAST, id="row 18: an extension without a name"),
        pytest.param(b"5;;a\r\nhello\r\n" + LAST, id="row 18: an empty extension before another"),
        pytest.param(b"5;a=\r\nhello\r\n" + LAST, id="row 18: an extension without its value"),
        pytest.param(b"5;(a)\r\nhello\r\n" + LAST, id="row 18: a name that is no token"),
        pytest.param(b"5;a=b c\r\nhello\r\n" + LAST, id="row 18: a value that is no token"),
        pytest.param(b'5;a="b\r\nhello\r\n' + LAST, id="row 18: an open quote"),
        pytest.param(b"5\r\nhello\r\n0;\r\n\r\n", id="row 18: an extension without a name on the last chunk"),
        pytest.param(b"5;a=b\nhello\r\n" + LAST, id="row 20: extension ends with a bare LF"),
        pytest.param(b"5;a=\rb\r\nhello\r\n" + LAST, id="row 20: bare CR in an extension"),
        pytest.param(b"5\nhello\r\n" + LAST, id="row 21: size ends with a bare LF"),
        pytest.param(b"5\r\nhello\r\n0\n\r\n", id="row 21: last size ends with a bare LF"),
        pytest.param(b"5\r\nhello\n" + LAST, id="row 22: data ends with a bare LF"),
        pytest.param(b"5\r\nhello\r\n0\r\n\n", id="row 22: body ends with a bare LF"),
        pytest.param(b"00000000000000005\r\nhello\r\n" + LAST, id="row 23: 17 digits, small"),
        pytest.param(b"10000000000000005\r\nhello\r\n" + LAST, id="row 23: 17 digits, 2^64+5"),
        pytest.param(b"0x5\r\nhello\r\n" + LAST, id="row 23: 0x5"),
        pytest.param(b"+5\r\nhello\r\n" + LAST, id="row 23: +5"),
        pytest.param(b"-5\r\nhello\r\n" + LAST, id="row 23: -5"),
        pytest.param(b"0_5\r\nhello\r\n" + LAST, id="row 23: 0_5"),
        pytest.param(b" 5\r\nhello\r\n" + LAST, id="row 23: leading space"),
        pytest.param(b"\r\nhello\r\n" + LAST, id="row 23: empty"),
        pytest.param(b";a=b\r\nhello\r\n" + LAST, id="row 23: nothing but an extension"),
        pytest.param(b"5\r\nhello\r\nzz\r\n", id="row 23: second size is not hexadecimal"),
        pytest.param(b"5 \r\nhello\r\n" + LAST, id="row 24: trailing space"),
        pytest.param(b"5\t\r\nhello\r\n" + LAST, id="row 24: trailing TAB"),
        pytest.param(b"5;a \r\nhello\r\n" + LAST, id="row 24: trailing space behind an extension"),
        pytest.param(b"5\r\nhello\r\n0 \r\n\r\n", id="row 24: trailing space on the last chunk"),
        pytest.param(b"5\r\nhelloXX\r\n" + LAST, id="row 25: two bytes more than the size"),
        pytest.param(b"5\r\nhelloXX" + LAST, id="row 25: more than the size, and no line end"),
        pytest.param(b"5\r\nhel\r\n" + LAST, id="row 25: less than the size"),
        pytest.param(b"5\r\nhello\r\n0\r\nX : 1\r\n\r\n", id="row 26: malformed trailer"),
        pytest.param(b"5\r\nhello\r\n0\r\n X: 1\r\n\r\n", id="row 26: folded trailer"),
    ],
)
async def test_a_malformed_chunked_body_is_refused(proxy: Proxy, origin: Origin, body: bytes, piece: int) -> None:
    await assert_body_refused(proxy, origin, CHUNKED + body, piece)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"5;a=" + b"b" * 65536 + b"\r\nhello\r\n" + LAST, id="row 19: one extension of 64 KiB"),
        pytest.param((b"1;" + b"e" * 1000 + b"\r\nx\r\n") * 20 + LAST, id="row 19: 20 extensions of 1 KB"),
        pytest.param(HELLO[:-2] + b"X: aaaaaaaa\r\n" * 2000 + b"\r\n", id="row 26: 24 KB of trailers"),
    ],
)
@pytest.mark.parametrize("piece", [pytest.param(0, id="whole"), pytest.param(1000, id="in pieces")])
async def test_what_is_dropped_from_a_body_is_bounded(proxy: Proxy, origin: Origin, body: bytes, piece: int) -> None:
    client = await connect(proxy)
    await deliver(client, CHUNKED + body + NEXT, piece)
    answer = await client.answer()
    assert (answer.status, answer.header("connection")) == (400, "close")
    await ended(client)
    await assert_nothing_completed(origin)


@pytest.mark.parametrize("leave", ["close", "reset", "half-close"])
@pytest.mark.parametrize(
    ("head", "part"),
    [
        pytest.param(POST + b"Content-Length: 10\r\n\r\n", b"hello", id="row 27: mid-body, CL"),
        pytest.param(CHUNKED, b"a\r\nhello", id="row 27: mid-chunk"),
        pytest.param(CHUNKED, b"5\r\nhello\r\n", id="row 27: between chunks"),
        pytest.param(CHUNKED, b"5\r\nhello\r\n0\r\n", id="row 27: before the end of the trailers"),
    ],
)
async def test_a_body_that_the_client_leaves_is_never_completed(
    proxy: Proxy, origin: Origin, head: bytes, part: bytes, leave: str
) -> None:
    client = await proxy.connect()
    await client.send(head + part)
    await until(lambda: origin.received and b"hello" in origin.received[0], "the first part at the origin")
    if leave == "close":
        client.close()
    elif leave == "reset":
        reset(client)
    else:
        client.writer.write_eof()
        await ended(client)
    await assert_nothing_completed(origin)
    assert origin.unfinished == 1
    assert proxy.traffic.exchanges["a"]["base"].statuses == {499: 1}
