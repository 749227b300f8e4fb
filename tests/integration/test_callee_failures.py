"""A failure that a callee has caused speaks against nobody on the way to it: entry, A (gray), B and C, of which C fails."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout, web

from gateway.release.ports import free_port
from tests.support.process import Program, get_json

TRACES = itertools.count(0x4BF92F3577B34DA6A3CE929D0E0E4736)
RULES = """\
lane_groups:
  - name: demo
    services: [a]
    lanes:
      - {name: gray, enabled: true, tag: gray, match: [{header: group, equals: gray}]}
"""
WALK = "/scenario.Chain/Walk"
CARRIED = ("traceparent", "x-gray-tag")


def traceparent() -> str:
    """Of a trace of its own."""
    return f"00-{next(TRACES):032x}-00f067aa0ba902b7-01"


class Application:
    """Knows nothing of lanes: it calls the next service, and passes on what it is told to. `mood` is how it responds."""

    def __init__(self, name: str, following: str = "") -> None:
        self.name = name
        self.following = following
        self.mood = "well"
        self.passes: tuple[str, ...] = CARRIED
        self.patience = 0.4
        self.served = 0
        self.app, self.inbound, self.outbound = free_port(), free_port(), free_port()
        self.admin = free_port()

    async def start(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class HttpApplication(Application):
    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.app).start()
        self._session = ClientSession()

    async def close(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.served += 1
        if self.mood == "hangs":
            await asyncio.sleep(60)
        if self.mood == "fails":
            return web.Response(status=500, headers={"X-Gray-Hop": "callee"})
        if not self.following:
            return web.Response(text=self.name)
        headers = {
            "Host": self.following,
            **{name: request.headers[name] for name in self.passes if name in request.headers},
        }
        try:
            timeout = ClientTimeout(total=self.patience)
            url = f"http://127.0.0.1:{self.outbound}/x"
            async with self._session.get(url, headers=headers, timeout=timeout) as response:
                assert "X-Gray-Hop" not in response.headers
                if response.status == 200:
                    return web.Response(text=f"{self.name} -> {await response.text()}")
        except (ClientError, TimeoutError):
            pass
        return web.Response(status=502, text=f"{self.name} could not call {self.following}")


class GrpcApplication(Application):
    """With the mood `late`, it fails after it has sent a message: its status comes in trailers."""

    async def start(self) -> None:
        self._server = grpc.aio.server()
        handlers = {"Walk": grpc.unary_stream_rpc_method_handler(self._walk)}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("scenario.Chain", handlers),))
        self._server.add_insecure_port(f"127.0.0.1:{self.app}")
        await self._server.start()
        self._channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{self.outbound}", options=[("grpc.default_authority", self.following or "none")]
        )

    async def close(self) -> None:
        await self._channel.close()
        await self._server.stop(None)

    async def _walk(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.served += 1
        if self.mood == "late":
            yield b"some"
        if self.mood != "well":
            await context.abort(grpc.StatusCode.INTERNAL, "it is not well")
        if self.following:
            given = dict(context.invocation_metadata())
            metadata = [(name, given[name]) for name in self.passes if name in given]
            async for message in self._channel.unary_stream(WALK)(request, metadata=metadata):
                yield message
        yield self.name.encode()


class Chain:
    """`protocol` is what the hops speak."""

    def __init__(self, folder: Path, protocol: str, kind: type[Application]) -> None:
        self._folder = folder
        self.a, self.b, self.c = kind("a", "b"), kind("b", "c"), kind("c")
        self.base = kind("a-base")
        metadata = {"gray-protocol": "h2c"} if protocol == "h2c" else {}
        of_grpc = {"gray-protocol": "h2c"} if kind is GrpcApplication else {}

        def at(port: int, tag: str = "base", **metadata: str) -> dict[str, Any]:
            return {"address": f"127.0.0.1:{port}", "tag": tag, "metadata": metadata}

        self._services = {
            "a": [at(self.base.app, **of_grpc), at(self.a.inbound, "gray", **metadata, **{"gray-sidecar": "a"})],
            "b": [at(self.b.inbound, **metadata, **{"gray-sidecar": "b"})],
            "c": [at(self.c.app, **of_grpc)],
        }
        self.of_a: dict[str, Any] = {}
        self._of_app = {"protocol": "h2c"} if kind is GrpcApplication else {}
        self.port, self.admin = free_port(), free_port()

    async def start(self, stack: AsyncExitStack) -> None:
        common = {
            "registry": {"kind": "static", "services": self._services},
            "ejection": {"errors": 2, "time": "1h", "longest": "1h"},
        }
        for app in (self.base, self.a, self.b, self.c):
            await app.start()
            stack.push_async_callback(app.close)
        for app, tag in ((self.a, "gray"), (self.b, "base")):
            sidecar = await self._program(stack, app.name)
            settings = {
                "service": app.name,
                "tag": tag,
                "app": f"127.0.0.1:{app.app}",
                "inbound": f"127.0.0.1:{app.inbound}",
                "outbound": f"127.0.0.1:{app.outbound}",
                "admin": f"127.0.0.1:{app.admin}",
                **common,
            }
            if self._of_app:
                settings["services"] = dict.fromkeys((app.name,), self._of_app)
            sidecar.write("sidecar.yaml", settings | (self.of_a if app is self.a else {}))
            await sidecar.start("sidecar", "-c", "sidecar.yaml")
            await sidecar.wait_ok(app.admin)
        entry = await self._program(stack, "entry")
        entry.write("rules.yaml", RULES)
        entry.write(
            "gateway.yaml",
            {
                "listen": f"127.0.0.1:{self.port}",
                "admin": f"127.0.0.1:{self.admin}",
                "routes": [{"path": "/", "service": "a"}],
                "rules": "rules.yaml",
                **common,
            },
        )
        await entry.start("serve", "-c", "gateway.yaml")
        await entry.wait_ok(self.admin)

    async def _program(self, stack: AsyncExitStack, name: str) -> Program:
        folder = self._folder / name
        folder.mkdir()
        program = Program(folder)
        stack.push_async_callback(program.close)
        return program

    async def is_out(self) -> bool:
        """Whether the entry has ejected gray A."""
        (service,) = (await get_json(self.admin, "/api/v1/services"))["services"]
        return any(item["ejected"] for pool in service["pools"] for item in pool["instances"])

    async def excused(self, admin: int, line: str) -> int:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{admin}/metrics") as response:
            for found in (await response.text()).splitlines():
                if found.startswith(f"gateway_excused_failures_total{{{line}}} "):
                    return int(float(found.rpartition(" ")[2]))
        return 0

    async def ask(self) -> int:
        """The status that a marked request gets."""
        async with ClientSession() as session:
            headers = {"group": "gray", "traceparent": traceparent(), "X-Gray-Hop": "gray"}
            async with session.get(f"http://127.0.0.1:{self.port}/x", headers=headers) as response:
                assert "X-Gray-Hop" not in response.headers
                return response.status

    async def call(self) -> str:
        """The status of a marked call of gRPC."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            call = channel.unary_stream(WALK)(b"", metadata=(("group", "gray"), ("traceparent", traceparent())))
            try:
                async for _ in call:
                    pass
            except grpc.aio.AioRpcError:
                pass
            told = [*(await call.initial_metadata()), *(await call.trailing_metadata())]
            assert "x-gray-hop" not in dict(told)
            return str((await call.code()).name)


Start = Callable[..., Awaitable[Chain]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(protocol: str, kind: type[Application], **of_a: Any) -> Chain:
            chain = Chain(tmp_path, protocol, kind)
            chain.of_a = of_a
            await chain.start(stack)
            return chain

        yield start


OF_A = 'cause="callee",listener="entry",service="a",tag="gray"'
OF_B = 'cause="callee",listener="outbound",service="b",tag="base"'


@pytest.mark.parametrize("protocol", ["http1", "h2c"])
async def test_nobody_is_ejected_for_what_a_callee_did(start: Start, protocol: str) -> None:
    chain = await start(protocol, HttpApplication)
    counted = 0
    for mood in ("fails", "hangs"):
        chain.c.mood = mood
        for passes in (CARRIED, ("traceparent",), ("x-gray-tag",), ())[:: 1 if mood == "fails" else 3]:
            chain.a.passes = chain.b.passes = passes
            assert [await chain.ask() for _ in range(3)] == [502] * 3
            counted += 3
            assert not await chain.is_out()
    assert await chain.excused(chain.admin, OF_A) == counted
    # While C hangs, A gives up as soon as B does, and what comes of that is nobody's failure.
    assert await chain.excused(chain.a.admin, OF_B) >= 12
    (record, *_) = (await get_json(chain.admin, "/api/v1/requests?lane=gray"))["requests"]
    assert record["callee_failed"] is True

    chain.c.mood = "well"
    assert await chain.ask() == 200
    # What an application says in a sidecar's name counts for nothing.
    chain.a.mood = "fails"
    assert [await chain.ask() for _ in range(3)] == [500, 500, 200]
    assert await chain.is_out()
    assert await chain.excused(chain.admin, OF_A) == counted


async def test_nor_if_it_is_the_sidecar_that_loses_patience_with_an_application_that_waits(start: Start) -> None:
    chain = await start("http1", HttpApplication, timeouts={"response": "300ms"})
    chain.a.patience = chain.b.patience = 60.0
    chain.c.mood = "hangs"
    assert [await chain.ask() for _ in range(3)] == [504] * 3
    assert not await chain.is_out()
    assert await chain.excused(chain.admin, OF_A) == 3
    chain.a.mood = "hangs"
    assert [await chain.ask() for _ in range(3)] == [504, 504, 200]
    assert await chain.is_out()


@pytest.mark.parametrize(("mood", "protocol"), [("fails", "h2c"), ("late", "h2c"), ("late", "http1")])
async def test_nor_in_grpc_for_a_status_in_the_head_or_in_trailers(start: Start, mood: str, protocol: str) -> None:
    chain = await start(protocol, GrpcApplication)
    chain.c.mood = mood
    for passes in (CARRIED, ("traceparent",), ()):
        chain.a.passes = chain.b.passes = passes
        assert [await chain.call() for _ in range(3)] == ["UNKNOWN"] * 3
    assert not await chain.is_out()
    assert await chain.excused(chain.admin, OF_A) == 9
    assert await chain.excused(chain.a.admin, OF_B) == 9

    chain.a.mood, chain.c.mood = mood, "well"
    assert [await chain.call() for _ in range(3)] == ["INTERNAL", "INTERNAL", "OK"]
    assert await chain.is_out()
    assert await chain.excused(chain.admin, OF_A) == 9
