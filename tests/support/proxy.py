"""An entry listener in the test's own process, over real sockets, with a raw client."""

from __future__ import annotations

import asyncio
import random
from ipaddress import ip_network
from typing import Any

from gateway.health.ejection import Ejector
from gateway.instance import Instance
from gateway.proxy.access_log import AccessLog
from gateway.proxy.context import Context
from gateway.proxy.origins import Origins
from gateway.proxy.server import Listener, bind
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.patience import Patience
from gateway.routing.replies import RouteResponse
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.model import LaneGroup
from gateway.telemetry.counters import Traffic
from gateway.tls.certificates import ListenerTLS
from tests.support.bounds import Http2, Limits, RetryBudget, Timeouts
from tests.support.origin import Origin as OriginServer
from tests.support.rules import compiled

LANE = {"name": "demo", "lanes": [{"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}]}


class Answer:
    """One parsed answer; `closed`: the proxy then closed the connection."""

    def __init__(self, status: int, head: bytes, body: bytes) -> None:
        self.status = status
        self.head = head
        self.body = body

    def header(self, name: str) -> str | None:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.lower().encode():
                return value.strip().decode()
        return None


class Client:
    """A raw client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer."""
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            answer = Answer(status, head[:-4], b"")
            if method == "HEAD" or status in (204, 304) or status < 200:
                return answer
            if (length := answer.header("content-length")) is not None:
                answer.body = await self.reader.readexactly(int(length))
            elif answer.header("transfer-encoding") == "chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    answer.body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            else:
                answer.body = await self.reader.read()
            return answer

    async def rest(self) -> bytes:
        """Everything until the proxy closes."""
        async with asyncio.timeout(30):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def is_open(self) -> bool:
        """Whether the connection still takes a request."""
        await self.send(b"GET /A/still-open HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            return (await self.answer()).status == 200
        except (asyncio.IncompleteReadError, ConnectionError):
            return False

    def close(self) -> None:
        self.writer.close()


class Proxy:
    """Starts a listener in front of an origin server; settings are attributes to set before `start`."""

    def __init__(self) -> None:
        self.timeouts = Timeouts()
        self.trusted: tuple[Any, ...] = ()
        self.limits = Limits()
        self.budget = RetryBudget()
        self.http2 = Http2()
        self.log: AccessLog | None = None
        self.ejector: Ejector | None = None
        self.connections_per_origin = 256
        self.host = "127.0.0.1"
        self.group: dict[str, Any] = LANE
        self.patience: Patience | None = None  # of routes for the host `patient`
        self.scheme = "http"
        self.tls: ListenerTLS | None = None
        self.reads_proxy_header = False
        self._clients: list[Client] = []

    async def start(self, origin: OriginServer) -> None:
        await self.serve(
            Instance("127.0.0.1", origin.ports["base"]),
            Instance("127.0.0.1", origin.ports["gray"], tag="gray"),
        )

    async def serve(self, *instances: Instance) -> None:
        """Starts in front of these instances of service `a`."""
        self.traffic = Traffic()
        self.origins = Origins(self.connections_per_origin)
        self.router = EntryRouter(self.snapshot(list(instances)), Carriers(), random.Random(1), self.trusted)
        self.context = Context(
            router=self.router,
            origins=self.origins,
            traffic=self.traffic,
            tag_header="x-gray-tag",
            timeouts=self.timeouts,
            limits=self.limits,
            budget=self.budget,
            log=self.log,
            ejector=self.ejector,
            scheme=self.scheme,
            http2=self.http2,
            reads_proxy_header=self.reads_proxy_header,
        )
        self.listener = Listener(bind(self.host, 0), self.context, self.tls)
        await self.listener.start()

    def snapshot(self, instances: list[Instance], service: str = "a") -> Snapshot:
        rules = compiled([LaneGroup.model_validate(self.group)])
        routes = RouteTable(
            [
                Route("/A", "a", strip_prefix=True),
                Route("/empty", "nobody"),
                Route("/", "a", host="patient", patience=self.patience),
                Route("/shop.Orders", "a"),
                Route("/shop.Nobody", "nobody"),
                Route("/hello", "", response=RouteResponse(200, b"hello", {"Content-Type": "text/plain"})),
            ]
        )
        views = {service: ServiceView(service, instances, Turns()), "nobody": ServiceView("nobody", (), Turns())}
        return Snapshot(1, rules, routes, views)

    @property
    def downstreams(self) -> set[Any]:
        """The connections of clients."""
        return self.listener.clients.connections

    def trust_loopback(self) -> None:
        self.trusted = (ip_network("127.0.0.0/8"),)

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port, limit=2**24)
        client = Client(reader, writer)
        self._clients.append(client)
        return client

    async def ask(self, data: bytes) -> Answer:
        """One request on a connection of its own."""
        client = await self.connect()
        await client.send(data)
        return await client.answer(data.split(b" ", 1)[0].decode())

    async def get(self, target: str, *headers: str) -> Answer:
        lines = [f"GET {target} HTTP/1.1", "Host: shop.example", *headers, "", ""]
        return await self.ask("\r\n".join(lines).encode())

    async def close(self) -> None:
        for client in self._clients:
            client.close()
        await self.listener.close()
        # Not left to whoever is on the other side: the loop may end before that one is heard.
        self.origins.close_idle(float("inf"))
        await asyncio.sleep(0)
