"""The demo's release server, and how it is queried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from gateway.demo.processes import Process, Processes, ProcessFailed
from gateway.release.ports import free_port

ACTOR = "demo"


class ReleaseClient:
    """The release server of the demo, on its own port. `session` queries it."""

    def __init__(self, processes: Processes, logs: Path) -> None:
        self.port = free_port()
        self._processes = processes
        self._logs = logs
        self._process: Process | None = None
        self._config = Path()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"127.0.0.1:{self.port}"

    async def start(self, config: Path) -> None:
        """Starts it."""
        self._config = config
        self._process = await self._processes.start("release", "-m", "gateway", "release", "serve", "-c", str(config))

    async def kill(self) -> None:
        """Kills it, as a crash would; what it deployed keeps running."""
        assert self._process is not None
        await self._process.kill()
        self._processes.forget(self._process)

    async def restart(self) -> None:
        """Starts it again."""
        await self.start(self._config)

    async def stop(self) -> None:
        """Ends it, and with it what it deployed."""
        if self._process is not None and self._process.is_running:
            await self._process.stop()
            self._processes.forget(self._process)

    async def run(self, session: ClientSession, reason: str, *apps: str, workflow: str | None = None) -> int:
        """Begins an order. Raises ProcessFailed if it is refused."""
        body = {"apps": dict.fromkeys(apps), "workflow": workflow, "reason": reason}
        order: dict[str, Any] = await self._ask(session, "POST", "/api/v1/orders", body)
        number: int = order["id"]
        return number

    async def act(self, session: ClientSession, order: int, action: str, reason: str) -> None:
        """Does something to an order. Raises ProcessFailed if it is refused."""
        await self._ask(session, "POST", f"/api/v1/orders/{order}/{action}", {"reason": reason})

    async def order(self, session: ClientSession, number: int) -> dict[str, Any]:
        """An order. Raises ProcessFailed if it has failed."""
        found = await self._ask(session, "GET", f"/api/v1/orders/{number}")
        if found["state"] in ("FAILED", "CANCELED"):
            broken = [task for task in tasks_of(found) if task["state"] == "FAILED"]
            why = "; ".join(f"{task['task']}: {task['message']}" for task in broken)
            raise ProcessFailed(
                f"order {number} is {found['state']}: {why or found['reason']}; the logs are in {self._logs}"
            )
        return found

    async def replicas(self, session: ClientSession) -> list[dict[str, Any]]:
        """Every instance, with its application and environment."""
        found = await self._ask(session, "GET", "/api/v1/apps")
        return [
            {**item, "app": app["application"], "environment": place["environment"]}
            for app in found["apps"]
            for place in app["environments"]
            for item in place["replicas"]
        ]

    async def _ask(self, session: ClientSession, method: str, path: str, body: object = None) -> dict[str, Any]:
        url = f"http://{self.address}{path}"
        async with session.request(method, url, json=body, headers={"X-Author": ACTOR}) as response:
            found: dict[str, Any] = await response.json()
            if response.status >= 400:
                raise ProcessFailed(f"the release server responds with {response.status}: {found.get('detail')}")
            return found


def tasks_of(order: dict[str, Any]) -> list[dict[str, Any]]:
    """The tasks of an order, of every job and stage."""
    return [task for job in order["jobs"] for stage in job["stages"] for task in stage["tasks"]]
