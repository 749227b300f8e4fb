"""Documents on servers: the embedded registry as Nacos, a real Consul where one is installed, and servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from gateway.errors import RegistryError
from gateway.registry.consul.client import ConsulClient
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.nacos.client import NacosClient
from gateway.rulesources.consul import ConsulDocument
from gateway.rulesources.documents import ConflictError, RemoteDocument
from gateway.rulesources.nacos import NacosDocument
from tests.support.consul import Consul, needs_consul
from tests.support.rnacos import RNacos, needs_rnacos


@pytest.fixture(
    params=["embedded", pytest.param("rnacos", marks=needs_rnacos), pytest.param("consul", marks=needs_consul)]
)
async def document(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RemoteDocument]:
    server: EmbeddedRegistry | RNacos | Consul
    if request.param == "embedded":
        server = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    else:
        server = RNacos(tmp_path) if request.param == "rnacos" else Consul(tmp_path)
    await server.start()
    document: RemoteDocument
    if request.param == "consul":
        document = ConsulDocument(ConsulClient(server.address), "gray/rules é.yaml")
    else:
        document = NacosDocument(NacosClient([server.address]), "rules.yaml", "G", "", 0.01)
    yield document
    await document.close()
    await server.stop()


async def test_a_document_is_written_watched_and_not_overwritten_blindly(document: RemoteDocument) -> None:
    watching = document.watch()
    async with asyncio.timeout(10):
        assert await anext(watching) is None
        await document.publish("first: é\n", None)
        while (seen := await anext(watching)) is None:
            pass
        assert seen == "first: é\n"
        await document.publish("second\n", "first: é\n")
        while await anext(watching) != "second\n":
            pass
    with pytest.raises(ConflictError):
        await document.publish("third\n", "first: é\n")
    async with asyncio.timeout(10):
        await document.publish("third\n", "second\n")
        while await anext(watching) != "third\n":
            pass
    await watching.aclose()


async def test_a_change_is_told_at_once_however_long_the_interval(tmp_path: Path) -> None:
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    await registry.start()
    document = NacosDocument(NacosClient([registry.address]), "rules.yaml", "G", "", 3600.0)
    await document.publish("first\n", None)
    watching = document.watch()
    assert await anext(watching) == "first\n"
    told = asyncio.ensure_future(anext(watching))
    await document.publish("second\n", "first\n")
    async with asyncio.timeout(10):
        assert await told == "second\n"
    await watching.aclose()
    await document.close()
    await registry.stop()


class Server:
    """Answers every request alike."""

    def __init__(self) -> None:
        self.status = 200
        self.text = ""
        self.headers: dict[str, str] = {}
        self.queries: list[str] = []
        self.address = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.queries.append(request.query_string)
        return web.Response(status=self.status, text=self.text, headers=self.headers)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    server.address = f"{host}:{port}"
    yield server
    await runner.cleanup()


async def test_what_is_no_answer_is_never_taken_for_rules(server: Server) -> None:
    nacos = NacosDocument(NacosClient([server.address]), "rules.yaml", "G", "", 0.01)
    consul = ConsulDocument(ConsulClient(server.address), "rules.yaml")
    server.text = "<html>Sign in</html>"
    with pytest.raises(RegistryError, match="without X-Consul-Index"):
        await anext(consul.watch())
    server.headers = {"Content-MD5": "0" * 32}
    with pytest.raises(RegistryError, match="MD5"):
        await anext(nacos.watch())
    for status, reason in ((403, "auth"), (503, "warming"), (500, "bad_response")):
        server.status = status
        for document in (nacos, consul):
            with pytest.raises(RegistryError) as error:
                await anext(document.watch())
            assert error.value.reason == reason
    await nacos.close()
    await consul.close()


async def test_a_consul_that_starts_anew_is_followed_from_the_beginning(server: Server) -> None:
    consul = ConsulDocument(ConsulClient(server.address), "rules.yaml")
    watching = consul.watch()
    for index in ("7", "9", "3", "4"):
        server.headers = {"X-Consul-Index": index}
        await anext(watching)
    asked = [dict(parse_qsl(query)) for query in server.queries]
    assert [query.get("index") for query in asked] == [None, "7", "9", None]
    await watching.aclose()
    await consul.close()
