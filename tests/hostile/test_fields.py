"""Field lines: only `name: value` with a token, visible characters and CRLF passes, and that to the byte."""

from __future__ import annotations

import pytest

from tests.support.hostile import GET, assert_forwarded, assert_refused, both_ways
from tests.support.origin import Origin
from tests.support.proxy import Proxy

LINE = b"GET /A/x HTTP/1.1\r\n"


@both_ways
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /A/x HTTP/1.1\nHost: x\n\n", id="row 28: bare LF in the whole head"),
        pytest.param(b"GET /A/x HTTP/1.1\nHost: x\r\n\r\n", id="row 28: bare LF behind the request line"),
        pytest.param(LINE + b"Host: x\nX: a\r\n\r\n", id="row 28: bare LF behind a field"),
        pytest.param(LINE + b"Host: x\n\r\n", id="row 28: bare LF behind the last field"),
        pytest.param(LINE + b"Host: x\r\n\n", id="row 28: bare LF as the empty line"),
        pytest.param(LINE + b"Host: x\r\nX: a\n\nGET /A/y HTTP/1.1\r\n\r\n", id="row 28: two bare LFs in a value"),
        pytest.param(GET + b"X: a\rb\r\n\r\n", id="row 29: bare CR in a value"),
        pytest.param(GET + b"X: a\r\r\n\r\n", id="row 29: bare CR at the end of a value"),
        pytest.param(GET + b"X: a\rx-gray-tag: gray\r\n\r\n", id="row 29: bare CR before a field"),
        pytest.param(GET + b"X\r: a\r\n\r\n", id="row 29: bare CR in a name"),
        pytest.param(GET + b"\rX: a\r\n\r\n", id="row 29: bare CR before a name"),
        pytest.param(b"GET /A/x HTTP/1.1\rHost: x\r\n\r\n", id="row 29: bare CR behind the request line"),
        pytest.param(GET + b"X: a\0b\r\n\r\n", id="row 30: NUL in a value"),
        pytest.param(GET + b"X: \0\r\n\r\n", id="row 30: NUL as the value"),
        pytest.param(GET + b"X\0Y: a\r\n\r\n", id="row 30: NUL in a name"),
        pytest.param(GET + b"\0: a\r\n\r\n", id="row 30: NUL as the name"),
        pytest.param(LINE + b"Host: x\0y\r\n\r\n", id="row 30: NUL in the host"),
        *[
            pytest.param(GET + b"X: a%cb\r\n\r\n" % code, id=f"row 31: control character {code:#04x}")
            for code in (*range(1, 9), 11, 12, *range(14, 32), 127)
        ],
        pytest.param(GET + b"X: a\r\n b\r\n\r\n", id="row 33: obs-fold with a space"),
        pytest.param(GET + b"X: a\r\n\tb\r\n\r\n", id="row 33: obs-fold with a TAB"),
        pytest.param(GET + b"X: a\r\n \r\n\r\n", id="row 33: obs-fold of nothing"),
        pytest.param(LINE + b"Host: x\r\n y\r\n\r\n", id="row 33: obs-fold in the host"),
        pytest.param(GET + b"Content-Length: 5\r\n 0\r\n\r\nhello", id="row 33: obs-fold in the length"),
        pytest.param(LINE + b" Host: x\r\n\r\n", id="row 34: first field starts with a space"),
        pytest.param(LINE + b"\tX: a\r\nHost: x\r\n\r\n", id="row 34: first field starts with a TAB"),
        pytest.param(LINE + b" \r\nHost: x\r\n\r\n", id="row 34: first field is a space"),
        pytest.param(GET + b": a\r\n\r\n", id="row 35: empty name"),
        pytest.param(GET + b"X Y: a\r\n\r\n", id="row 35: space in a name"),
        pytest.param(GET + b"X\tY: a\r\n\r\n", id="row 35: TAB in a name"),
        pytest.param(GET + b"NoColon\r\n\r\n", id="row 36: no colon"),
        pytest.param(GET + b"X(A): a\r\n\r\n", id="row 36: parentheses in a name"),
        pytest.param(GET + b"X\xff: a\r\n\r\n", id="row 36: 0xFF in a name"),
        pytest.param(GET + "Ü: a\r\n\r\n".encode(), id="row 36: UTF-8 in a name"),
        *[
            pytest.param(GET + b"X%cA: a\r\n\r\n" % code, id=f"row 36: {chr(code)} in a name")
            for code in b'"),/;<=>?@[\\]{}'
        ],
        pytest.param(LINE + b"Host : x\r\n\r\n", id="row 37: space before the colon of Host"),
        pytest.param(GET + b"X : a\r\n\r\n", id="row 37: space before the colon"),
        pytest.param(GET + b"X\t: a\r\n\r\n", id="row 37: TAB before the colon"),
        pytest.param(GET + b"Content-Length : 5\r\n\r\nhello", id="row 37: space before the colon of the length"),
    ],
)
async def test_a_malformed_field_is_refused(proxy: Proxy, origin: Origin, data: bytes, piece: int) -> None:
    await assert_refused(proxy, origin, data, 400, piece)


@both_ways
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(bytes(range(0x80, 0x100)), id="row 32: every byte of obs-text"),
        pytest.param("grün 灰度".encode(), id="row 32: UTF-8"),
        pytest.param(b"\xc3(\xff", id="row 32: what is no UTF-8"),
        pytest.param(b"a\tb", id="row 32: TAB"),
    ],
)
async def test_a_legal_value_is_forwarded_unchanged(proxy: Proxy, origin: Origin, value: bytes, piece: int) -> None:
    lines = [b"GET /x HTTP/1.1", b"Host: x", b"X: " + value]
    await assert_forwarded(proxy, origin, GET + b"X: " + value + b"\r\n\r\n", lines, piece=piece)
