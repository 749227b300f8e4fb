"""Peers that are slow, stuck or gone: nobody may hold what belongs to others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from tests.support.bounds import Timeouts
from tests.support.hostile import CHUNKED, GET, POST, assert_nothing_completed, ended, reset, started
from tests.support.origin import Origin
from tests.support.proxy import Client, Proxy
from tests.support.wait import until

MEGABYTE = 1024 * 1024
PIECE = b"x" * 65536


# --- rows 67 and 68: slow clients


async def drip(client: Client, data: bytes, size: int, pause: float) -> None:
    """Sends `size` bytes every `pause` seconds until the proxy has had enough."""
    with contextlib.suppress(ConnectionError):
        for position in range(0, len(data), size):
            await client.send(data[position : position + size])
            await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def dripping(client: Client, data: bytes, size: int, pause: float) -> AsyncIterator[None]:
    """Drips meanwhile."""
    task = asyncio.create_task(drip(client, data, size, pause))
    try:
        yield
    finally:
        task.cancel()


async def test_row_67_slow_heads_are_cut_off(hasty: Proxy, origin: Origin) -> None:
    """However often another line comes: the whole head has one deadline."""
    clients = [await hasty.connect() for _ in range(20)]
    async with contextlib.AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(dripping(client, GET + b"X: a\r\n" * 1000, 6, 0.02))
        answers = [await client.answer() for client in clients]
        assert {(answer.status, answer.header("connection")) for answer in answers} == {(408, "close")}
        for client in clients:
            await ended(client)
    assert (origin.connections, hasty.traffic.refused) == (0, {"head_timeout": 20})


async def test_row_67_empty_lines_do_not_keep_a_connection(hasty: Proxy, origin: Origin) -> None:
    client = await hasty.connect()
    async with dripping(client, b"\r\n" * 1000, 1, 0.02):
        await client.rest()
    assert origin.connections == 0


async def test_row_67_an_idle_connection_is_closed(hasty: Proxy, origin: Origin) -> None:
    client = await hasty.connect()
    await client.send(GET + b"\r\n")
    assert (await client.answer()).status == 200
    await ended(client)


@contextlib.asynccontextmanager
async def with_body_rate(origin: Origin, rate: int, grace: float) -> AsyncIterator[Proxy]:
    """A proxy whose clients must send a body at `rate` bytes per second, judged after `grace` seconds."""
    proxy = Proxy()
    proxy.timeouts = Timeouts(body_grace=grace)
    async with started(proxy, origin):
        proxy.context.limits.body_rate = rate
        yield proxy


@pytest.mark.parametrize(
    ("head", "body"),
    [
        pytest.param(POST + b"Content-Length: 5000\r\n\r\n", b"a" * 5000, id="row 68: Content-Length"),
        pytest.param(CHUNKED, b"1\r\na\r\n" * 1000 + b"0\r\n\r\n", id="row 68: chunks"),
    ],
)
async def test_a_slow_body_is_cut_off(origin: Origin, head: bytes, body: bytes) -> None:
    """About 60 to 300 bytes per second never stop for long, and would take minutes."""
    async with with_body_rate(origin, rate=5000, grace=0.3) as proxy:
        client = await proxy.connect()
        await client.send(head)
        async with dripping(client, body, 6, 0.02):
            answer = await client.answer()
            assert (answer.status, answer.header("connection")) == (408, "close")
            assert b'"code": "body_too_slow"' in answer.body
            await ended(client)
        await assert_nothing_completed(origin)


async def test_row_68_a_body_that_is_fast_enough_passes(origin: Origin) -> None:
    """It takes three times the grace, and ticks of the clock on which it is judged."""
    async with with_body_rate(origin, rate=500, grace=0.3) as proxy:
        client = await proxy.connect()
        await client.send(POST + b"Content-Length: 6000\r\n\r\n")
        await drip(client, b"a" * 6000, 100, 0.015)
        assert (await client.answer()).status == 200
    assert [len(body) for _, _, body in origin.requests] == [6000]


async def test_row_68_a_body_that_stops_is_cut_off(hasty: Proxy, origin: Origin) -> None:
    client = await hasty.connect()
    await client.send(POST + b"Content-Length: 5\r\n\r\nhe")
    answer = await client.answer()
    assert (answer.status, answer.header("connection")) == (408, "close")
    await ended(client)
    await assert_nothing_completed(origin)


# --- rows 69 and 70: peers that do not read


def still(count: Callable[[], int]) -> Callable[[], bool]:
    """A condition: the count has begun, and has not moved in 20 looks."""
    seen: list[int] = []

    def is_still() -> bool:
        seen.append(count())
        return seen[-1] > 0 and len(seen) > 20 and len(set(seen[-20:])) == 1

    return is_still


async def test_row_69_a_client_that_does_not_read_stops_the_upstream(proxy: Proxy, origin: Origin) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (400 * MEGABYTE))
        while sent < 64 * MEGABYTE:
            writer.write(PIECE)
            sent += len(PIECE)
            await writer.drain()

    origin.script = endless
    client = await proxy.connect()
    await client.send(GET + b"\r\n")
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await until(still(lambda: sent), "every buffer to be full")
    assert sent < 16 * MEGABYTE
    client.close()
    await until(lambda: origin.lost, "the upstream connection to close")


async def test_row_70_an_upstream_that_does_not_read_stops_the_client(proxy: Proxy, origin: Origin) -> None:
    stuck = asyncio.Event()

    async def never_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stuck.wait()

    origin.script = never_reads
    client = await proxy.connect()
    await client.send(POST + b"Content-Length: %d\r\n\r\n" % (300 * MEGABYTE))
    sent = 0

    async def upload() -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionError):
            while sent < 64 * MEGABYTE:
                await client.send(PIECE)
                sent += len(PIECE)

    uploading = asyncio.create_task(upload())
    await until(still(lambda: sent), "every buffer to be full")
    assert sent < 16 * MEGABYTE
    uploading.cancel()
    stuck.set()


# --- rows 71 and 72: clients that are gone


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(Client.close, id="row 71: close"),
        pytest.param(reset, id="row 71: reset"),
        pytest.param(lambda client: client.writer.write_eof(), id="row 72: half-close"),
    ],
)
async def test_a_client_that_leaves_cancels_its_exchange(
    proxy: Proxy, origin: Origin, leave: Callable[[Client], None]
) -> None:
    """Long before any timeout, and without an answer: nobody works for an answer that nobody reads."""
    started, gone = asyncio.Event(), asyncio.Event()

    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        started.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        gone.set()

    origin.script = never_answers
    client = await proxy.connect()
    await client.send(GET + b"\r\n")
    await started.wait()
    leave(client)
    async with asyncio.timeout(20):
        await gone.wait()
    assert await client.rest() == b""
    assert proxy.traffic.exchanges["a"]["base"].statuses == {499: 1}
    assert (proxy.traffic.in_flight, proxy.traffic.upstream_errors, origin.connections) == (0, {}, 1)


async def test_row_72_a_half_closed_request_is_not_answered(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    client.writer.write(GET + b"\r\n")
    client.writer.write_eof()
    assert await client.rest() == b""
    await until(lambda: not proxy.traffic.in_flight, "the exchange to be cancelled")
    assert origin.illegal == 0
