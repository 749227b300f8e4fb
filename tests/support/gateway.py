"""A running `gateway serve`: an entry gateway in a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from gateway.release.ports import free_port
from tests.support.origin import Origin
from tests.support.process import Program, get_json
from tests.support.wait import until_found

RULES = """\
lane_groups:
  - name: demo
    services: [a]
    lanes:
      - {name: gray, enabled: true, tag: gray, match: [{param: group, equals: gray}]}
"""

LASTING = {"preserved.heart.beat.timeout": "3600000", "preserved.ip.delete.timeout": "3600000"}
"""Metadata of an instance for which nobody sends heartbeats: on a machine that is busy, they would be missed."""


class Gateway(Program):
    """A running entry gateway in front of `origin`."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        super().__init__(folder)
        self.port, self.admin = free_port(), free_port()
        instances = [
            {"address": f"127.0.0.1:{origin.ports['base']}"},
            {"address": f"127.0.0.1:{origin.ports['gray']}", "tag": "gray"},
        ]
        self.config: dict[str, Any] = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            "registry": {"kind": "static", "services": {"a": instances}},
            "routes": [{"path": "/A", "service": "a", "strip_prefix": True}],
            "rules": "rules",
        }

    async def run(self) -> None:
        self.write("gateway.yaml", self.config)
        self.write("rules/gray.yaml", RULES)
        await self.start("serve", "-c", "gateway.yaml")
        await self.wait_ok(self.admin)

    async def ask(self, target: str) -> str:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{target}") as response:
            return await response.text()

    async def wait_revision(self, revision: int) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while (status := await get_json(self.admin, "/api/v1/status"))["revision"] != revision:
                await asyncio.sleep(0.02)
            result: dict[str, Any] = status
            return result

    async def wait_pools(self, *tags: str) -> None:
        """Waits until it knows instances with these tags, of all services together."""

        async def found() -> bool | None:
            services = (await get_json(self.admin, "/api/v1/services"))["services"]
            return {pool["tag"] for service in services for pool in service["pools"]} == set(tags) or None

        await until_found(found)

    async def wait_reload_error(self) -> list[str]:
        async with asyncio.timeout(30):
            while not (error := (await get_json(self.admin, "/api/v1/status"))["last_reload_error"]):
                await asyncio.sleep(0.02)
            result: list[str] = error
            return result
