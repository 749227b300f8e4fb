"""A real server with Nacos' API of versions 1 and 2, where one is installed: `rnacos` (r-nacos) on the PATH."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from gateway.demo.processes import free_port

RNACOS = shutil.which("rnacos")

needs_rnacos = pytest.mark.skipif(
    RNACOS is None, reason="rnacos is not installed: this is NOT tested against a server that is not ours"
)


class RNacos:
    """`rnacos` on ports of its own. It binds all interfaces: for tests only."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        assert RNACOS is not None
        settings = {
            "RNACOS_HTTP_PORT": str(self.port),
            "RNACOS_GRPC_PORT": str(free_port()),
            "RNACOS_HTTP_CONSOLE_PORT": "0",
            "RNACOS_DATA_DIR": str(self._folder / "rnacos"),
        }
        with (self._folder / "rnacos.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                RNACOS, env={**os.environ, **settings}, cwd=self._folder, stdout=log, stderr=log
            )
        url = f"http://{self.address}/nacos/v1/cs/configs?dataId=none&group=none"
        async with asyncio.timeout(30), ClientSession() as session:
            while True:
                try:
                    async with session.get(url) as response:
                        if response.status == 404:  # it answers, and knows of no such document
                            return
                except ClientError:
                    pass
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
