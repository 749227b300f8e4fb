"""A client that reads slowly but steadily is not cut off, over real sockets and their large buffers."""

from __future__ import annotations

import asyncio

from tests.support.bounds import Timeouts
from tests.support.loops import on_both_loops
from tests.support.origin import Origin
from tests.support.proxy import Proxy

PIECE = 200_000
IDLE = 2.0
"""Seconds. The kernel says that it takes more when a third of its buffer is free: megabytes, for which this client needs
longer. It tells the sender of free space in steps of a sixteenth (hundreds of kilobytes), for which this client needs a fifth of that
time: a machine with much to do may hold it up several times as long."""


@on_both_loops
async def test_a_slow_but_steady_reader_is_not_cut_off(proxy: Proxy, origin: Origin) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * PIECE)
            await writer.drain()

    origin.script = endless
    proxy.context.timeouts = Timeouts(body_idle=IDLE)
    client = await proxy.connect()
    client.reader._limit = PIECE  # type: ignore[attr-defined]
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    for _ in range(25):
        await client.reader.readexactly(PIECE)
        await asyncio.sleep(IDLE / 10)
    assert proxy.traffic.in_flight == 1
