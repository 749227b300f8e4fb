"""HTTP/2 over sockets and processes: many requests on few connections, and none that fails while things change."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.hostile import started
from tests.support.http2 import GET, POST, Caller, SocketClient
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

SIZE = 1_500_000


async def test_many_requests_on_one_connection(origin: Origin) -> None:
    proxy = Proxy()
    async with started(proxy, origin):
        client = await SocketClient().connect(proxy.listener.port)
        paths = [b"/A/%d%s" % (number, b"?group=gray" if number % 2 else b"") for number in range(80)]
        found = await asyncio.gather(*[client.ask([*GET[:2], (b":path", path), GET[3]]) for path in paths])
        expected = [b"%s GET %s" % (b"gray" if b"gray" in path else b"base", path[2:]) for path in paths]
        assert [(response.status, response.body) for response in found] == [(200, body) for body in expected]
        assert proxy.traffic.connections == 1
        client.close()
        await until(lambda: proxy.traffic.connections == 0)


async def test_long_bodies_in_both_directions(origin: Origin) -> None:
    body = bytes(range(256)) * (SIZE // 256)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        received = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            received += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(received))
        for at in range(0, len(received), 100_000):
            writer.write(received[at : at + 100_000])
            await writer.drain()

    origin.script = echo
    proxy = Proxy()
    async with started(proxy, origin):
        client = await SocketClient().connect(proxy.listener.port)
        found = await asyncio.gather(client.ask(POST, body), client.ask(POST, body))
        assert [(response.status, response.body == body) for response in found] == [(200, True)] * 2
        client.close()


async def test_a_stop_fails_no_request(origin: Origin) -> None:
    proxy = Proxy()
    async with started(proxy, origin):
        callers = [Caller(proxy.listener.port) for _ in range(4)]
        tasks = [asyncio.create_task(caller.run()) for caller in callers]
        await until(lambda: all(caller.answered > 20 for caller in callers))
        assert await proxy.listener.drain(0.0, 20.0)
        await asyncio.gather(*tasks)
        assert [caller.failed for caller in callers] == [[]] * 4


@pytest.mark.parametrize("workers", [1, 2])
async def test_reloads_and_the_end_of_the_program_fail_no_request(origin: Origin, tmp_path: Path, workers: int) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.config |= {"workers": workers, "http2": {"max_connection_age": "1s"}}
    await gateway.run()
    callers = [Caller(gateway.port) for _ in range(4)]
    tasks = [asyncio.create_task(caller.run()) for caller in callers]
    try:
        for revision in (2, 3):
            await until(lambda: all(caller.answered for caller in callers))
            gateway.config["retries"] = {"attempts": revision}
            gateway.write("gateway.yaml", gateway.config)
            await gateway.wait_revision(revision)
        await until(lambda: all(caller.connections > 1 for caller in callers))
        gateway.send(signal.SIGTERM)
        await asyncio.gather(*tasks)
        assert await gateway.wait() == 0
    finally:
        await gateway.close()
    assert [caller.failed for caller in callers] == [[]] * 4
