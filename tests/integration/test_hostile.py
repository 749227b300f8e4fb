"""Hostile input over real sockets: the status, that the connection closes, and that the origin saw nothing illegal."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from gateway.proxy.context import Timeouts
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, id="CL.TE"),
        pytest.param(GET + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, id="CL twice"),
        pytest.param(GET + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, id="unknown coding"),
        pytest.param(b"GET /A/x HTTP/1.1\nHost: x\n\n", 400, id="bare LF"),
        pytest.param(GET + b"X: a\rb\r\n\r\n", 400, id="bare CR"),
        pytest.param(GET + b"X: a\0b\r\n\r\n", 400, id="NUL"),
        pytest.param(GET + b"X: a\r\n b\r\n\r\n", 400, id="obs-fold"),
        pytest.param(b"G(T /A/x HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="bad method"),
        pytest.param(b"GET /A/x HTTP/2.0\r\nHost: x\r\n\r\n", 505, id="HTTP/2.0"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="h2 preface"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS hello on a plain port"),
        pytest.param(b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405, id="CONNECT"),
        pytest.param(GET + b"X: " + b"a" * 66000 + b"\r\n\r\n", 431, id="head over 64 KiB"),
        pytest.param(GET + b"X: a\r\n" * 101 + b"\r\n", 431, id="more than 100 fields"),
        pytest.param(b"GET /" + b"a" * 17000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, id="long target"),
        pytest.param(GET + b"Expect: 200-ok\r\n\r\n", 417, id="unknown expectation"),
    ],
)
async def test_refused_and_closed(proxy: Proxy, origin: Origin, data: bytes, status: int) -> None:
    client = await proxy.connect()
    await client.send(data + b"GET /A/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.header("connection")) == (status, "close")
    assert await client.rest() == b""
    assert origin.received == []
    assert sum(proxy.traffic.refused.values()) == 1


async def test_exactly_the_limit_of_fields_passes(proxy: Proxy) -> None:
    assert (await proxy.ask(GET + b"X: a\r\n" * 99 + b"\r\n")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"5\nhello\r\n0\r\n\r\n", id="size ends with a bare LF"),
        pytest.param(b"5\r\nhelloXX0\r\n\r\n", id="data longer than its size"),
        pytest.param(b"0x5\r\nhello\r\n0\r\n\r\n", id="0x5"),
        pytest.param(b"5\r\nhello\r\nzz\r\n", id="second size is malformed"),
    ],
)
async def test_a_malformed_chunked_body_is_400_and_aborts_the_upstream(
    proxy: Proxy, origin: Origin, body: bytes
) -> None:
    client = await proxy.connect()
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    await client.send(body)
    answer = await client.answer()
    assert answer.status == 400
    assert await client.rest() == b""
    assert origin.requests == []
    assert all(b"0\r\n\r\n" not in received for received in origin.received)


async def test_a_client_that_leaves_mid_body_never_gets_its_body_completed(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await until(lambda: origin.received and b"hello" in origin.received[0], "the first chunk at the origin")
    client.close()
    await until(lambda: origin.lost, "the upstream connection to close")
    assert b"0\r\n\r\n" not in origin.received[0]
    assert origin.requests == []


async def test_nothing_of_a_second_request_leaks_into_the_first(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    await client.send(
        b"POST /A/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 04\r\n\r\nbody"
        b"GET /A/2?group=gray HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert (await client.answer()).body == b"base POST /1"
    assert (await client.answer()).body == b"gray GET /2?group=gray"
    assert [body for _, _, body in origin.requests] == [b"body", b""]
    assert b"Content-Length: 4\r\n" in origin.received[0]
    assert origin.illegal == 0


SLOW = Timeouts(head=0.3, body_idle=0.3, connect=0.3, answer=0.3, keep_alive=0.3)


@pytest.fixture
async def hasty(origin: Origin):  # type: ignore[no-untyped-def]
    """A proxy with short timeouts."""
    proxy = Proxy()
    proxy.timeouts = SLOW
    await proxy.start(origin)
    yield proxy
    await proxy.close()


async def test_a_slow_head_is_cut_off(hasty: Proxy) -> None:
    client = await hasty.connect()

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            for byte in GET + b"X: " + b"a" * 1000:
                await client.send(bytes([byte]))
                await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    assert (await client.answer()).status == 408
    dripping.cancel()


async def test_a_slow_body_is_cut_off(hasty: Proxy, origin: Origin) -> None:
    client = await hasty.connect()
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
    assert (await client.answer()).status == 408
    assert await client.rest() == b""


async def test_a_silent_upstream_is_504(hasty: Proxy, origin: Origin) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    origin.script = silent
    answer = await hasty.get("/A/x")
    assert (answer.status, b"answer_timeout" in answer.body) == (504, True)


async def test_an_idle_connection_is_closed(hasty: Proxy) -> None:
    client = await hasty.connect()
    await client.send(GET + b"\r\n")
    assert (await client.answer()).status == 200
    assert await client.rest() == b""


def answering(*pieces: bytes, closes: bool = True):  # type: ignore[no-untyped-def]
    """An origin that answers every request with these bytes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if closes:
                return

    return script


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok", id="CL and TE"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", id="CL twice"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok", id="CL -1"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok", id="NUL"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX : b\r\nContent-Length: 2\r\n\r\nok", id="space before colon"),
        pytest.param(b"hello\r\n\r\n", id="no status line"),
        pytest.param(b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok", id="status 2000"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", id="101 nobody asked for"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000, id="endless head"),
    ],
)
async def test_a_bad_answer_is_502(proxy: Proxy, origin: Origin, head: bytes) -> None:
    origin.script = answering(head)
    client = await proxy.connect()
    await client.send(GET + b"\r\n")
    answer = await client.answer()
    assert (answer.status, b"bad_answer" in answer.body) == (502, True)
    assert proxy.traffic.upstream_errors == {("a", "base", "bad_answer"): 1}
    origin.script = None
    assert await client.is_open()


async def test_bytes_beyond_an_answer_reach_nobody(proxy: Proxy, origin: Origin) -> None:
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
    origin.script = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + extra, closes=False)
    client = await proxy.connect()
    for _ in range(3):
        await client.send(GET + b"\r\n")
        assert (await client.answer()).body == b"ok"
    assert origin.connections == 3


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", id="short body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n", id="no last chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nzz\r\n", id="bad chunk"),
    ],
)
async def test_a_cut_answer_is_seen_to_be_cut(proxy: Proxy, origin: Origin, answer: bytes) -> None:
    origin.script = answering(answer)
    client = await proxy.connect()
    await client.send(GET + b"\r\n")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
        await client.answer()
    assert sum(proxy.traffic.upstream_errors.values()) == 1


async def test_answers_without_a_body(proxy: Proxy, origin: Origin) -> None:
    origin.script = answering(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", closes=False)
    client = await proxy.connect()
    for _ in range(2):
        await client.send(GET + b"\r\n")
        assert (await client.answer()).status == 304
    assert origin.connections == 1


async def test_interim_answers_pass(proxy: Proxy, origin: Origin) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    origin.script = answering(hints, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    client = await proxy.connect()
    await client.send(GET + b"\r\n")
    assert (await client.answer()).status == 103
    assert (await client.answer()).body == b"ok"


async def test_an_answer_until_close(proxy: Proxy, origin: Origin) -> None:
    origin.script = answering(b"HTTP/1.1 200 OK\r\n\r\nhello ", b"world")
    answer = await proxy.get("/A/x")
    assert (answer.header("connection"), answer.body) == ("close", b"hello world")


async def test_an_answer_before_the_request_ends(proxy: Proxy, origin: Origin) -> None:
    origin.script = answering(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig", closes=False)
    client = await proxy.connect()
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 1000)
    answer = await client.answer()
    assert (answer.status, answer.header("connection"), answer.body) == (413, "close", b"big")
    assert await client.rest() == b""
