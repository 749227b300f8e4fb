"""Bodies in both directions through slow readers: nothing piles up in the proxy."""

from __future__ import annotations

import asyncio
import tracemalloc

from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

SIZE = 64 * 1024 * 1024
"""More than the kernel's socket buffers of two hops take in."""
PIECE = b"x" * 65536


def peak() -> int:
    """Bytes held at the most since the last reset."""
    return tracemalloc.get_traced_memory()[1]


async def test_a_download_through_a_slow_reader_holds_under_a_megabyte(proxy: Proxy, origin: Origin) -> None:
    sent = 0

    async def download(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.set_write_buffer_limits(high=len(PIECE))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        while sent < SIZE:
            writer.write(PIECE)
            sent += len(PIECE)
            await writer.drain()

    origin.script = download
    client = await proxy.connect()
    transport = client.writer.transport
    client.reader._limit = 65536  # type: ignore[attr-defined]
    tracemalloc.start()
    before = peak()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    transport.pause_reading()  # type: ignore[attr-defined]
    seen = -1
    while seen != sent:  # until everybody's buffers are full and nothing moves any more
        seen = sent
        await asyncio.sleep(0.05)
    assert sent < SIZE
    held = peak() - before
    transport.resume_reading()  # type: ignore[attr-defined]
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert b"200 OK" in head
    received = 0
    while received < SIZE:
        received += len(await client.reader.read(65536))
    tracemalloc.stop()
    assert received == SIZE
    assert held < 1024 * 1024


async def test_an_upload_to_a_slow_service_holds_under_a_megabyte(proxy: Proxy, origin: Origin) -> None:
    release = asyncio.Event()
    received = 0

    async def upload(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        while received < SIZE:
            received += len(await reader.read(65536))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()

    origin.script = upload
    client = await proxy.connect()
    tracemalloc.start()
    before = peak()
    client.writer.write(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % SIZE)
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < SIZE:
            client.writer.write(PIECE)
            sent += len(PIECE)
            await client.writer.drain()

    sending = asyncio.create_task(send())
    seen = -1
    while seen != sent:
        seen = sent
        await asyncio.sleep(0.05)
    assert sent < SIZE
    held = peak() - before
    tracemalloc.stop()
    release.set()
    await sending
    assert (await client.answer()).body == b"ok"
    assert received == SIZE
    # The test's own client buffers up to 128 KiB, its origin as much; both are in this process.
    assert held < 1024 * 1024


async def test_a_connection_used_for_a_slow_body_is_used_again(proxy: Proxy, origin: Origin) -> None:
    """Pausing must not stick to a connection that goes back to its pool."""

    async def big(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PIECE * 32) + PIECE * 32)

    origin.script = big
    client = await proxy.connect()
    for _ in range(5):
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.01)
        assert len((await client.answer()).body) == len(PIECE * 32)
    await until(lambda: proxy.traffic.in_flight == 0)
    assert origin.connections == 1
