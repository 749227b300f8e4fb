"""A gRPC service by grpcio whose messages are bytes, of all four kinds, and clients for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc  # type: ignore[import-untyped]

SERVICE = "shop.Orders"
Metadata = list[tuple[str, str | bytes]]


class GrpcService:
    """Each method says who it is; what was called is in `calls`: the method, the metadata, and the time it has."""

    def __init__(self, name: str = "base") -> None:
        self.name = name.encode()
        self.calls: list[tuple[str, dict[str, str | bytes], float | None]] = []
        self.cancelled: list[str] = []
        self.held = asyncio.Event()
        self.port = 0
        self._server: Any = None

    async def start(self) -> None:
        self._server = grpc.aio.server()
        handlers = {
            "Get": grpc.unary_unary_rpc_method_handler(self._get),
            "Fail": grpc.unary_unary_rpc_method_handler(self._fail),
            "Hold": grpc.unary_unary_rpc_method_handler(self._hold),
            "List": grpc.unary_stream_rpc_method_handler(self._list),
            "Put": grpc.stream_unary_rpc_method_handler(self._put),
            "Talk": grpc.stream_stream_rpc_method_handler(self._talk),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def close(self, grace: float | None = None) -> None:
        self.held.set()
        if self._server is not None:
            await self._server.stop(grace)

    def _note(self, method: str, context: Any) -> None:
        self.calls.append((method, dict(context.invocation_metadata()), context.time_remaining()))

    async def _get(self, request: bytes, context: Any) -> bytes:
        self._note("Get", context)
        await context.send_initial_metadata((("x-who", self.name.decode()),))
        context.set_trailing_metadata((("x-after", "all"), ("data-bin", b"\x00\xff")))
        return self.name + b" " + request

    async def _fail(self, request: bytes, context: Any) -> bytes:
        self._note("Fail", context)
        code = next(code for code in grpc.StatusCode if code.name == request.decode())
        await context.abort(code, "so it is: 100 % 失败")
        return b""

    async def _hold(self, request: bytes, context: Any) -> bytes:
        self._note("Hold", context)
        try:
            await self.held.wait()
        except asyncio.CancelledError:
            self.cancelled.append("Hold")
            raise
        return self.name

    async def _list(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self._note("List", context)
        count, size = (int(part) for part in request.split())
        for number in range(count):
            yield b"%d " % number + b"x" * size

    async def _put(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        self._note("Put", context)
        total = 0
        async for message in requests:
            total += len(message)
        return b"%b %d" % (self.name, total)

    async def _talk(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        self._note("Talk", context)
        async for message in requests:
            yield message.upper()
