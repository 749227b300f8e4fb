"""What the gateway's memory does: connections that wait, requests under way, and bodies whose reader is slow.

`python -m benchmarks.memory` starts the gateway and plays both client and service. Resident memory is what the kernel
says (VmRSS), against what it was when the gateway was idle and warm.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import click
import uvloop

from benchmarks.contenders import Setting, gateway
from benchmarks.machine import resident_bytes

MIB = 2**20
PIECE = b"x" * 65536


class Service:
    """Answers `/items` when allowed to, sends a body on `/download`, takes one slowly on POST."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.answers = asyncio.Event()
        self.answers.set()
        self._waiting = 0
        self._more = asyncio.Condition()

    async def until_waiting(self, count: int) -> None:
        """Returns when so many requests wait for an answer."""
        async with self._more:
            await self._more.wait_for(lambda: self._waiting >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b" ", 2)
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) if method == b"POST" else 0
                await read_slowly(reader, length, self._rate)
                if target.startswith(b"/download"):
                    size = int(target.rpartition(b"=")[2])
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                    await send(writer, size)
                    continue
                async with self._more:
                    self._waiting += 1
                    self._more.notify_all()
                await self.answers.wait()
                self._waiting -= 1
                who = b'{"who":"gray"}' if b"group=gray" in target else b'{"who":"base"}'
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(who), who))
        writer.close()


async def read_slowly(reader: asyncio.StreamReader, size: int, rate: float) -> None:
    """Reads so many bytes at so many bytes a second."""
    begin = time.monotonic()
    left = size
    while left:
        left -= len(await reader.readexactly(min(left, len(PIECE))))
        ahead = (size - left) / rate - (time.monotonic() - begin)
        if ahead > 0:
            await asyncio.sleep(ahead)


async def send(writer: asyncio.StreamWriter, size: int) -> None:
    """Sends so many bytes, as fast as they are taken."""
    left = size
    while left:
        piece = PIECE[: min(left, len(PIECE))]
        writer.write(piece)
        left -= len(piece)
        await writer.drain()


async def download(port: int, size: int, rate: float) -> None:
    """A client that reads slowly."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65536)
    writer.write(b"GET /A/download?size=%d HTTP/1.1\r\nHost: x\r\n\r\n" % size)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    await read_slowly(reader, size, rate)
    writer.close()


async def upload(port: int, size: int) -> None:
    """A client that sends as fast as it may; the service reads slowly."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /A/upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    await send(writer, size)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    writer.close()


@contextlib.asynccontextmanager
async def highest(pid: int) -> AsyncIterator[list[int]]:
    """The most resident memory that a process had meanwhile, as a list's only element."""
    found = [resident_bytes(pid)]

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.1)
            found[0] = max(found[0], resident_bytes(pid))

    task = asyncio.create_task(watch())
    yield found
    task.cancel()


async def measure(python: str, size: int, rate: float, connections: int) -> None:
    """Everything, printed as it is found."""
    with tempfile.TemporaryDirectory(prefix="gateway-memory-") as name:
        service = Service(rate)
        setting = Setting(Path(name), set(os.sched_getaffinity(0)), set())
        servers = [
            await asyncio.start_server(service.serve, "127.0.0.1", port, limit=131072, backlog=8192)
            for port in (setting.base, setting.gray)
        ]
        contender = await asyncio.to_thread(gateway, setting, "gateway", python, upstreams=connections)
        pid, port = contender.process.pid, contender.port
        try:
            await asyncio.gather(download(port, 64 * MIB, 1e9), upload(port, MIB))  # warm
            idle = resident_bytes(pid)
            print(f"idle: {idle / MIB:.1f} MiB", flush=True)

            waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
            await asyncio.sleep(0.5)
            each = (resident_bytes(pid) - idle) / connections
            print(f"{connections} idle connections: {each / 1024:.1f} KiB each", flush=True)

            before = resident_bytes(pid)
            service.answers.clear()
            for _, writer in waiting:
                writer.write(b"GET /A/items?group=gray HTTP/1.1\r\nHost: x\r\n\r\n")
            await service.until_waiting(connections)
            each = (resident_bytes(pid) - before) / connections
            print(f"{connections} requests under way: {each / 1024:.1f} KiB more each", flush=True)
            service.answers.set()
            for reader, writer in waiting:
                await reader.readuntil(b"\r\n\r\n")
                writer.close()

            await asyncio.sleep(1.0)
            before = resident_bytes(pid)
            print(f"{size // MIB} MiB down and up at {rate / 1e6:g} MB/s …", file=sys.stderr, flush=True)
            async with highest(pid) as found:
                await asyncio.gather(download(port, size, rate), upload(port, size))
            print(f"slow bodies, {size // MIB} MiB each way: {(found[0] - before) / MIB:+.1f} MiB at most", flush=True)
        finally:
            contender.process.terminate()
            await asyncio.to_thread(contender.process.wait)
            for server in servers:
                server.close()


@click.command()
@click.option("--python", default=sys.executable, help="A Python that has the gateway installed.")
@click.option("--size", default=64, show_default=True, help="MiB of each body.")
@click.option("--rate", default=8.0, show_default=True, help="MB a second that the slow reader takes.")
@click.option("--connections", default=2000, show_default=True)
def main(python: str, size: int, rate: float, connections: int) -> None:
    """The gateway's memory for waiting connections, requests under way and slow bodies."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(measure(os.path.abspath(python), size * MIB, rate * 1e6, connections))  # noqa: PTH100


if __name__ == "__main__":
    main()
