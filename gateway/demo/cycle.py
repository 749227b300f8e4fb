"""The gray cycle of the scenario, step by step, with traffic flowing throughout."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from textwrap import indent
from time import perf_counter

from gateway.demo.environment import DemoInstance, Environment
from gateway.demo.processes import program_name
from gateway.demo.traffic import Load, Tally

A, B, C = "spring-cloud-a", "spring-cloud-b", "spring-cloud-c"

VERIFY_REQUESTS = 20
"""Marked requests that the verification step sends."""


class Cycle:
    """Runs the six steps in `environment` and reports each through `say`; the registry may be killed in between."""

    def __init__(
        self,
        environment: Environment,
        say: Callable[[str], None],
        progress: Callable[[str], None],
        restarts_registry: bool = False,
    ) -> None:
        self._restarts_registry = restarts_registry
        self._environment = environment
        self._say = say
        self._progress = progress
        self._load = Load(environment.url)
        self._baseline: dict[str, DemoInstance] = {}
        self._gray: list[DemoInstance] = []
        self._began = perf_counter()

    async def walk(self) -> Tally:
        """All steps. Raises ProcessFailed if a part of the environment fails."""
        await self.start_baselines()
        await self._load.start()
        try:
            await self.deploy_gray()
            await self.open_lane()
            await self._verify()
            if self._restarts_registry:
                await self._restart_registry()
            await self._release_to_production()
            await self._close_lane()
        finally:
            await self._load.close()
        return self._load.tally

    async def start_baselines(self) -> None:
        """Step 1."""
        environment = self._environment
        self._step(1, "The baselines of A, B and C are live", "")
        self._progress("starting the registry and the entry gateway")
        await environment.start()
        self._progress("starting A, B and C, each with its sidecar")
        for instance in await environment.add_all((A, "base"), (B, "base"), (C, "base")):
            self._baseline[instance.service] = instance

        async def responds() -> bool:
            return (await environment.get(environment.url)).startswith("A[")

        await environment.wait_until("the first response through the whole chain", responds)
        self._say(f"    (first response after {perf_counter() - self._began:.1f} s)")
        await self._try("")

    async def deploy_gray(self) -> None:
        """Step 2."""
        self._step(
            2, "Gray A and gray C are deployed beside them", "There is no gray B. No request is routed to them yet:"
        )
        self._progress("starting gray A and gray C, each with its sidecar")
        self._gray = await self._environment.add_all((A, "gray"), (C, "gray"))
        await self._noticed(*self._gray)
        await self._try("")
        await self._try("?group=gray")

    async def open_lane(self) -> None:
        """Step 3."""
        self._step(3, "The lane is opened", f"In {self._environment.rules}: enabled: true. The gateway reloads it:")
        await self._environment.set_lane(True)
        self._load.expects_gray = True
        await self._try("?group=gray")
        await self._try("")

    async def _verify(self) -> None:
        environment = self._environment
        self._step(4, "The new versions are verified", "Why did the request go there?")
        self._say(f"    $ {program_name()} explain --server 127.0.0.1:{environment.admin} GET '/A/a?group=gray'")
        self._say(indent(await environment.explain("/A/a?group=gray"), "    ") + "\n")
        texts = await asyncio.gather(
            *(environment.get(environment.url + "?group=gray") for _ in range(VERIFY_REQUESTS))
        )
        gray = sum(text.startswith("Agray[") and "-> B[" in text and "-> Cgray[" in text for text in texts)
        self._say(f"    {gray} of {VERIFY_REQUESTS} marked requests took Agray -> B -> Cgray")

    async def _restart_registry(self) -> None:
        self._say("\n!  The registry is killed and restarted empty")
        self._progress("waiting until all instances are registered again")
        began = perf_counter()
        await self._environment.restart_registry()
        self._say(
            f"    all instances were registered again after {perf_counter() - began:.1f} s; in the meantime, and now:"
        )
        await self._try("?group=gray")
        await self._try("")

    async def _release_to_production(self) -> None:
        environment = self._environment
        self._step(5, "The new versions go to production", "In batches: a new instance starts, the old one drains.")
        for service in (C, A):
            old = self._baseline[service]
            self._progress(f"replacing the baseline of {service}")
            new = await environment.add(service)
            await self._noticed(new)
            await environment.remove(old)
            self._baseline[service] = new
            self._say(f"    {service}: {old.address} -> {new.address}")
        await self._try("")
        await self._try("?group=gray")

    async def _close_lane(self) -> None:
        environment = self._environment
        self._step(
            6, "The lane is closed and the gray instances are removed", "The baseline serves marked requests again:"
        )
        self._load.expects_gray = False
        await environment.set_lane(False)
        self._progress("draining gray A and gray C")
        await asyncio.gather(*(environment.remove(instance) for instance in self._gray))
        await self._try("?group=gray")
        await self._try("")

    async def _noticed(self, *instances: DemoInstance) -> None:
        self._progress("waiting until every peer has noticed")
        await asyncio.gather(*(self._environment.wait_seen(instance) for instance in instances))

    def _step(self, number: int, title: str, detail: str) -> None:
        self._say(f"\n{number}. {title}")
        if detail:
            self._say(f"    {detail}")

    async def _try(self, query: str) -> None:
        url = self._environment.url + query
        self._say(f"    $ curl '{url}'")
        self._say(f"    {await self._environment.get(url)}")
