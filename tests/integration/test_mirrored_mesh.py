"""Copies over mutual TLS: they go as any request of this gateway, and to nobody who cannot show who it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.app.build import Build
from gateway.app.entry_plane import EntryPlane
from gateway.app.sidecar_plane import SidecarPlane
from gateway.hop import MTLS_KEY, PROTOCOL_KEY, SIDECAR_KEY
from gateway.instance import Instance
from gateway.proxy.server import bind
from gateway.rules.ruleset import RuleSet
from tests.support.certificates import Authority
from tests.support.origin import Origin
from tests.support.proxy import Client
from tests.support.roles import gateway_settings, sidecar_settings
from tests.support.rules import rule_set
from tests.support.wait import until

IDENTITY = "spiffe://mesh.example/sa/{service}"
ENTRY = "spiffe://mesh.example/gateway"
CA = Authority()
LANE = {"name": "gray", "tag": "gray", "match": [{"header": "x-user", "equals": "tester"}], "mirror": {"percent": 100}}
RULES = rule_set([{"name": "demo", "lanes": [LANE]}])


class Mesh:
    """An entry gateway whose gray lane mirrors, and a sidecar in front of each of the origin's ports: all in mutual TLS."""

    def __init__(self, folder: Path, origin: Origin, parts: AsyncExitStack) -> None:
        self._folder = folder
        self._ca = CA.trust(folder)
        self._origin = origin
        self._parts = parts
        self.sidecars: dict[str, SidecarPlane] = {}

    async def start(self, metadata: dict[str, str], gray: str = "b") -> None:
        instances = [await self._sidecar("base", metadata), await self._sidecar("gray", metadata, gray)]
        routes = [{"path": "/A", "service": "b", "strip_prefix": True}]
        registry = {"kind": "static", "services": {"b": []}}
        settings = gateway_settings(mesh=self._terms("entry", ENTRY), routes=routes, registry=registry)
        self.entry = EntryPlane(settings)
        self.entry.configure(1, Build.of(settings, RULES))
        self.entry.service_changed("b", tuple(instances))
        sock = bind("127.0.0.1", 0)
        self._port = sock.getsockname()[1]
        self._parts.push_async_callback(self.entry.close)
        await self.entry.listen([sock])

    def _terms(self, file: str, name: str, **more: Any) -> dict[str, Any]:
        return {**CA.issue(self._folder, file, name), "ca": self._ca, "identity": IDENTITY, **more}

    async def _sidecar(self, tag: str, metadata: dict[str, str], name: str = "b") -> Instance:
        terms = self._terms(tag, IDENTITY.format(service=name), inbound="required")
        app = f"127.0.0.1:{self._origin.ports[tag]}"
        settings = sidecar_settings(service="b", tag=tag, app=app, mesh=terms)
        plane = self.sidecars[tag] = SidecarPlane(settings)
        plane.configure(1, Build.of(settings, RuleSet()))
        inbound = bind("127.0.0.1", 0)
        port = inbound.getsockname()[1]
        self._parts.push_async_callback(plane.close)
        await plane.listen(inbound, bind("127.0.0.1", 0), self._learn)
        return Instance("127.0.0.1", port, tag, metadata={MTLS_KEY: "true", SIDECAR_KEY: "b", **metadata})

    @staticmethod
    async def _learn(_: str) -> bool:
        return False

    async def get(self) -> int:
        client = Client(*await asyncio.open_connection("127.0.0.1", self._port))
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: shop\r\n\r\n")
        answer = await client.answer()
        client.close()
        return answer.status

    @property
    def counted(self) -> dict[str, int]:
        return {result: count for (_, _, result), count in self.entry.traffic.mirrored.items()}

    def received(self, tag: str) -> dict[str, int]:
        """The requests that a sidecar has served, by how they came."""
        counts = self.sidecars[tag].traffic()["inbound"].mesh_requests
        return {kind: count for kind, count in counts.items() if count}


@pytest.fixture
async def mesh(tmp_path: Path, origin: Origin) -> AsyncIterator[Mesh]:
    async with AsyncExitStack() as parts:
        yield Mesh(tmp_path, origin, parts)


@pytest.mark.parametrize("metadata", [{}, {PROTOCOL_KEY: "h2c"}], ids=["HTTP/1.1", "HTTP/2"])
async def test_a_copy_shows_the_certificate_of_its_gateway(
    mesh: Mesh, origin: Origin, metadata: dict[str, str]
) -> None:
    await mesh.start(metadata)
    for count in (1, 2):
        assert await mesh.get() == 200
        await until(lambda count=count: sum(mesh.counted.values()) == count)  # type: ignore[misc]
    assert mesh.counted == {"same": 2}
    assert (mesh.received("base"), mesh.received("gray")) == ({"mtls": 2}, {"mtls": 2})
    copies = [request for where, request, _ in origin.requests if where == "gray"]
    assert [dict(request.headers)[b"x-gray-mirror"] for request in copies] == [b"1", b"1"]
    assert mesh.entry.traffic.internal_errors == 0


async def test_nobody_else_gets_a_copy(mesh: Mesh, origin: Origin) -> None:
    """The instance shows a certificate of another service."""
    await mesh.start({}, gray="c")
    assert await mesh.get() == 200
    await until(lambda: bool(mesh.counted))
    assert mesh.counted == {"failed": 1}
    assert [where for where, _, _ in origin.requests] == ["base"]
    assert mesh.received("gray") == {}
