"""A copy goes on through services that know nothing of lanes, and pass on `traceparent` alone: what it leads to is marked, too."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from aiohttp import ClientSession, web

from gateway.app.build import Build
from gateway.app.entry_plane import EntryPlane
from gateway.app.sidecar_plane import SidecarPlane
from gateway.hop import PROTOCOL_KEY, SIDECAR_KEY
from gateway.instance import Instance
from gateway.proxy.server import bind
from tests.support.roles import gateway_settings, sidecar_settings
from tests.support.rules import rule_set
from tests.support.wait import until

WALK = "scenario.Chain/Walk"
KEY = "0f" * 32
RULES = rule_set(
    [
        {
            "name": "demo",
            "lanes": [
                {
                    "name": "gray",
                    "tag": "gray",
                    "match": [{"header": "x-user", "equals": "tester"}],
                    "mirror": {"percent": 100, "methods": ["GET", WALK]},
                }
            ],
        }
    ]
)
MARKED = (("x-user", "tester"),)
Fields = dict[str, str]


class HttpService:
    """An application that speaks HTTP/1.1, and calls `b` if it has a way out."""

    def __init__(self) -> None:
        self.called: list[Fields] = []
        self.outbound = 0

    async def start(self) -> int:
        self._session = ClientSession()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _serve(self, request: web.Request) -> web.Response:
        self.called.append({name.lower(): value for name, value in request.headers.items()})
        if self.outbound:
            headers = {"Host": "b", "traceparent": request.headers["traceparent"]}
            async with self._session.get(f"http://127.0.0.1:{self.outbound}/", headers=headers) as response:
                await response.read()
        return web.Response(text="ok")

    async def close(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    @staticmethod
    async def ask(port: int, fields: tuple[tuple[str, str], ...] = ()) -> None:
        url = f"http://127.0.0.1:{port}/scenario.Chain/Walk"
        async with ClientSession() as session, session.get(url, headers=dict(fields)) as response:
            assert response.status == 200


class GrpcService:
    """The same as a gRPC service."""

    def __init__(self) -> None:
        self.called: list[Fields] = []
        self.outbound = 0

    async def start(self) -> int:
        self._server = grpc.aio.server()
        handlers = {"Walk": grpc.unary_unary_rpc_method_handler(self._walk)}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("scenario.Chain", handlers),))
        port: int = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return port

    async def _walk(self, request: bytes, context: Any) -> bytes:
        metadata = dict(context.invocation_metadata())
        self.called.append(metadata)
        if self.outbound:
            options = [("grpc.default_authority", "b")]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{self.outbound}", options=options) as channel:
                trace = (("traceparent", metadata["traceparent"]),)
                await channel.unary_unary(f"/{WALK}")(request, metadata=trace)
        return b"ok"

    async def close(self) -> None:
        await self._server.stop(None)

    @staticmethod
    async def ask(port: int, fields: tuple[tuple[str, str], ...] = ()) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary(f"/{WALK}")(b"x", metadata=fields) == b"ok"


class Chain:
    """Client → entry → `a` (gray, behind its sidecar) → `b` (baseline, behind its sidecar). The baseline of `a` calls nobody."""

    def __init__(self, service: type[HttpService | GrpcService], carriers: dict[str, Any], hop: dict[str, str]) -> None:
        self.base, self.gray, self.b = service(), service(), service()
        self.ask = service.ask
        self._carriers = carriers
        self._hop = hop

    async def start(self) -> None:
        base = Instance("127.0.0.1", await self.base.start())
        self.a_plane, a_in, self.gray.outbound = await self._sidecar("a", "gray", await self.gray.start())
        self.b_plane, b_in, _ = await self._sidecar("b", "base", await self.b.start())
        self.entry = EntryPlane(gateway_settings(routes=[{"path": "/", "service": "a"}], carriers=self._carriers))
        self.entry.configure(
            1, Build.of(gateway_settings(routes=[{"path": "/", "service": "a"}], carriers=self._carriers), RULES)
        )
        listening = bind("127.0.0.1", 0)
        self.port: int = listening.getsockname()[1]
        await self.entry.listen([listening])
        gray = Instance("127.0.0.1", a_in, "gray", metadata={SIDECAR_KEY: "a", **self._hop})
        self.entry.service_changed("a", (base, gray))
        self.a_plane.service_changed("b", (Instance("127.0.0.1", b_in, metadata={SIDECAR_KEY: "b", **self._hop}),))

    async def _sidecar(self, service: str, tag: str, app: int) -> tuple[SidecarPlane, int, int]:
        settings = sidecar_settings(service=service, tag=tag, app=f"127.0.0.1:{app}", carriers=self._carriers)
        plane = SidecarPlane(settings)
        plane.configure(1, Build.of(settings, RULES))
        inbound, outbound = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        ports: tuple[int, int] = inbound.getsockname()[1], outbound.getsockname()[1]

        async def learn(service: str) -> bool:
            return False

        await plane.listen(inbound, outbound, learn)
        return plane, *ports

    async def close(self) -> None:
        for part in (self.entry, self.a_plane, self.b_plane, self.base, self.gray, self.b):
            await part.close()


@pytest.fixture(params=["http", "mesh hop, signed", "grpc"])
async def chain(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Chain]:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY}\n")
    keys.chmod(0o600)
    is_signed = "signed" in request.param
    found = Chain(
        GrpcService if request.param == "grpc" else HttpService,
        {"keys": str(keys)} if is_signed else {},
        {PROTOCOL_KEY: "h2c"} if is_signed or request.param == "grpc" else {},
    )
    await found.start()
    yield found
    await found.close()


async def test_what_a_copy_leads_to_is_marked_and_what_a_user_leads_to_is_not(chain: Chain) -> None:
    await chain.ask(chain.port)
    await until(lambda: chain.entry.traffic.mirrored == {("a", "gray", "same"): 1})
    [original], [copy], [call] = chain.base.called, chain.gray.called, chain.b.called
    assert "x-gray-mirror" not in original
    assert original["traceparent"][:36] != copy["traceparent"][:36] == call["traceparent"][:36]
    for fields in (copy, call):
        assert fields["x-gray-mirror"] == "1"
        assert re.fullmatch(r"gray|_1\.gray\.[0-9a-f]{12}\.[0-9a-f]{8}\..+", fields["x-gray-tag"])
        assert "x-gray-mirror=1" in fields["baggage"].split(",")
    await chain.ask(chain.port, MARKED)
    assert [
        ("x-gray-mirror" in fields, "mirror" in fields["baggage"])
        for fields in (chain.gray.called[1], chain.b.called[1])
    ] == [
        (False, False),
        (False, False),
    ]
    await until(lambda: chain.a_plane.traffic()["outbound"].in_flight == 0)
    for plane in (chain.a_plane, chain.b_plane):
        assert plane.traffic()["inbound"].rejected == {}
    records = [record for plane in (chain.a_plane, chain.b_plane) for record in plane.taker.take()]
    assert sorted((record.listener, record.service, record.mirror, record.tag) for record in records) == sorted(
        (listener, service, is_copy, "gray")
        for listener, service in (("inbound", "a"), ("outbound", "b"), ("inbound", "b"))
        for is_copy in (True, False)
    )


async def test_a_stranger_cannot_make_a_request_look_like_a_copy(chain: Chain) -> None:
    """Applications leave out for a copy what must not happen twice: a payment, for one."""
    claims = (("x-gray-mirror", "1"), ("baggage", "x-gray-mirror=1,mine=1"), *MARKED)
    await chain.ask(chain.port, claims)
    for fields in (chain.gray.called[0], chain.b.called[0]):
        assert ("x-gray-mirror" in fields, "x-gray-mirror" in fields["baggage"]) == (False, False)
    assert "mine=1" in chain.gray.called[0]["baggage"]
