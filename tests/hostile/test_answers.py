"""What an upstream says is not trusted to be HTTP either: it is judged, passed on in order, or turned into 502."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.hostile import GET, OK, answering, both_ways, ended, reset_transport
from tests.support.origin import Origin, Script
from tests.support.proxy import Client, Proxy
from tests.support.wait import until

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SOUND = HEAD + b"Content-Length: 2\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def saying(data: bytes, piece: int = 0) -> Script:
    """An origin that answers every request with `data`, in writes of `piece` bytes, and keeps its connections."""
    size = piece or len(data)
    return answering(*[data[position : position + size] for position in range(0, len(data), size)], closes=False)


async def ask(proxy: Proxy, head: bytes = GET) -> Client:
    client = await proxy.connect()
    await client.send(head + b"\r\n")
    return client


async def assert_bad_gateway(proxy: Proxy, origin: Origin, client: Client) -> None:
    """502, counted; both connections close."""
    answer = await client.answer()
    assert (answer.status, b'"code": "bad_response"' in answer.body) == (502, True)
    assert answer.header("connection") == "close"
    assert proxy.traffic.upstream_errors == {("a", "base", "bad_response"): 1}
    await until(lambda: origin.lost == 1, "the upstream connection to close")
    await ended(client)
    assert origin.connections == 1


@both_ways
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SOUND + b"Content-Length: 3\r\n\r\nok", id="row 74: CL twice, different"),
        pytest.param(
            HEAD + b"Content-Length: 3\r\nContent-Length: 2\r\n\r\nok", id="row 74: CL twice, the other order"
        ),
        pytest.param(HEAD + b"Content-Length: 2, 3\r\n\r\nok", id="row 74: CL 2, 3"),
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\nok", id="row 74: CL -1"),
        pytest.param(HEAD + b"Content-Length: +5\r\n\r\nhello", id="row 74: CL +5"),
        pytest.param(HEAD + b"Content-Length: 0x2\r\n\r\nok", id="row 74: CL 0x2"),
        pytest.param(HEAD + b"Content-Length: 18446744073709551618\r\n\r\nok", id="row 74: CL 2^64+2"),
        pytest.param(b"hello, this is no head\r\n\r\n", id="row 81: no status line"),
        pytest.param(b"<html>HTTP/0.9</html>", id="row 81: HTTP/0.9"),
        pytest.param(b"HTTP/3.9 200 OK\r\nContent-Length: 2\r\n\r\nok", id="row 81: HTTP/3.9"),
        pytest.param(b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", id="row 81: http/1.1"),
        pytest.param(b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok", id="row 81: ICY"),
        pytest.param(b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", id="row 81: status 2000"),
        pytest.param(b"HTTP/1.1 999 Denied\r\nContent-Length: 2\r\n\r\nok", id="row 81: status 999"),
        pytest.param(b"HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok", id="row 81: status 600"),
        pytest.param(b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok", id="row 81: status 099"),
        pytest.param(b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok", id="row 81: status 20"),
        pytest.param(b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok", id="row 81: status abc"),
        pytest.param(SOUND + b"X: a\0b\r\n\r\nok", id="row 82: NUL in a value"),
        pytest.param(SOUND + b"X: a\rb\r\n\r\nok", id="row 82: bare CR in a value"),
        pytest.param(SOUND + b"X: a\nSet-Cookie: b\r\n\r\nok", id="row 82: bare LF in a value"),
        pytest.param(SOUND + b"X: a\x1bb\r\n\r\nok", id="row 82: ESC in a value"),
        pytest.param(SOUND + b"X: a\r\n b\r\n\r\nok", id="row 82: obs-fold"),
        pytest.param(SOUND + b"X : b\r\n\r\nok", id="row 82: space before the colon"),
        pytest.param(SOUND + b"NoColon\r\n\r\nok", id="row 82: no colon"),
        pytest.param(SOUND + b": a\r\n\r\nok", id="row 82: empty name"),
        pytest.param(SOUND + b"Connection: " + b"a," * 101 + b"\r\n\r\nok", id="row 82: 101 connection options"),
        # These never end, and no deadline passes: what can become no head is refused before.
        pytest.param((SOUND + b"\r\nok").replace(b"\r\n", b"\n"), id="row 82: bare LFs in the whole head"),
        pytest.param(HEAD + b"Content-Length: 2\n\nok", id="row 82: bare LFs behind the status line"),
        pytest.param(SOUND + b"\n", id="row 82: bare LF as the empty line"),
        pytest.param(b"HTTP/1.1 200 OK\rContent", id="row 82: bare CR behind the status line"),
        pytest.param(b"HTTP/1.1 999 Denied\r\n", id="row 81: status 999, and nothing else"),
        pytest.param(b"HTTP/1.1 OK\r\n", id="row 81: no status, and nothing else"),
        pytest.param(SOUND + b"NoColon\r\n", id="row 82: no colon, and nothing else"),
        pytest.param(SOUND + b"X: a\r\n b\r\n", id="row 82: obs-fold, and nothing else"),
        pytest.param(SOUND + b"X: \0", id="row 82: NUL, and nothing else"),
    ],
)
async def test_a_bad_head_is_502(proxy: Proxy, origin: Origin, data: bytes, piece: int) -> None:
    origin.script = saying(data, piece)
    await assert_bad_gateway(proxy, origin, await ask(proxy))


@both_ways
@pytest.mark.parametrize(
    ("data", "request_head"),
    [
        pytest.param(SOUND + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", GET, id="row 73: CL and TE"),
        pytest.param(CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n0\r\n\r\n", GET, id="row 73: TE and CL"),
        pytest.param(SWITCH + b"Upgrade: websocket\r\n\r\n", GET, id="row 80: 101 nobody asked for"),
        pytest.param(
            SWITCH + b"Upgrade: h2c\r\n\r\n",
            GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
            id="row 80: 101 to h2c, which was not passed on",
        ),
        pytest.param(SWITCH + b"\r\n", GET + WEBSOCKET, id="row 80: 101 to nothing"),
    ],
)
async def test_an_answer_that_does_not_fit_its_request_is_502(
    proxy: Proxy, origin: Origin, data: bytes, request_head: bytes, piece: int
) -> None:
    origin.script = saying(data, piece)
    await assert_bad_gateway(proxy, origin, await ask(proxy, request_head))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SOUND + b"X: " + b"a" * 300_000 + b"\r\n\r\nok", id="row 83: field of 300 KB"),
        pytest.param(SOUND + b"X: " + b"a" * 100_000 + b"\r\n\r\nok", id="row 83: field of 100 KB"),
        pytest.param(SOUND + b"X: a\r\n" * 5000 + b"\r\nok", id="row 83: 5000 fields"),
        pytest.param(SOUND + b"X: " + b"a" * 70_000, id="row 83: field without an end"),
    ],
)
async def test_a_head_that_is_too_large_is_502(proxy: Proxy, origin: Origin, data: bytes) -> None:
    origin.script = saying(data)
    await assert_bad_gateway(proxy, origin, await ask(proxy))


@pytest.mark.parametrize(
    ("method", "data", "body"),
    [
        pytest.param(b"GET", SOUND + b"\r\nok", b"ok", id="row 75: behind Content-Length"),
        pytest.param(b"GET", CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"ok", id="row 75: behind chunks"),
        pytest.param(b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"", id="row 75: behind 204"),
        pytest.param(
            b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", b"", id="row 78: 204 with body"
        ),
        pytest.param(
            b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", b"", id="row 78: 304 with body"
        ),
        pytest.param(b"HEAD", HEAD + b"Content-Length: 5\r\n\r\nhello", b"", id="row 78: HEAD with body"),
        pytest.param(b"HEAD", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"", id="row 78: HEAD with chunks"),
    ],
)
@pytest.mark.parametrize(
    "evil", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"], ids=["alone", "and an answer"]
)
async def test_surplus_reaches_nobody(
    proxy: Proxy, origin: Origin, method: bytes, data: bytes, body: bytes, evil: bytes
) -> None:
    """An upstream connection that said more than one answer is never used for another."""
    has_surplus = bool(evil) or b"hello" in data
    origin.script = saying(data + evil)
    client = await proxy.connect()
    for _ in range(3):
        await client.send(GET.replace(b"GET", method, 1) + b"\r\n")
        answer = await client.answer(method.decode())
        assert (answer.status, answer.body) == (int(data[9:12]), body)
    assert origin.connections == (3 if has_surplus else 1)
    origin.script = None
    assert not has_surplus or await client.is_open()


async def test_row_75_what_an_idle_upstream_connection_says_reaches_nobody(proxy: Proxy, origin: Origin) -> None:
    """Here the surplus comes later, when the connection already waits for another request."""
    idle = asyncio.Event()

    async def speaks_unasked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await idle.wait()
        writer.write(SOUND + b"\r\nEV")
        await reader.read()

    origin.script = speaks_unasked
    client = await ask(proxy)
    assert (await client.answer()).body == b"ok"
    origin.script = None
    idle.set()
    await until(lambda: origin.lost == 1, "the upstream connection to close")
    assert await client.is_open()
    assert origin.connections == 2


@pytest.mark.parametrize("fault", ["FIN", "RST"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(HEAD + b"Content-Length: 100\r\n\r\nonly this", id="row 76: short body"),
        pytest.param(CHUNKED + b"9\r\nonly this\r\n", id="row 76: no last chunk"),
        pytest.param(CHUNKED + b"20\r\nonly this", id="row 76: short chunk"),
        pytest.param(CHUNKED + b"9\r\nonly this\r\n0\r\n", id="row 76: no end of the trailers"),
    ],
)
async def test_a_short_answer_is_seen_to_be_short(proxy: Proxy, origin: Origin, data: bytes, fault: str) -> None:
    """What came is passed on, then the connection closes without the last chunk or byte."""
    passed_on = asyncio.Event()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await passed_on.wait()
        if fault == "RST":
            reset_transport(writer)

    origin.script = cut
    client = await ask(proxy)
    seen = await client.reader.readuntil(b"only this")
    passed_on.set()
    seen += await client.rest()
    assert seen == data.removesuffix(b"0\r\n")
    assert proxy.traffic.upstream_errors == {("a", "base", "truncated"): 1}
    assert origin.connections == 1


BAD_CHUNKS = [
    pytest.param(b"zz\r\n", id="row 77: zz"),
    pytest.param(b"9\r\nonly this\r\nzz\r\n", id="row 77: zz behind a good chunk"),
    pytest.param(b"-5\r\nhello\r\n", id="row 77: -5"),
    pytest.param(b"0x5\r\nhello\r\n", id="row 77: 0x5"),
    pytest.param(b"10000000000000005\r\nhello\r\n", id="row 77: 17 digits"),
    pytest.param(b"5\nhello\r\n", id="row 77: bare LF"),
    pytest.param(b"5 \r\nhello\r\n", id="row 77: white space behind the size"),
    pytest.param(b"5;\r\nhello\r\n", id="row 77: an extension without a name"),
    pytest.param(b"3\r\nhello\r\n", id="row 77: more data than the size"),
]


@pytest.mark.parametrize("chunk", BAD_CHUNKS)
async def test_a_bad_chunk_with_the_head_is_502(proxy: Proxy, origin: Origin, chunk: bytes) -> None:
    """Nothing of the answer has been passed on yet."""
    origin.script = saying(CHUNKED + chunk)
    await assert_bad_gateway(proxy, origin, await ask(proxy))


@pytest.mark.parametrize("chunk", BAD_CHUNKS)
async def test_a_bad_chunk_behind_the_head_cuts_the_answer(proxy: Proxy, origin: Origin, chunk: bytes) -> None:
    passed_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        await passed_on.wait()
        writer.write(chunk + b"0\r\n\r\n")
        await reader.read()

    origin.script = script
    client = await ask(proxy)
    assert await client.reader.readuntil(b"\r\n\r\n") == CHUNKED
    passed_on.set()
    assert not (await client.rest()).endswith(b"0\r\n\r\n")
    assert proxy.traffic.upstream_errors == {("a", "base", "bad_response"): 1}
    await until(lambda: origin.lost == 1, "the upstream connection to close")
