"""The gray cycle of the scenario, step by step, with traffic flowing throughout.

A release train of A and C goes through the workflow of `config/release/workflows/gray-release.yaml`; the demo looks at what each
step has come to, and says what the person says who would sit there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from textwrap import indent
from time import perf_counter
from typing import Any

from gateway.demo.environment import Environment
from gateway.demo.processes import program_name
from gateway.demo.releases import tasks_of
from gateway.demo.traffic import Load, Tally

LOOK = 0.5
"""Seconds between two looks whether somebody else has agreed."""
Confirm = Callable[[str], Awaitable[str]]
"""Asks a person to approve what comes next; returns the reason."""


class Cycle:
    """Walks the six steps in `environment`, telling each through `say`.

    `confirm` agrees if the workflow waits for a person. `trouble` happens while the lane is open.
    """

    def __init__(
        self,
        environment: Environment,
        say: Callable[[str], None],
        progress: Callable[[str], None],
        confirm: Confirm,
        *,
        restarts_registry: bool = False,
        kills_server: bool = False,
    ) -> None:
        self._restarts_registry = restarts_registry
        self._kills_server = kills_server
        self._environment = environment
        self._say = say
        self._progress = progress
        self._confirm = confirm
        self._is_first = True
        self._load = Load(environment.url)
        self._began = perf_counter()

    async def walk(self) -> Tally:
        """All steps. Raises ProcessFailed if a part of the environment fails."""
        await self._start_baselines()
        await self._load.start()
        try:
            order = await self.deploy_gray()
            await self.open_lane(order)
            await self._verify(order)
            if self._restarts_registry:
                await self._restart_registry()
            await self._release_to_production(order)
            await self._close_lane(order)
        finally:
            await self._load.close()
        self._is_first = False
        return self._load.tally

    async def _start_baselines(self) -> None:
        """Step 1."""
        environment = self._environment
        self._step(1, "The baselines of A, B and C are live", "")
        self._progress("starting the registry, the entry gateway and the release server")
        await environment.start()
        self._progress("deploying A, B and C, each with its sidecar")
        order = await environment.run("the first version", "a", "b", "c", workflow="baseline")
        await environment.wait_done(order, "production.2")

        async def responds() -> bool:
            return (await environment.get(environment.url)).startswith("A[")

        await environment.wait_until("the first response through the whole chain", responds)
        self._say(f"    (first response after {perf_counter() - self._began:.1f} s)")
        await self._try("")

    async def deploy_gray(self) -> int:
        """Step 2. Returns the number of the order."""
        self._step(
            2, "Gray A and gray C are deployed beside them", "There is no gray B. No request is routed to them yet:"
        )
        order = await self._environment.run("new prices", "a", "c")
        await self._maybe_kill_server("gray is deployed", 4)
        self._progress("deploying gray A and gray C, each with its sidecar")
        await self._environment.wait_done(order, "gray.1")
        await self._try("")
        await self._try("?group=gray")
        return order

    async def open_lane(self, order: int) -> None:
        """Step 3."""
        self._step(3, "The lane is opened", "Its instances are ready, and every caller knows them:")
        await self._agree(order, "promote", "lane")
        await self._environment.wait_done(order, "lane.1")
        self._load.expects_gray = True
        await self._try("?group=gray")
        await self._try("")

    async def _verify(self, order: int) -> None:
        environment = self._environment
        self._step(4, "The new versions are verified", "Why did the request go there?")
        self._say(f"    $ {program_name()} explain --server 127.0.0.1:{environment.admin} GET '/A/a?group=gray'")
        server = f"127.0.0.1:{environment.admin}"
        self._say(
            indent(await environment.tell("explain", "--server", server, "GET", "/A/a?group=gray"), "    ") + "\n"
        )
        await environment.wait_done(order, "lane.2")
        self._say(
            "    20 of 20 marked requests took Agray -> B -> Cgray, and 20 of 20 unmarked ones A -> B -> C. The order:\n"
        )
        self._say(f"    $ {program_name()} release get --server {environment.releases.address}")
        told = await environment.tell("release", "get", str(order), "--server", environment.releases.address)
        self._say(indent(told, "    "))

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

    async def _release_to_production(self, order: int) -> None:
        environment = self._environment
        self._step(5, "The new versions go to production", "C, then A: a new instance starts, the old one drains.")
        await self._agree(order, "approve", "production")
        before = await self._addresses()
        await self._maybe_kill_server("production is deployed", 6)
        self._progress("replacing the baselines, batch by batch")
        await environment.wait_done(order, "production.1")
        after = await self._addresses()
        for app in ("c", "a"):
            self._say(f"    {app}: {before[app]} -> {after[app]}")
        await self._try("")
        await self._try("?group=gray")

    async def _close_lane(self, order: int) -> None:
        self._step(
            6, "The lane is closed and the gray instances go", "Marked requests are served by the baseline again:"
        )
        self._load.expects_gray = False
        await self._agree(order, "promote", "cleanup")
        await self._maybe_kill_server("gray is cleaned up", 5)
        self._progress("closing the lane, draining gray A and gray C")
        await self._environment.wait_for(order, "the end of the order", lambda found: found["state"] == "SUCCESS")
        await self._try("?group=gray")
        await self._try("")

    async def _maybe_kill_server(self, what: str, instances: int) -> None:
        """Kills the release server, if that is wanted, once there are so many instances, and starts it again."""
        if not self._kills_server or not self._is_first:
            return
        environment = self._environment

        async def is_at_work() -> bool:
            return len(await environment.releases.replicas(environment.session)) >= instances

        await environment.wait_until(f"{instances} instances", is_at_work)
        self._say(f"    !  The release server is killed while {what}, and restarted")
        await environment.restart_releases()

    async def _addresses(self) -> dict[str, str]:
        """Where production is, by application."""
        environment = self._environment
        replicas = await environment.releases.replicas(environment.session)
        return {item["app"]: item["address"] for item in replicas if item["environment"] == "prod"}

    async def _agree(self, order: int, action: str, what: str) -> None:
        """Waits until the order asks, and agrees; or until somebody else has, from another terminal."""
        environment, kind = self._environment, {"promote": "pause", "approve": "approve"}[action]

        def asks(found: dict[str, Any]) -> bool:
            return any(task["state"] == "SUSPENDED" and task["kind"] == kind for task in tasks_of(found))

        await environment.wait_for(order, f"order {order} to ask for {what}", asks)
        command = f"{program_name()} release {action} --server {environment.releases.address} --reason 'looks good'"
        asking = asyncio.ensure_future(self._confirm(command))
        try:
            while asks(await environment.releases.order(environment.session, order)):
                await asyncio.wait((asking,), timeout=LOOK)
                if asking.done():
                    await environment.act(order, action, asking.result())
                    return
        finally:
            asking.cancel()

    def _step(self, number: int, title: str, detail: str) -> None:
        self._say(f"\n{number}. {title}")
        if detail:
            self._say(f"    {detail}")

    async def _try(self, query: str) -> None:
        url = self._environment.url + query
        self._say(f"    $ curl '{url}'")
        self._say(f"    {await self._environment.get(url)}")
