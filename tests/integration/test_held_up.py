"""What a process does that was held up, as by a machine with too much to do: on uvloop, which looks at clocks before sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvloop

from tests.support.origin import Origin
from tests.support.proxy import Proxy


@asynccontextmanager
async def running() -> AsyncIterator[Proxy]:
    origin, proxy = Origin(), Proxy()
    await origin.start()
    await proxy.start(origin)
    try:
        yield proxy
    finally:
        await proxy.close()
        await origin.close()


def test_a_drain_reads_before_it_calls_a_connection_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request may be waiting that came in time."""
    monkeypatch.setattr("gateway.proxy.server.QUIET", 0.4)

    async def scene() -> None:
        async with running() as proxy:
            client = await proxy.connect()
            await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.answer()).status == 200
            draining = asyncio.create_task(proxy.listener.drain(0.0, 10.0))
            await asyncio.sleep(0)
            ours, theirs = socket.socketpair()

            def hold_up() -> None:
                """Where sockets are read: clocks come next, then what has come meanwhile."""
                loop.remove_reader(ours)
                client.writer.write(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
                time.sleep(0.8)

            loop = asyncio.get_running_loop()
            with ours, theirs:
                loop.add_reader(ours, hold_up)
                theirs.send(b"now")
                answer = await client.answer()
            assert (answer.status, answer.header("connection")) == (200, "close")
            assert await draining

    uvloop.run(scene())
