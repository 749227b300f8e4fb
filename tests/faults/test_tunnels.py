"""Tunnels over real sockets, on both event loops: nothing is lost at their ends, and nothing piles up between."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.loops import on_both_loops
from tests.support.origin import Origin
from tests.support.proxy import Client, Proxy
from tests.support.wait import until

ASK = b"GET /A/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SIZE = 20_000_000
MEGABYTE = 1024 * 1024
PIECE = b"x" * 65536


class Instance:
    """Switches protocols, and then does what a test says."""

    def __init__(self, origin: Origin) -> None:
        origin.script = self._serve
        self.switches = asyncio.Event()
        self.switches.set()
        self.ends = asyncio.Event()
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.reader, self.writer = reader, writer
        await self.switches.wait()
        writer.write(SWITCH)
        await self.ends.wait()


async def tunnel(proxy: Proxy, origin: Origin) -> tuple[Client, Instance]:
    instance = Instance(origin)
    client = await proxy.connect()
    await client.send(ASK)
    await client.reader.readuntil(b"\r\n\r\n")
    return client, instance


async def count(reader: asyncio.StreamReader) -> int:
    """How many bytes come until the end."""
    total = 0
    async with asyncio.timeout(30):
        while data := await reader.read(MEGABYTE):
            total += len(data)
    return total


@on_both_loops
async def test_a_client_that_sends_much_and_closes_loses_nothing(proxy: Proxy, origin: Origin) -> None:
    client, instance = await tunnel(proxy, origin)
    client.writer.write(b"a" * SIZE)
    client.writer.close()
    assert await count(instance.reader) == SIZE
    instance.ends.set()
    await until(lambda: proxy.traffic.tunnels == 0, "the tunnel to end")
    assert proxy.traffic.exchanges["a"]["base"].statuses == {101: 1}


@on_both_loops
async def test_an_instance_that_sends_much_and_closes_loses_nothing(proxy: Proxy, origin: Origin) -> None:
    client, instance = await tunnel(proxy, origin)
    instance.writer.write(b"a" * SIZE)
    instance.ends.set()
    assert await count(client.reader) == SIZE
    client.close()
    await until(lambda: proxy.traffic.tunnels == 0, "the tunnel to end")


@on_both_loops
async def test_a_client_that_only_finished_sending_hears_the_rest(proxy: Proxy, origin: Origin) -> None:
    client, instance = await tunnel(proxy, origin)
    client.writer.write(b"question")
    client.writer.write_eof()
    assert await instance.reader.read() == b"question"
    instance.writer.write(b"answer")
    instance.ends.set()
    assert await client.rest() == b"answer"


@on_both_loops
async def test_an_instance_that_only_finished_sending_hears_the_rest(proxy: Proxy, origin: Origin) -> None:
    client, instance = await tunnel(proxy, origin)
    instance.writer.write(b"question")
    instance.writer.write_eof()
    assert await client.rest() == b"question"
    client.writer.write(b"answer")
    client.writer.write_eof()
    assert await instance.reader.read() == b"answer"
    instance.ends.set()


@on_both_loops
async def test_much_behind_the_handshake_before_a_late_switch(proxy: Proxy, origin: Origin) -> None:
    instance = Instance(origin)
    instance.switches.clear()
    client = await proxy.connect()
    client.writer.write(ASK + b"a" * MEGABYTE)
    await until(lambda: origin.connections == 1)
    instance.switches.set()
    assert await client.reader.readuntil(b"\r\n\r\n") == SWITCH
    client.writer.write(b"b" * MEGABYTE)
    client.writer.write_eof()
    assert await count(instance.reader) == 2 * MEGABYTE
    instance.ends.set()


@on_both_loops
@pytest.mark.parametrize("sender", ["client", "instance"])
async def test_who_does_not_read_stops_the_other(proxy: Proxy, origin: Origin, sender: str) -> None:
    """Beyond what the kernel's buffers of two hops take."""
    client, instance = await tunnel(proxy, origin)
    ends = (client.writer, instance.writer) if sender == "client" else (instance.writer, client.writer)
    writer, other = ends
    other.transport.pause_reading()  # type: ignore[attr-defined]
    sent = 0

    async def send() -> None:
        nonlocal sent
        while sent < 64 * MEGABYTE:
            writer.write(PIECE)
            sent += len(PIECE)
            await writer.drain()

    sending = asyncio.create_task(send())
    seen: list[int] = []
    while len(seen) < 20 or len(set(seen[-20:])) > 1:
        seen.append(sent)
        await asyncio.sleep(0.01)
    assert sent < 32 * MEGABYTE
    sending.cancel()
    writer.transport.abort()
    instance.ends.set()
