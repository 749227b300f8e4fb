"""An entry gateway and sidecars' inbound listeners in the test's own process, over real sockets."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from gateway.control.publish import Publisher
from gateway.hop import PROTOCOL_KEY, SIDECAR_KEY
from gateway.instance import Instance
from gateway.proxy import budget as budgets
from gateway.proxy.context import Context
from gateway.proxy.origins import Origins
from gateway.proxy.server import Listener, bind
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.memory import TraceMemory
from gateway.routing.router import Router
from gateway.routing.routes import Route, RouteTable
from gateway.routing.sidecar import InboundRouter
from gateway.routing.snapshot import Snapshot
from gateway.rules.match import CompiledRules
from gateway.rules.model import LaneGroup
from gateway.settings import EjectionSettings
from gateway.tags import BASE
from gateway.telemetry.counters import Traffic
from tests.support.bounds import Http2, Limits, RetryBudget, Timeouts
from tests.support.proxy import Client
from tests.support.rules import compiled

NO_RETRIES = RetryBudget(attempts=1, share=0.0, minimum=0.0)


class Inbound:
    """The inbound listener of a sidecar of service `a`, in front of an application at `port`."""

    def __init__(self, port: int, tag: str = BASE, service: str = "a", **router: Any) -> None:
        app = Instance("127.0.0.1", port)
        self.announced: dict[str, str] = {}
        self.traffic = Traffic()
        snapshot = Snapshot(1, CompiledRules.empty(), RouteTable(()), {})
        self._router = InboundRouter(snapshot, Carriers(), TraceMemory(), service=service, tag=tag, app=app, **router)

    async def start(self, port: int = 0) -> Inbound:
        context = Context(
            router=self._router,
            origins=Origins(),
            traffic=self.traffic,
            tag_header="x-gray-tag",
            timeouts=Timeouts(),
            limits=Limits(),
            budget=RetryBudget(),
            name="inbound",
            http2=Http2(),
        )
        self.listener = Listener(bind("127.0.0.1", port), context)
        await self.listener.start()
        return self

    @property
    def port(self) -> int:
        return self.listener.port

    def instance(self, tag: str = BASE, **metadata: str) -> Instance:
        """What a registry says of it."""
        return Instance("127.0.0.1", self.port, tag, metadata={**self.announced, **metadata})

    async def close(self) -> None:
        await self.listener.close()


class Mesh:
    """An entry gateway with the lane `group=gray`. Its registry is what `list` was last given."""

    def __init__(self, budget: budgets.RetryBudget = NO_RETRIES, *, hop: str = "http1", **lane: Any) -> None:
        """`hop` is what the entry and the sidecars speak among themselves."""
        self._announced = {SIDECAR_KEY: "a", PROTOCOL_KEY: "h2c"} if hop == "h2c" else {}
        self._lane = lane
        self._budget = budget
        self._inbounds: list[Inbound] = []
        self._clients: list[Client] = []

    async def start(self) -> None:
        self.traffic = Traffic()
        origins = Origins()
        self._publisher = Publisher(self._publish, origins, self.traffic, EjectionSettings())
        self._router = EntryRouter(self._publisher.snapshot, Carriers(), random.Random(1))
        lane = {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}], **self._lane}
        rules = compiled([LaneGroup.model_validate({"name": "demo", "lanes": [lane]})])
        self._publisher.configure(1, rules, RouteTable([Route("/A", "a", strip_prefix=True)]), {})
        router: Router = self._router
        context = Context(
            router=router,
            origins=origins,
            traffic=self.traffic,
            tag_header="x-gray-tag",
            timeouts=Timeouts(),
            limits=Limits(),
            budget=self._budget,
            ejector=self._publisher.ejector,
        )
        self._listener = Listener(bind("127.0.0.1", 0), context)
        await self._listener.start()

    def _publish(self, snapshot: Snapshot) -> None:
        if hasattr(self, "_router"):
            self._router.snapshot = snapshot

    async def inbound(self, port: int, tag: str = BASE, service: str = "a", **router: Any) -> Inbound:
        """Starts a sidecar's inbound listener."""
        inbound = await Inbound(port, tag, service, **router).start()
        if self._announced:
            inbound.announced = {**self._announced, SIDECAR_KEY: service}
        self._inbounds.append(inbound)
        return inbound

    def list(self, *instances: Instance) -> None:
        """What the registry says from now on."""
        self._publisher.service_changed("a", instances)

    async def client(self, port: int = 0) -> Client:
        """A connection to the entry, or to another port."""
        client = Client(*await asyncio.open_connection("127.0.0.1", port or self._listener.port))
        self._clients.append(client)
        return client

    async def ask(self, target: str = "/A/x", method: str = "GET", body: bytes = b"", times: int = 1) -> set[str]:
        """The different answers to a few requests: `STATUS first-word-or-code`."""
        answers = set()
        for _ in range(times):
            client = await self.client()
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            await client.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{length}\r\n".encode() + body)
            answer = await client.answer(method)
            said = answer.body.decode()
            word = json.loads(said)["code"] if said.startswith("{") else said.partition(" ")[0]
            answers.add(f"{answer.status} {word}")
            client.close()
        return answers

    async def close(self) -> None:
        for client in self._clients:
            client.close()
        await self._listener.close()
        for inbound in self._inbounds:
            await inbound.close()
        await self._publisher.close()
