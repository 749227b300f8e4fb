"""A raw client of Nacos' gRPC protocol, and a server of it that does what tests tell it to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any

from gateway.registry.nacos.connected import Connected, Refusal
from gateway.registry.nacos.messages import JSON, succeeded
from gateway.registry.nacos.rpc import Connection
from gateway.registry.nacos.serving import GrpcServer
from gateway.web.work import Work


class RawClient:
    """One connection; what is pushed is kept in order."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.pushes: asyncio.Queue[tuple[str, JSON]] = asyncio.Queue()
        self.connection: Connection

    async def open(self, module: str = "naming") -> RawClient:
        pushed = {
            name: self._taker(name)
            for name in ("NotifySubscriberRequest", "ConfigChangeNotifyRequest", "ClientDetectionRequest")
        }
        self.connection = await Connection.open(self._address, module, "", pushed, None)
        return self

    def _taker(self, name: str) -> Callable[[JSON], None]:
        return lambda body: self.pushes.put_nowait((name, body))

    async def ask(self, request: str, headers: Mapping[str, str] | None = None, /, **body: Any) -> JSON:
        return await self.connection.request(request, body, headers)

    async def register(self, service: str, host: str, port: int = 80, **instance: Any) -> JSON:
        said = {"ip": host, "port": port, **instance}
        return await self.ask("InstanceRequest", type="registerInstance", serviceName=service, instance=said)

    async def subscribe(self, service: str, clusters: str = "") -> list[str]:
        answer = await self.ask("SubscribeServiceRequest", serviceName=service, clusters=clusters, subscribe=True)
        return hosts(answer["serviceInfo"])

    async def pushed(self) -> tuple[str, JSON]:
        async with asyncio.timeout(10):
            return await self.pushes.get()

    def close(self) -> None:
        self.connection.close()


def hosts(info: JSON) -> list[str]:
    """Who is in a service's list."""
    return [host["ip"] for host in info["hosts"]]


class ScriptedServer:
    """Answers as told, at a port for gRPC 1000 above `port`; nothing answers there over HTTP."""

    def __init__(self) -> None:
        self.answers: dict[str, JSON | Refusal] = {}
        self.asked: list[tuple[str, JSON]] = []
        self.pushes: dict[Any, JSON] = {}
        self.server: GrpcServer
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> list[Connected]:
        return self.server.connections

    async def start(self, port: int = 0) -> ScriptedServer:
        sock = socket.create_server(("127.0.0.1", port + 1000 if port else 0))
        sock.setblocking(False)
        self.port = sock.getsockname()[1] - 1000
        self._work = Work("scripted")
        self.server = GrpcServer(self, self._work, "a scripted server")
        await self.server.start(sock)
        return self

    async def stop(self) -> None:
        await self.server.close()
        self._work.close()

    def push(self, request: str, body: JSON) -> None:
        for connection in self.connections:
            self.pushes[len(self.pushes)] = body
            connection.notify(request, len(self.pushes) - 1)

    async def respond(self, connection: Connected, request: str, body: JSON, headers: Mapping[str, str]) -> JSON:
        self.asked.append((request, body))
        answer = self.answers.get(request, {})
        if isinstance(answer, Refusal):
            raise answer
        return succeeded(**answer)

    def compose(self, connection: Connected, request: str, key: Any) -> JSON | None:
        return self.pushes[key]

    def closed(self, connection: Connected) -> None:
        pass
