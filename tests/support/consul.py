"""A real Consul agent, where one is installed: `consul` on the PATH, or from `make servers`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from gateway.demo.registries import find_server
from gateway.release.ports import free_port

CONSUL = find_server("consul")

needs_consul = pytest.mark.skipif(
    CONSUL is None, reason="consul is not installed: this is NOT tested against the real one"
)


class Consul:
    """`consul agent -dev` on ports of its own."""

    kind = "consul"
    ROOT = "8a5f2c1e-0000-4000-8000-000000000001"
    """The token that may do everything, where there are ACLs."""

    def __init__(self, folder: Path, *options: str, acl: bool = False) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._acl = acl
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, fresh: bool = False) -> None:
        """An agent in dev mode keeps nothing, so that every start is `fresh`."""
        assert CONSUL is not None
        options = [*self._options]
        if self._acl:
            tokens = f'tokens {{ initial_management = "{self.ROOT}" agent = "{self.ROOT}" }}'
            options += ["-hcl", f'acl {{ enabled = true default_policy = "deny" {tokens} }}']
        others = [f"-{name}-port={free_port()}" for name in ("serf-lan", "serf-wan", "server")]
        with (self._folder / "consul.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                CONSUL, "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", f"-http-port={self.port}",
                "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", "-log-level=warn", *others, *options,
                stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(30), ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://{self.address}/v1/status/leader") as response:
                        if (await response.text()).strip('"\n'):
                            return
                except ClientError:
                    pass
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
