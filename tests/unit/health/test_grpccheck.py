"""A check by grpc.health.v1, of a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from gateway.health.grpccheck import serves
from gateway.instance import Instance

FIELDS = {"X-Gray-Hop": "gray"}


class Health:
    """`statuses` are by name. Each is what protobuf makes of it."""

    def __init__(self) -> None:
        self.statuses: dict[bytes, bytes] = {}
        self.asked: list[tuple[bytes, str]] = []
        self.is_silent = False

    async def check(self, request: bytes, context: Any) -> bytes:
        if self.is_silent:
            await asyncio.Event().wait()
        self.asked.append((request, dict(context.invocation_metadata())["x-gray-hop"]))
        if request not in self.statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, "")
        return self.statuses[request]


@pytest.fixture
async def health() -> AsyncIterator[tuple[Health, Instance]]:
    found = Health()
    server = grpc.aio.server()
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(found.check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield found, Instance("127.0.0.1", port, "gray")
    await server.stop(None)


async def well(instance: Instance, name: str = "", timeout: float = 20.0) -> bool:
    return await serves(instance, name, timeout=timeout, tls=None, fields=FIELDS)


@pytest.mark.parametrize(
    ("status", "expected"), [(b"\x08\x01", True), (b"\x08\x02", False), (b"", False), (b"\x08\x03", False)]
)
async def test_only_serving_is_well(health: tuple[Health, Instance], status: bytes, expected: bool) -> None:
    server, instance = health
    server.statuses[b""] = status
    assert await well(instance) is expected
    assert server.asked == [(b"", "gray")]


async def test_the_port_for_grpc_is_asked(health: tuple[Health, Instance]) -> None:
    server, instance = health
    server.statuses[b""] = b"\x08\x01"
    assert await well(Instance("127.0.0.1", 9, metadata={"gRPC_port": str(instance.port)}))


async def test_a_service_is_asked_for_by_its_name(health: tuple[Health, Instance]) -> None:
    server, instance = health
    server.statuses[b"\x0a\x04a.B2"] = b"\x08\x01"
    assert await well(instance, "a.B2")
    assert not await well(instance, "a.C")


async def test_who_does_not_respond_in_time_or_is_not_there_is_not_well(health: tuple[Health, Instance]) -> None:
    server, instance = health
    server.is_silent = True
    assert not await well(instance, timeout=0.05)
    assert not await well(Instance("127.0.0.1", 9))


async def test_who_does_not_speak_http2_is_not_well() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    assert not await well(Instance("127.0.0.1", server.sockets[0].getsockname()[1]))
    server.close()
