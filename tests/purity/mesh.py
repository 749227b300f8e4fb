"""The entry gateway, the registry, and sidecars with their applications, that faults are inflicted on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.release.ports import free_port
from gateway.tags import BASE
from tests.purity.application import Application, modes_for
from tests.purity.judge import CLOSED, FOLLOWING, SERVICES, Judge
from tests.purity.registries import REGISTRIES, Registry, retag, settings
from tests.support.process import Program

GRAY: Final = "gray"
HAS_GRAY: Final = ("a", "c")
"""The services that have gray unless a fault is at it."""
STREAK: Final = 25
"""Marked requests in a row that gray has served before it counts as usable."""
PATIENCE: Final = 90.0
"""Seconds that anything may take to come up or to be noticed. Longer is a violation by itself."""
LANE: Final = """\
lane_groups:
  - name: demo
    services: [a, b, c]
    lanes:
      - name: gray
        enabled: true
        tag: gray
        match: [{param: group, equals: gray}]
"""


class NotRecovered(AssertionError):
    """Something did not come up, or was not noticed, in time."""


class Instance:
    """One sidecar and its application."""

    def __init__(self, service: str, tag: str, number: int, ports: dict[str, int], folder: Path) -> None:
        self.service = service
        self.tag = tag
        self.ports = ports
        self.name = f"{service}.{tag}.{number}"
        folder.mkdir(parents=True)
        self.sidecar = Program(folder)
        self.application: Application | None = None
        self.was_retagged = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['inbound']}"

    async def end(self) -> None:
        """Its application too, and at once."""
        await self.sidecar.close()
        if self.application is not None:
            await self.application.close()


class Mesh:
    """Everything, in a folder. `source` draws modes of applications and settings of sidecars."""

    def __init__(self, folder: Path, registry: str, judge: Judge, source: random.Random) -> None:
        self.folder = folder
        self.judge = judge
        self.registry: Registry = REGISTRIES[registry](folder)
        self.instances: list[Instance] = []
        self.is_registry_well = True
        self.starting = asyncio.Lock()
        self.registry_fault = asyncio.Lock()
        self.port, self.admin = free_port(), free_port()
        (folder / "entry").mkdir()
        self.entry = Program(folder / "entry")
        self._random = source
        # Of those that have ended. What was an inbound listener's becomes nothing else: registries list it for a while, and
        # what is no sidecar cannot say that it is not the one that is meant.
        self._inbounds: list[int] = []
        self._others: list[int] = []
        self._number = 0
        self._held: Counter[str] = Counter()
        self.modes: dict[str, str] = {}
        before = None
        for service in SERVICES:
            before = self.modes[service] = source.choice(modes_for(before))

    async def start(self) -> None:
        """The baselines, gray A and gray C, all of them known to each other."""
        self._session = ClientSession(timeout=ClientTimeout(total=5))
        await self.registry.start(fresh=True)
        self.entry.write("rules/gray.yaml", LANE)
        self.entry.write(
            "gateway.yaml",
            {
                "listen": f"127.0.0.1:{self.port}",
                "admin": f"127.0.0.1:{self.admin}",
                "workers": 2,
                "registry": settings(self.registry),
                "routes": [{"path": "/A", "service": "a", "strip_prefix": True}],
                "rules": "rules",
                "state": "state",
                "timeouts": {"response": "8s"},
            },
        )
        await self.entry.start("serve", "-c", "gateway.yaml")
        for service in reversed(SERVICES):  # those that are called come before their callers
            tags = (BASE, GRAY) if service in HAS_GRAY else (BASE,)
            await asyncio.gather(*(self._run(service, tag, 0) for tag in tags))
        await self.entry.wait_ok(self.admin)

    async def close(self) -> None:
        await self.entry.close()
        await asyncio.gather(*(instance.end() for instance in self.instances))
        await self.registry.stop()
        await self._session.close()

    def of(self, service: str, tag: str) -> list[Instance]:
        return [item for item in self.instances if (item.service, item.tag) == (service, tag)]

    async def run(self, service: str, tag: str, inbound: int = 0) -> Instance:
        """Starts an instance, at an address that may have been another's, and waits until it is ready and known."""
        async with self.starting:
            if self.is_registry_well:  # and stays so meanwhile
                return await self._run(service, tag, inbound)
        # One that has just come up knows only what the registry says. If that has returned with nothing in it, the first list of
        # the service that it calls may be empty: nobody can know better.
        called = [FOLLOWING[service]] if service in FOLLOWING else []
        with self.judge.trouble(f"a start of {service} {tag} without a complete registry"):
            with self.holding(*called):
                instance = await self._run(service, tag, inbound)

                async def is_well() -> bool:
                    return self.is_registry_well

                await self.wait("the registry to be complete", is_well)
            # What a fault holds at this time it settles itself, when it is over.
            await self.settle(*(name for name in called if not self._held[name]))
        return instance

    async def _run(self, service: str, tag: str, inbound: int) -> Instance:
        instance = await self.launch(service, tag, inbound)
        await self.wait_known(instance)
        return instance

    async def launch(self, service: str, tag: str, inbound: int) -> Instance:
        """Starts an instance, whatever the registry does."""
        self._number += 1
        ports = {name: self._take_port(self._others) for name in ("app", "outbound", "admin")}
        ports["inbound"] = inbound or self._take_port(self._inbounds)
        instance = Instance(service, tag, self._number, ports, self.folder / f"{self._number}")
        self.instances.append(instance)
        following = FOLLOWING.get(service, "")
        instance.application = Application(instance.name, self.modes[service], ports["outbound"], following)
        await instance.application.start(ports["app"])
        instance.sidecar.write("sidecar.yaml", self._settings_of(instance))
        self.judge.note(f"starting {instance.name} at {instance.address}")
        await instance.sidecar.start("sidecar", "-c", "sidecar.yaml")
        return instance

    async def wait_known(self, instance: Instance) -> None:
        """Until an instance is ready, its callers know it, and it knows whom it calls."""
        await instance.sidecar.wait_ok(instance.ports["admin"], timeout=PATIENCE)
        await self.wait(f"{instance.name} to be known", lambda: self._is_known(instance))
        following = FOLLOWING.get(instance.service)
        if following:  # an instance that has never called has no list yet
            await self.wait(f"{instance.name} to know {following}", lambda: self._can_call(instance, following))
        self.judge.note(f"known: {instance.name}")

    async def wait_serving(self, instance: Instance) -> None:
        """Until its sidecar accepts requests, though no registry has it."""

        async def is_serving() -> bool:
            _, writer = await asyncio.open_connection("127.0.0.1", instance.ports["inbound"])
            writer.close()
            return True

        await self.wait(f"{instance.name} to serve", is_serving)

    @contextlib.contextmanager
    def holding(self, *services: str) -> Iterator[None]:
        """Meanwhile, nothing is required of gray of these services. To require it again is up to the caller: `settle`."""
        self._held.update(services)
        self.judge.release(*services)
        try:
            yield
        finally:
            self._held.subtract(services)

    async def settle(self, *services: str) -> None:
        """Until marked requests stay on gray of services that have any, and nobody holds them: from then on they have to.

        With CLOSED: until marked requests are on no gray.
        """
        await asyncio.gather(*map(self._settle, services))

    async def _settle(self, service: str) -> None:
        self.judge.streaks[service] = 0

        async def is_used() -> bool:
            if self._held[service]:
                self.judge.streaks[service] = 0
                return False
            if not self._has_gray(service):
                return True
            # One worker of the entry may use an instance while another one still has it ejected.
            is_in_use = self.judge.streaks[service] >= STREAK and await self._are_in_traffic(self.of(service, GRAY))
            return is_in_use and not self._held[service]  # by a fault that has begun since

        await self.wait(f"marked requests on gray {service}", is_used)
        if self._has_gray(service):
            self.judge.require(service)

    async def _are_in_traffic(self, instances: list[Instance]) -> bool:
        return all([await self._is_known(instance) for instance in instances])

    def _has_gray(self, service: str) -> bool:
        return service == CLOSED or bool(self.of(service, GRAY))

    async def end(self, instance: Instance, number: signal.Signals) -> None:
        """SIGTERM, as to be drained, or SIGKILL. Whatever was required of its pool must have been released before."""
        self.judge.note(f"{number.name} to {instance.name} at {instance.address}")
        instance.sidecar.send(number)
        await instance.sidecar.wait(PATIENCE)
        self.judge.note(f"ended: {instance.name}")
        self.instances.remove(instance)
        await instance.end()
        self._others += [port for name, port in instance.ports.items() if name != "inbound"]
        if (
            not instance.was_retagged
        ):  # Nacos puts what an operator has said of an address over what its next instance says
            self._inbounds.append(instance.ports["inbound"])

    def take_port(self, instance: Instance) -> int:
        """The inbound port of one that has ended, for another one; a new one if a registry may still say there what it was told."""
        port = instance.ports["inbound"]
        if port not in self._inbounds:
            return free_port()
        self._inbounds.remove(port)
        return port

    async def wait(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            try:
                if await condition():
                    return
            except (ClientError, OSError, TimeoutError, KeyError):
                pass
            if loop.time() > deadline:
                raise NotRecovered(f"waited {PATIENCE:g} s for {what}")
            await asyncio.sleep(0.05)

    async def get(self, port: int, path: str) -> Any:
        async with self._session.get(f"http://127.0.0.1:{port}{path}") as response:
            return json.loads(await response.text())

    async def retag(self, instance: Instance, tag: str) -> None:
        """Changes its tag in the registry alone."""
        instance.was_retagged = True
        self.judge.note(f"the registry says {tag} of {instance.name} at {instance.address}")
        await retag(self.registry, self._session, instance.service, instance.ports["inbound"], tag)

    async def post(self, path: str) -> int:
        """The status of what the entry's admin API says."""
        async with self._session.post(f"http://127.0.0.1:{self.admin}{path}", json={}) as response:
            return response.status

    async def chain(self, trace: str) -> list[str]:
        """What gateways and sidecars recorded of a request, a line for each call, or that they did not."""
        try:
            found = await self.get(self.admin, f"/api/v1/chains/{trace}")
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            return [repr(error)]
        return [line for hop in found.get("hops", []) for line in _lines(hop)]

    async def is_complete(self) -> bool:
        """Whether everybody has all living instances from the registry, rather than remembers them."""
        for admin in (self.admin, *(item.ports["admin"] for item in self.instances)):
            for service in (await self.get(admin, "/api/v1/services"))["services"]:
                listed = {
                    instance["address"]
                    for pool in service["pools"]
                    for instance in pool["instances"]
                    if not instance["kept"]
                }
                alive = {item.address for item in self.instances if item.service == service["service"]}
                if service["state"] not in ("fresh", "protected") or not alive <= listed:
                    return False
        return True

    async def _is_known(self, instance: Instance) -> bool:
        callers = {"a": [], "b": ["a"], "c": ["b"]}[instance.service]
        admins = [item.ports["admin"] for item in self.instances if item.service in callers]
        for admin in [self.admin] if instance.service == "a" else admins:
            for known in (await self.get(admin, "/api/v1/services"))["services"]:
                tags = [
                    pool["tag"]
                    for pool in known["pools"]
                    for item in pool["instances"]
                    if item["address"] == instance.address and item["healthy"] and not item["ejected"]
                ]
                if known["service"] == instance.service and tags != [instance.tag]:
                    return False
        return True

    async def _can_call(self, instance: Instance, service: str) -> bool:
        url = f"http://{instance.address.rpartition(':')[0]}:{instance.ports['outbound']}/"
        async with self._session.get(url, headers={"Host": service}) as response:
            return response.status == 200

    def _take_port(self, ended: list[int]) -> int:
        return free_port() if len(ended) < 4 else ended.pop(self._random.randrange(len(ended)))

    def _settings_of(self, instance: Instance) -> dict[str, Any]:
        addresses = {name: f"127.0.0.1:{port}" for name, port in instance.ports.items()}
        return {
            "service": instance.service,
            "tag": instance.tag,
            **addresses,
            "registry": settings(self.registry),
            "records": {"collector": f"127.0.0.1:{self.admin}"},
            "drain": {"delay": "1s"},
            "trace_memory": {"request_id": self.modes[instance.service] == "x-request-id"},
            "http2": {"enabled": self._random.random() < 0.5},
            "timeouts": {"response": "6s"},
        }


def _lines(hop: dict[str, Any], depth: int = 0) -> list[str]:
    shown = ("tag", "tag_source", "pool", "fallback", "lost", "instance", "status", "cause", "attempts", "revision")
    values = ", ".join(f"{name} {hop[name]}" for name in shown if hop[name] is not None)
    line = f"{'  ' * depth}{hop['reporter']['name']} -> {hop['service']}: {values}"
    return [line, *(line for call in hop["calls"] for line in _lines(call, depth + 1))]
