"""A real Jaeger, where one is installed: `jaeger` on the PATH, or from `make servers`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from gateway.demo.registries import find_server
from gateway.release.ports import free_port

JAEGER = find_server("jaeger")

needs_jaeger = pytest.mark.skipif(JAEGER is None, reason="jaeger is not installed: spans are NOT tested against it")

LISTENERS = (
    "admin.http", "collector.grpc-server", "collector.http-server", "collector.otlp.grpc", "http-server", "query.grpc-server",
)  # fmt: skip
UDP = ("jaeger-binary", "jaeger-compact", "zipkin-compact")


class Jaeger:
    """All of it in one process, in memory, on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.otlp, self.query = free_port(), free_port()
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        assert JAEGER is not None
        ports = {name: free_port() for name in LISTENERS} | {
            "collector.otlp.http": self.otlp,
            "query.http-server": self.query,
        }
        options = [f"--{name}.host-port=127.0.0.1:{port}" for name, port in ports.items()]
        options += [f"--processor.{name}.server-host-port=127.0.0.1:{free_port()}" for name in UDP]
        with (self._folder / "jaeger.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                JAEGER, "--log-level=warn", *options, stdout=log, stderr=log
            )
        async with asyncio.timeout(60), ClientSession() as session:
            for address in (f"http://127.0.0.1:{self.query}/api/services", f"http://127.0.0.1:{self.otlp}/v1/traces"):
                while True:
                    try:
                        async with session.get(address):
                            break
                    except ClientError:
                        assert self._process.returncode is None, (self._folder / "jaeger.log").read_text()
                    await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def trace(self, trace: str) -> dict[str, Any] | None:
        """What its query API says of a trace; None as long as it says nothing."""
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{self.query}/api/traces/{trace}") as response:
                if response.status != 200:
                    return None
                found = await response.json()
        whole: dict[str, Any] = found["data"][0]
        return whole
