"""The scenario's environment on loopback: registry, entry gateway, and the release server that deploys everything else."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.demo.files import copy_files
from gateway.demo.processes import Processes, ProcessFailed
from gateway.demo.registries import DemoRegistry
from gateway.demo.releases import ReleaseClient, tasks_of
from gateway.release.ports import free_port

READY_TIMEOUT = 60.0
"""Seconds to wait for anything to come up, to be deployed or to be noticed."""
DRAIN_DELAY = 1.0
"""Seconds that a leaving instance keeps serving: longer than its peers need to notice."""

LANE = """\
# The lane of the demo. The release server opens and closes it by the gateway's admin API; edit it: the gateway notices.
lane_groups:
  - name: demo
    services: [spring-cloud-a, spring-cloud-b, spring-cloud-c]
    lanes:
      - name: gray
        enabled: false
        tag: gray
        match: [{param: group, equals: gray}]
"""


# The stage of the scenario: what each of its scenes needs of it.
class Environment:
    """Starts and stops the scenario's parts under `folder`, and waits until everybody has noticed."""

    def __init__(self, folder: Path, port: int = 0, registry: DemoRegistry | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.admin = free_port()
        self.registry = registry or DemoRegistry()
        self.rules = folder / "rules" / "gray.yaml"
        self.logs = folder / "logs"
        for path in (self.logs, self.rules.parent, folder / "config"):
            path.mkdir(parents=True, exist_ok=True)
        self._processes = Processes(self.logs)
        self.releases = ReleaseClient(self._processes, self.logs)

    @cached_property
    def session(self) -> ClientSession:
        """Asks whomever the demo asks."""
        return ClientSession(timeout=ClientTimeout(total=5.0))

    @property
    def url(self) -> str:
        """The entry."""
        return f"http://127.0.0.1:{self.port}/A/a"

    async def start(self) -> None:
        """Starts the registry, the entry gateway and the release server, and publishes A's config value."""
        copy_files(self.folder / "config" / "release")
        self.rules.write_text(LANE)
        await self.registry.start(self._processes, self.folder)
        gateway = self._write(
            "gateway",
            {
                "listen": f"127.0.0.1:{self.port}",
                "admin": f"127.0.0.1:{self.admin}",
                "registry": self.registry.settings,
                "routes": [{"path": "/A", "service": "spring-cloud-a", "strip_prefix": True}],
                "rules": "../rules",
            },
        )
        release = self._write(
            "release",
            {
                "listen": self.releases.address,
                "state": "../release",
                "files": "release",
                "entry": f"http://127.0.0.1:{self.port}",
                "gateways": [f"127.0.0.1:{self.admin}"],
                "targets": {
                    "local": {
                        "kind": "processes",
                        "registry": self.registry.settings,
                        "drain": {"delay": DRAIN_DELAY},
                        "keep_running": False,
                        "sidecar": {"records": {"collector": f"127.0.0.1:{self.admin}"}},
                    }
                },
            },
        )
        await self._processes.start("gateway", "-m", "gateway", "serve", "-c", str(gateway))
        await self.releases.start(release)
        await self.wait_until("the registry to respond", self.registry.publish_config)
        await self.wait_until("the entry gateway to be up", lambda: self._is_ok(self.admin, "/livez"))
        await self.wait_until("the release server to be up", lambda: self._is_ok(self.releases.port, "/readyz"))

    async def stop(self) -> None:
        """Stops everything: what was deployed before what it needs."""
        await self.releases.stop()
        await self._processes.stop_all()
        await self.session.close()

    async def run(self, reason: str, *apps: str, workflow: str | None = None) -> int:
        """Begins an order."""
        return await self.releases.run(self.session, reason, *apps, workflow=workflow)

    async def act(self, order: int, action: str, reason: str) -> None:
        """Does something to an order."""
        await self.releases.act(self.session, order, action, reason)

    async def wait_for(self, order: int, what: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Waits until something holds for an order, and returns it. Raises ProcessFailed if the order fails in the meantime."""
        found: dict[str, Any] = {}

        async def condition() -> bool:
            nonlocal found
            found = await self.releases.order(self.session, order)
            return holds(found)

        await self.wait_until(what, condition)
        return found

    async def wait_done(self, order: int, task: str) -> dict[str, Any]:
        """Waits until a task of an order is done, all parts of it, and returns the order."""
        return await self.wait_for(order, f"{task} of order {order}", lambda found: _is_done(found, task))

    async def get(self, url: str) -> str:
        """The text of the response, whatever its status."""
        async with self.session.get(url) as response:
            return await response.text()

    async def wait_until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        """Waits for a condition. Raises ProcessFailed if a process ends first or it takes too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_TIMEOUT
        while True:
            try:
                if await condition():
                    return
            except (ClientError, OSError, TimeoutError, KeyError):
                pass  # not up yet
            self._processes.check()
            if loop.time() > deadline:
                raise ProcessFailed(f"waited {READY_TIMEOUT:g} s for {what}; see the logs in {self.logs}")
            await asyncio.sleep(0.05)

    async def tell(self, *arguments: str) -> str:
        """What a command of this program prints. Raises ProcessFailed if it fails."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )
        output, errors = await process.communicate()
        if process.returncode:
            raise ProcessFailed(f"gateway {arguments[0]} failed: {errors.decode().strip()}")
        return "\n".join(line.rstrip() for line in output.decode().strip().splitlines())

    async def restart_registry(self) -> None:
        """Kills the registry and restarts it empty, then waits until all instances are registered and all lists confirmed."""
        await self.registry.kill(self._processes)
        await self.wait_until("the gateway to notice the outage", self._is_missed)
        await self.registry.start(self._processes, self.folder)
        await self.wait_until("the registry to respond again", self.registry.publish_config)
        await self.wait_until("all instances to be registered again", self._is_all_fresh)

    async def restart_releases(self) -> None:
        """Kills the release server, as a crash would, and starts it again."""
        await self.releases.kill()
        await self.releases.restart()
        await self.wait_until("the release server to be up again", lambda: self._is_ok(self.releases.port, "/readyz"))

    async def _is_missed(self) -> bool:
        services = (await self._get_json(self.admin, "/api/v1/services"))["services"]
        return any(service["state"] != "fresh" for service in services)

    async def _is_all_fresh(self) -> bool:
        sidecars = [int(item["admin"].rpartition(":")[2]) for item in await self.releases.replicas(self.session)]
        for admin in (self.admin, *sidecars):
            services = (await self._get_json(admin, "/api/v1/services"))["services"]
            if any(service["state"] != "fresh" for service in services):
                return False
        return True

    async def _is_ok(self, port: int, path: str) -> bool:
        async with self.session.get(f"http://127.0.0.1:{port}{path}") as response:
            return response.status == 200

    async def _get_json(self, port: int, path: str) -> dict[str, list[dict[str, Any]]]:
        async with self.session.get(f"http://127.0.0.1:{port}{path}") as response:
            body: dict[str, list[dict[str, Any]]] = await response.json()
            return body

    def _write(self, name: str, content: dict[str, object]) -> Path:
        path = self.folder / "config" / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path


def _is_done(order: dict[str, Any], name: str) -> bool:
    """Whether a task is done; `gray.1` is that of all applications."""
    mine = [task for task in tasks_of(order) if task["task"] == name or task["task"].startswith(f"{name}.")]
    return bool(mine) and all(task["state"] == "SUCCESS" for task in mine)
