"""The Gateway API followed: collections of all objects, translated anew whenever one changes, and the status of each.

What is translated is always all there is at that moment, whatever has changed, and in which order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from gateway.daemons import keep_running
from gateway.gatewayapi.copies import read_copy, write_copy
from gateway.gatewayapi.objects import (
    GROUP,
    Gateway,
    Namespace,
    Service,
    read_class,
    read_gateway,
    read_grant,
    read_namespace,
    read_route,
    read_service,
)
from gateway.gatewayapi.status import VERSION, StatusWriter, now, writes
from gateway.gatewayapi.translate import Memory, Translation, translate
from gateway.gatewayapi.world import Here, World
from gateway.kubernetes.client import ApiClient
from gateway.kubernetes.collection import Collection
from gateway.printable import printable
from gateway.routing.plans import RouteSet

_log = logging.getLogger("gateway.kubernetes")

GRANTS: Final = f"/apis/{GROUP}/v1beta1/referencegrants"
"""In the version that older clusters have, too."""


class GatewayApiSource:
    """Follows a cluster. `apply(routes)` puts routes in force; called only if they have changed.

    `copy` is a file that keeps them, for a start while the API server is away.
    """

    def __init__(
        self, client: ApiClient, here: Here, apply: Callable[[RouteSet], None], copy: Path | None = None
    ) -> None:
        self._client = client
        self._here = here
        self._apply = apply
        self._changed = asyncio.Event()
        self._writer = StatusWriter(client)
        self._task: asyncio.Task[None] | None = None
        self._memory = Memory()
        self._copy = copy
        self._in_force: RouteSet | None = None
        self._translation: Translation | None = None
        self._said = ""
        space = f"namespaces/{here.namespace}/"
        wide = "" if here.sees_all else space
        collect = partial(Collection, client, on_change=lambda _: self._changed.set())
        name = f"metadata.name={here.gateway}"
        self._collections = {
            "classes": collect(path=f"{VERSION}/gatewayclasses", keep=read_class),
            "gateways": collect(path=f"{VERSION}/{space}gateways", keep=read_gateway, fields=name),
            "routes": collect(path=f"{VERSION}/{wide}httproutes", keep=read_route),
            "services": collect(path=f"/api/v1/{wide}services", keep=read_service),
        }
        if here.sees_all:
            self._collections["grants"] = collect(path=GRANTS, keep=read_grant)
            self._collections["namespaces"] = collect(
                path="/api/v1/namespaces", keep=read_namespace, only_metadata=True
            )

    def start(self) -> None:
        """Begins, with the routes of an earlier run if they were kept."""
        kept = None if self._copy is None else read_copy(self._copy)
        if kept is not None:
            self._put_in_force(kept)
        for collection in self._collections.values():
            collection.start()
        self._task = keep_running("following the Gateway API", self._follow)

    async def close(self) -> None:
        """Ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(collection.close() for collection in self._collections.values()))
        await self._client.close()

    def missing(self) -> list[str]:
        """What is not known yet that routes are made of, for people; empty if all is, and routes are in force."""
        if self._in_force is not None:
            return []
        unknown = [item for item in self._collections.values() if not item.is_known]
        problem = next((item.problem for item in unknown if item.problem is not None), None)
        if problem is not None:
            return [f"the Gateway API: {problem}"]
        return ["the Gateway API has not been read yet"]

    @property
    def problem(self) -> str | None:
        """Why something is not followed, or a status not written; None if there is no problem."""
        problems = [item.problem for item in self._collections.values()] + [self._writer.problem]
        return next((str(problem) for problem in problems if problem is not None), None)

    @property
    def matches(self) -> int:
        """How many matches of routes are in force."""
        return 0 if self._in_force is None else len(self._in_force.plans)

    def describe(self) -> dict[str, object]:
        """What there is, as plain values."""
        translation = self._translation or Translation()
        return {
            "gateway": f"{self._here.namespace}/{self._here.gateway}",
            "found": translation.gateway is not None,
            "routes": sum(1 for report in translation.reports if report.parents),
            "matches": self.matches,
            "problem": self.problem,
        }

    async def _follow(self) -> None:
        pause: float | None = None
        while True:
            with suppress(TimeoutError):  # then a status is to be written again
                await asyncio.wait_for(self._changed.wait(), pause)
            self._changed.clear()
            if all(collection.is_known for collection in self._collections.values()):
                pause = await self._translate()

    async def _translate(self) -> float | None:
        """Translates what there is, puts it in force, and writes the statuses; seconds until some are to be written again."""
        world = self._world()
        # In a thread: requests go on meanwhile, however many routes there are.
        translation = await asyncio.to_thread(translate, world, self._here, self._memory)
        self._translation = translation
        if self._in_force != translation.routes:
            self._put_in_force(translation.routes)
            if self._copy is not None:
                await asyncio.to_thread(write_copy, self._copy, translation.routes)
        self._tell(world, translation)
        return await self._writer.write(list(writes(translation, self._here, now())))

    def _put_in_force(self, routes: RouteSet) -> None:
        self._in_force = routes
        self._apply(routes)

    def _world(self) -> World:
        found = {name: list(collection.objects.values()) for name, collection in self._collections.items()}
        gateways: list[Gateway] = found["gateways"]
        services: list[Service] = found["services"]
        namespaces: list[Namespace] = found.get("namespaces", [])
        return World(
            classes=found["classes"],
            gateway=next((item for item in gateways if item.meta.name == self._here.gateway), None),
            routes=found["routes"],
            grants=found.get("grants", ()),
            services={(item.namespace, item.name): item for item in services},
            namespaces={item.name: item for item in namespaces},
        )

    def _tell(self, world: World, translation: Translation) -> None:
        """Logs what routes there are, if that has changed."""
        name = f"Gateway {self._here.namespace}/{self._here.gateway}"
        if world.gateway is None:
            said = f"{name}: there is none"
        elif translation.gateway is None:
            said = f"{name}: its class {world.gateway.class_name} is not one of this controller"
        else:
            refused = sum(1 for report in translation.reports for _, found in report.parents if not found[0].holds)
            said = f"{name}: {len(translation.routes.plans)} matches, {refused} routes not accepted"
        if said != self._said:
            _log.info("%s", printable(said))
            self._said = said
