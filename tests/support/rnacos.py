"""A real server with Nacos' API of versions 1 and 2, where one is installed: `rnacos` on the
PATH, or from `make servers`."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from gateway.demo.registries import find_server
from gateway.release.ports import free_port

RNACOS = find_server("rnacos")

needs_rnacos = pytest.mark.skipif(
    RNACOS is None, reason="rnacos is not installed: this is NOT tested against a server that is not ours"
)


class RNacos:
    """`rnacos` on ports of its own. It binds all interfaces: for tests only."""

    kind = "nacos"

    def __init__(self, folder: Path, needs_login: bool = False) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._needs_login = needs_login
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, fresh: bool = False) -> None:
        """`fresh`: without what an earlier start has left.

        On a busy machine one of ten comes up such that it says "true" to every config, and keeps none, or lets nobody log in,
        for ever: that one is started again, without its data.
        """
        async with asyncio.timeout(60):
            is_first = fresh or not (self._folder / "rnacos").exists()
            await self._launch(fresh)
            while not (await self._keeps_configs() and (not self._needs_login or await self._can_log_in())):
                await self.stop()
                await self._launch(is_first)

    async def _launch(self, fresh: bool) -> None:
        assert RNACOS is not None
        data = self._folder / "rnacos"
        if fresh:
            shutil.rmtree(data, ignore_errors=True)
        settings = {
            "RNACOS_HTTP_PORT": str(self.port),
            "RNACOS_GRPC_PORT": str(self.port + 1000),
            "RNACOS_HTTP_CONSOLE_PORT": "0",
            "RNACOS_DATA_DIR": str(data),
            "RNACOS_ENABLE_OPEN_API_AUTH": str(self._needs_login).lower(),
            "RNACOS_INIT_ADMIN_USERNAME": "operator",
            "RNACOS_INIT_ADMIN_PASSWORD": "let-me-in",
        }
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "rnacos.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                RNACOS, env={**os.environ, **settings}, cwd=self._folder, stdout=log, stderr=log
            )

    async def _keeps_configs(self) -> bool:
        url = f"http://{self.address}/nacos/v1/cs/configs"
        probe = {"dataId": "probe", "group": "probe"}
        written = 0
        async with ClientSession() as session:
            while written < 20:
                try:
                    async with session.get(url, params=probe) as response:
                        if response.status in (200, 403):  # it has it; or it does not know us
                            return True
                    async with session.post(url, data={**probe, "content": "here"}) as response:
                        written += response.status == 200
                except ClientError:
                    pass
                await asyncio.sleep(0.05)
        return False

    async def _can_log_in(self) -> bool:
        """Whether its user can log in. Now and then it comes up such that it answers every log-in with an error, for ever."""
        form = {"username": "operator", "password": "let-me-in"}
        async with ClientSession() as session:
            for _ in range(40):
                try:
                    async with session.post(f"http://{self.address}/nacos/v1/auth/login", data=form) as response:
                        if response.status == 200:
                            return True
                except ClientError:
                    pass
                await asyncio.sleep(0.1)
        return False

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
