"""The scenario's environment on loopback: registry, entry gateway, and instances of A, B and C with their sidecars."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.demo.processes import Process, Processes, ProcessFailed, free_port
from gateway.demo.registries import DemoRegistry

READY_TIMEOUT = 30.0
"""Seconds to wait for anything to start or to be noticed."""
DRAIN_DELAY = 1.0
"""Seconds that a stopping instance continues to serve: longer than its peers need to notice."""

CALLS = {"spring-cloud-a": "spring-cloud-b", "spring-cloud-b": "spring-cloud-c", "spring-cloud-c": ""}

LANE = """\
# The lane of the demo. Edit it while the demo runs: the gateway notices.
lane_groups:
  - name: demo
    services: [spring-cloud-a, spring-cloud-b, spring-cloud-c]
    lanes:
      - name: gray
        enabled: {enabled}
        tag: gray
        match: [{{param: group, equals: gray}}]
"""


@dataclass(slots=True)
class DemoInstance:
    """One instance of a service: the app and the sidecar beside it."""

    service: str
    tag: str
    app: Process
    sidecar: Process
    admin: int
    inbound: int

    @property
    def address(self) -> str:
        """The registered address."""
        return f"127.0.0.1:{self.inbound}"


class Environment:
    """Starts and stops the parts of the scenario under `folder`, and waits until all peers have noticed."""

    def __init__(self, folder: Path, port: int = 0, registry: DemoRegistry | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.admin = free_port()
        self.registry = registry or DemoRegistry()
        self.rules = folder / "rules" / "gray.yaml"
        self.instances: list[DemoInstance] = []
        self.logs = folder / "logs"
        self._started = 0
        for path in (self.logs, self.rules.parent, folder / "config"):
            path.mkdir(parents=True, exist_ok=True)
        self._processes = Processes(self.logs)

    @cached_property
    def _session(self) -> ClientSession:
        return ClientSession(timeout=ClientTimeout(total=5.0))

    @property
    def url(self) -> str:
        """The URL at the entry gateway."""
        return f"http://127.0.0.1:{self.port}/A/a"

    async def start(self) -> None:
        """Starts the registry and the entry gateway, and publishes A's config value."""
        self.write_lane(enabled=False)
        await self.registry.start(self._processes, self.folder)
        config = self._write(
            "gateway",
            {
                "listen": f"127.0.0.1:{self.port}",
                "admin": f"127.0.0.1:{self.admin}",
                "registry": self.registry.settings,
                "routes": [{"path": "/A", "service": "spring-cloud-a", "strip_prefix": True}],
                "rules": "../rules",
            },
        )
        await self._processes.start("gateway", "-m", "gateway", "serve", "-c", str(config))
        await self.wait_until("the registry to respond", self.registry.publish_config)
        await self.wait_until("the entry gateway to be up", lambda: self._is_ok(self.admin, "/livez"))

    async def stop(self) -> None:
        """Stops everything."""
        await self._processes.stop_all()
        await self._session.close()

    async def add(self, service: str, tag: str = "base") -> DemoInstance:
        """Starts one more instance and waits until it is registered."""
        self._started += 1
        letter = service[-1].upper()
        name = letter + ("" if tag == "base" else tag)
        label = f"{name}-{self._started}"
        app, inbound, outbound, admin = (free_port() for _ in range(4))
        arguments = ["-m", "gateway.demo.service", "--name", name, "--listen", f"127.0.0.1:{app}"]
        if CALLS[service]:
            arguments += ["--outbound", f"http://127.0.0.1:{outbound}", "--next", CALLS[service]]
        if letter == "A":
            kind, address = self.registry.kind, self.registry.address
            arguments += ["--registry-kind", kind, "--registry", address]
        config = self._write(
            label,
            {
                "service": service,
                "tag": tag,
                "app": f"127.0.0.1:{app}",
                "inbound": f"127.0.0.1:{inbound}",
                "outbound": f"127.0.0.1:{outbound}",
                "admin": f"127.0.0.1:{admin}",
                "registry": self.registry.settings,
                "drain": {"delay": DRAIN_DELAY},
            },
        )
        app_process = await self._processes.start(f"{label}-app", *arguments)
        # The app first: an instance is registered when its sidecar is up, so its app must serve by then.
        await self.wait_until(f"{label} to serve", lambda: self._is_listening(app))
        sidecar = await self._processes.start(f"{label}-sidecar", "-m", "gateway", "sidecar", "-c", str(config))
        instance = DemoInstance(service, tag, app_process, sidecar, admin, inbound)
        await self.wait_until(f"{label} to be registered", lambda: self._is_ok(admin, "/readyz"))
        self.instances.append(instance)
        return instance

    async def add_all(self, *wanted: tuple[str, str]) -> list[DemoInstance]:
        """Starts several instances (service, tag) at once."""
        return list(await asyncio.gather(*(self.add(service, tag) for service, tag in wanted)))

    async def remove(self, instance: DemoInstance) -> None:
        """Stops an instance as a deployment does: the sidecar deregisters and drains, then the app goes."""
        self.instances.remove(instance)
        for process in (instance.sidecar, instance.app):
            await process.stop()
            self._processes.forget(process)

    async def wait_seen(self, instance: DemoInstance) -> None:
        """Waits until every proxy that calls the instance's service knows it."""
        await self.wait_until(
            f"{instance.service} at {instance.address} to be noticed", lambda: self._is_seen(instance)
        )

    def write_lane(self, enabled: bool) -> None:
        """Opens or closes the lane, as an operator would: by saving the rules file."""
        new = self.rules.with_suffix(".tmp")
        new.write_text(LANE.format(enabled=str(enabled).lower()))
        new.replace(self.rules)

    async def set_lane(self, enabled: bool) -> None:
        """Opens or closes the lane and waits until the entry gateway routes by it."""
        self.write_lane(enabled)

        async def is_applied() -> bool:
            lanes = await self._get_json(self.admin, "/api/v1/lanes")
            return [lane["enabled"] for lane in lanes["lanes"]] == [enabled]

        await self.wait_until(f"the lane to be {'open' if enabled else 'closed'}", is_applied)

    async def get(self, url: str) -> str:
        """The text of the response, whatever its status."""
        async with self._session.get(url) as response:
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

    async def _is_seen(self, instance: DemoInstance) -> bool:
        callers = [other.admin for other in self.instances if CALLS[other.service] == instance.service]
        for admin in callers or [self.admin]:
            services = (await self._get_json(admin, "/api/v1/services"))["services"]
            pools = [
                pool for service in services if service["service"] == instance.service for pool in service["pools"]
            ]
            if services and not any(
                entry["address"] == instance.address and entry["healthy"]
                for pool in pools
                for entry in pool["instances"]
            ):
                return False
        return True

    async def explain(self, target: str) -> str:
        """The output of `gateway explain` for a GET request to the entry gateway. Raises ProcessFailed if it fails."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "explain", "--server", f"127.0.0.1:{self.admin}", "GET", target),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        if process.returncode:
            raise ProcessFailed(f"gateway explain failed: {errors.decode().strip()}")
        return "\n".join(line.rstrip() for line in output.decode().strip().splitlines())

    async def restart_registry(self) -> None:
        """Kills the registry and restarts it empty, then waits until all instances are registered and all lists confirmed."""
        await self.registry.kill(self._processes)
        await self.wait_until("the gateway to notice the outage", self._is_missed)
        await self.registry.start(self._processes, self.folder)
        await self.wait_until("the registry to respond again", self.registry.publish_config)
        await self.wait_until("all instances to be registered again", self._is_all_fresh)

    async def _is_missed(self) -> bool:
        services = (await self._get_json(self.admin, "/api/v1/services"))["services"]
        return any(service["state"] != "fresh" for service in services)

    async def _is_all_fresh(self) -> bool:
        for admin in (self.admin, *(instance.admin for instance in self.instances)):
            services = (await self._get_json(admin, "/api/v1/services"))["services"]
            if any(service["state"] != "fresh" for service in services):
                return False
        return True

    async def _is_ok(self, port: int, path: str) -> bool:
        async with self._session.get(f"http://127.0.0.1:{port}{path}") as response:
            return response.status == 200

    async def _is_listening(self, port: int) -> bool:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()
        return True

    async def _get_json(self, port: int, path: str) -> dict[str, list[dict[str, Any]]]:
        async with self._session.get(f"http://127.0.0.1:{port}{path}") as response:
            body: dict[str, list[dict[str, Any]]] = await response.json()
            return body

    def _write(self, name: str, content: dict[str, object]) -> Path:
        path = self.folder / "config" / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path
