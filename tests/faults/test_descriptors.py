"""A gateway that may open few files sheds clients, says so, and goes on answering its operator."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.wait import until

LIMIT = 200


class Limited(Gateway):
    """May open few files."""

    async def start(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        program = (
            "import os, resource, sys\n"
            f"resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'gateway', *sys.argv[1:]])\n"
        )
        await self._start("-c", program, *arguments, env=env)


async def test_out_of_descriptors(tmp_path: Path, origin: Origin) -> None:
    gateway = Limited(tmp_path, origin)
    await gateway.run()
    assert "limits.connections (10000)" in gateway.log.read_text()
    streams = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(LIMIT)]

    refused = 0

    async def note_refused(reader: asyncio.StreamReader) -> None:
        nonlocal refused
        with contextlib.suppress(ConnectionError):
            refused += (await reader.read()).startswith(b"HTTP/1.1 503 ")

    reading = [asyncio.create_task(note_refused(reader)) for reader, _ in streams]
    await until(lambda: refused > 0)
    await gateway.wait_ok(gateway.admin, "/livez")
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    assert refused < LIMIT
    assert "file descriptors have run short" in gateway.log.read_text()
    for _, writer in streams:
        writer.close()

    async def is_served() -> bool:
        try:
            return await gateway.ask("/A/x") == "base GET /x"
        except OSError:
            return False

    while not await is_served():
        await asyncio.sleep(0.05)
    await until(lambda: gateway.log.read_text().count("run short") < 3)
    await gateway.close()
