"""The scenario as three gRPC services that know nothing of lanes, and pass on `traceparent` alone: a gray cycle, all along."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.release.ports import free_port
from tests.support.process import Program, get_json
from tests.support.wait import until, until_found

NEXT = {"a": "b", "b": "c", "c": ""}
WALK = "/scenario.Chain/Walk"
BASE, GRAY = b"a -> b -> c", b"agray -> b -> cgray"
RULES = """\
lane_groups:
  - name: demo
    services: [a, b, c]
    lanes:
      - {{name: gray, enabled: {enabled}, tag: gray, match: [{{header: group, equals: gray}}, {{grpc_service: {{equals: scenario.Chain}}}}]}}
"""


class Service:
    """One instance: a gRPC server, its sidecar, and a channel through that to the next service."""

    def __init__(self, folder: Path, registry: EmbeddedRegistry, name: str, tag: str = "base") -> None:
        self.name, self.tag = name, tag
        self.says = (name + ("" if tag == "base" else tag)).encode()
        self.served = 0
        self.admin = free_port()
        folder = folder / f"{name}-{tag}"
        folder.mkdir()
        self.sidecar = Program(folder)
        self._outbound, self._app = free_port(), free_port()
        self._settings = {
            "service": name,
            "tag": tag,
            "app": f"127.0.0.1:{self._app}",
            "inbound": f"127.0.0.1:{free_port()}",
            "outbound": f"127.0.0.1:{self._outbound}",
            "admin": f"127.0.0.1:{self.admin}",
            "registry": {"kind": "nacos", "address": registry.address, "interval": "100ms"},
            "drain": {"delay": "1s"},
            "clients": "mesh",
        }
        self._server: Any = None
        self._channel: Any = None

    async def start(self) -> None:
        self._server = grpc.aio.server()
        handlers = {"Walk": grpc.unary_unary_rpc_method_handler(self._walk)}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("scenario.Chain", handlers),))
        self._server.add_insecure_port(f"127.0.0.1:{self._app}")
        await self._server.start()
        if NEXT[self.name]:
            options = [("grpc.default_authority", NEXT[self.name])]
            self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{self._outbound}", options=options)
        self.sidecar.write("sidecar.yaml", self._settings)
        await self.sidecar.start("sidecar", "-c", "sidecar.yaml")
        await self.sidecar.wait_ok(self.admin)

    async def leave(self) -> None:
        """As a deployment ends it."""
        self.sidecar.send(signal.SIGTERM)
        assert await self.sidecar.wait() == 0

    async def close(self) -> None:
        await self.sidecar.close()
        if self._channel is not None:
            await self._channel.close()
        if self._server is not None:
            await self._server.stop(None)

    async def _walk(self, request: bytes, context: Any) -> bytes:
        self.served += 1
        if self._channel is None:
            return self.says
        trace = dict(context.invocation_metadata())["traceparent"]
        rest: bytes = await self._channel.unary_unary(WALK)(request, metadata=(("traceparent", trace),))
        return self.says + b" -> " + rest


class Chain:
    """The gateway, and the services behind it."""

    def __init__(self, folder: Path, registry: EmbeddedRegistry) -> None:
        self._folder = folder
        self._registry = registry
        self.gateway = Program(folder)
        self.port, self.admin = free_port(), free_port()
        self.services: list[Service] = []

    async def start(self) -> None:
        self.open(False)
        self.gateway.write(
            "gateway.yaml",
            {
                "listen": f"127.0.0.1:{self.port}",
                "admin": f"127.0.0.1:{self.admin}",
                "registry": {"kind": "nacos", "address": self._registry.address, "interval": "100ms"},
                "routes": [{"path": "/scenario.Chain", "service": "a"}],
                "rules": "rules.yaml",
            },
        )
        await self.gateway.start("serve", "-c", "gateway.yaml")

    def open(self, enabled: bool) -> None:
        """Opens or closes the lane."""
        self.gateway.write("rules.yaml", RULES.format(enabled=str(enabled).lower()))

    async def add(self, name: str, tag: str = "base") -> Service:
        service = Service(self._folder, self._registry, name, tag)
        self.services.append(service)
        await service.start()
        return service

    async def knows(self, admin: int, name: str, count: int) -> None:
        """Waits until a process knows so many instances of a service."""

        async def look() -> bool | None:
            for service in (await get_json(admin, "/api/v1/services"))["services"]:
                if service["service"] == name:
                    found = sum(len(pool["instances"]) for pool in service["pools"])
                    return True if found == count else None
            return None

        await until_found(look)

    async def close(self) -> None:
        await self.gateway.close()
        for service in self.services:
            await service.close()


@pytest.fixture
async def chain(tmp_path: Path, registry: EmbeddedRegistry) -> AsyncIterator[Chain]:
    found = Chain(tmp_path, registry)
    await found.start()
    try:
        await asyncio.gather(*[found.add(name) for name in NEXT])
        await found.knows(found.admin, "a", 1)
        yield found
    finally:
        await found.close()


async def test_both_answers_and_a_gray_cycle_without_a_failed_or_misrouted_call(chain: Chain) -> None:
    answers: dict[bool, dict[bytes, int]] = {False: {}, True: {}}
    failures: list[str] = []
    is_running = True

    async def load(channel: Any, is_marked: bool) -> None:
        marks = (("group", "gray"),) if is_marked else ()
        while is_running:
            try:
                answer = await channel.unary_unary(WALK)(b"", metadata=marks, timeout=20)
            except grpc.aio.AioRpcError as error:
                failures.append(f"{error.code()} {error.details()}")
                await asyncio.sleep(0.1)
                continue
            answers[is_marked][answer] = answers[is_marked].get(answer, 0) + 1

    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{chain.port}"))

        async def calls(marked: bool, wanted: bytes) -> None:
            """Waits until a call is answered so, and then for ten that are."""
            await until(lambda: answers[marked].get(wanted, 0) > 0)
            before = answers[marked][wanted]
            await until(lambda: answers[marked][wanted] >= before + 10)

        async def first() -> bool | None:
            try:
                return await channel.unary_unary(WALK)(b"", timeout=20) == BASE or None
            except grpc.aio.AioRpcError:
                return None

        await until_found(first)
        tasks = [asyncio.create_task(load(channel, marked)) for marked in (False, True, False, True)]
        try:
            await calls(True, BASE)
            gray = await asyncio.gather(chain.add("a", "gray"), chain.add("c", "gray"))
            await chain.knows(chain.admin, "a", 2)
            await chain.knows(chain.services[1].admin, "c", 2)
            assert [service.served for service in gray] == [0, 0]
            chain.open(True)
            await calls(True, GRAY)
            await calls(False, BASE)
            answers[True][BASE] = 0
            await calls(True, GRAY)
            assert answers[True][BASE] == 0
            chain.open(False)
            answers[True].pop(BASE)
            await calls(True, BASE)
            served = [service.served for service in gray]
            await asyncio.gather(*[service.leave() for service in gray])
            await calls(True, BASE)
            await calls(False, BASE)
            assert [service.served for service in gray] == served
        finally:
            is_running = False
            await asyncio.gather(*tasks, return_exceptions=True)
    assert failures == []
    assert set(answers[False]) == {BASE}
    assert set(answers[True]) == {BASE, GRAY}
