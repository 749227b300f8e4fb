"""Several addresses of one registry: which is asked, when it is left, and when it is gone back to."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web
from yarl import URL

from gateway.errors import RegistryError
from gateway.registry.exchange import MAX_BODY
from gateway.registry.http import FAILBACK, Nodes, RegistryHttp, path_segment
from gateway.tls.contexts import UpstreamTLS


class Node:
    def __init__(self) -> None:
        self.status = 200
        self.asked = 0
        self.address = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status, text=self.address)

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        return runner


class Cluster:
    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.now = 0.0
        self.http = RegistryHttp([node.address for node in nodes], clock=lambda: self.now)

    async def ask(self) -> int:
        """Which node answered."""
        answer = await self.http.call("GET", "/x")
        return [node.address for node in self.nodes].index(answer.text)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    nodes = [Node(), Node()]
    runners = [await node.start() for node in nodes]
    cluster = Cluster(nodes)
    yield cluster
    await cluster.http.close()
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_node_in_trouble_is_left_and_gone_back_to_after_a_while(cluster: Cluster, status: int) -> None:
    assert await cluster.ask() == 0
    cluster.nodes[0].status = status
    assert await cluster.ask() == 1
    asked = cluster.nodes[0].asked
    cluster.nodes[0].status = 200
    cluster.now += FAILBACK - 1
    assert await cluster.ask() == 1
    assert cluster.nodes[0].asked == asked  # it is left alone meanwhile
    cluster.now += 1
    assert await cluster.ask() == 0
    assert await cluster.ask() == 0


async def test_a_node_that_is_still_in_trouble_is_not_gone_back_to(cluster: Cluster) -> None:
    cluster.nodes[0].status = 503
    assert await cluster.ask() == 1
    cluster.now += FAILBACK
    assert await cluster.ask() == 1
    asked = cluster.nodes[0].asked
    assert await cluster.ask() == 1
    assert cluster.nodes[0].asked == asked


async def test_a_refusal_is_an_answer_and_no_reason_to_leave(cluster: Cluster) -> None:
    cluster.nodes[0].status = 403
    assert (await cluster.http.call("GET", "/x")).status == 403
    assert cluster.nodes[1].asked == 0


async def test_when_all_are_in_trouble_the_answer_of_one_is_told(cluster: Cluster) -> None:
    cluster.nodes[0].status = 503
    cluster.nodes[1].status = 500
    assert (await cluster.http.call("GET", "/x")).status in (500, 503)


async def test_nobody_there_is_an_error_that_names_the_address() -> None:
    http = RegistryHttp(["127.0.0.1:1", "127.0.0.1:2"])
    with pytest.raises(RegistryError, match=r"cannot reach http://127\.0\.0\.1:") as raised:
        await http.call("GET", "/x")
    assert raised.value.reason == "unreachable"
    await http.close()


def test_a_doubtful_node_is_left_without_an_error() -> None:
    nodes = Nodes(["a", "b", "c"], lambda: 0.0)
    nodes.prefer("c", "a")
    assert nodes.current == "c"
    nodes.prefer("b", "a")  # somebody who found out the same, later
    assert nodes.current == "c"


async def test_another_node_is_asked_without_keeping_to_it(cluster: Cluster) -> None:
    answer = await cluster.http.call("GET", "/x", elsewhere=True)
    assert answer.text == cluster.nodes[1].address
    assert await cluster.ask() == 0


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", ""),
        (b"HTTP/1.1 twohundred OK\r\n\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=none\r\nContent-Length: 1\r\n\r\nx", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (MAX_BODY + 1), "bad_response"),
    ],
    ids=["redirects are not followed", "no HTTP", "no charset", "no end"],
)
async def test_answers_of_servers_that_are_no_registry(raw: bytes, reason: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await reader.read()
        except OSError:
            pass  # it has seen enough
        finally:
            writer.transport.abort()
            ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    http = RegistryHttp([f"127.0.0.1:{server.sockets[0].getsockname()[1]}"])
    if reason:
        with pytest.raises(RegistryError) as raised:
            await http.call("GET", "/x", params={"accessToken": "s3cret"})
        assert raised.value.reason == reason
        assert "s3cret" not in str(raised.value)
    else:
        assert (await http.call("GET", "/x", headers={"accessToken": "s3cret"})).status == 307
    await http.close()
    await ended.wait()
    server.close()
    await server.wait_closed()


async def test_authorities_are_replaced_while_running() -> None:
    """A registry's CA is renewed: its new certificate is trusted without a restart."""
    old, new = trustme.CA(), trustme.CA()
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    new.issue_cert("127.0.0.1").configure_cert(serving)
    runner = web.AppRunner(web.Application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving)
    await site.start()
    trusted = ssl.create_default_context()
    old.configure_trust(trusted)
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    http = RegistryHttp([f"127.0.0.1:{port}"], scheme="https", tls=UpstreamTLS(trusted, "", ()))
    with pytest.raises(RegistryError) as error:
        await http.call("GET", "/x")
    assert (error.value.reason, "certificate verify failed" in str(error.value)) == ("unreachable", True)
    renewed = ssl.create_default_context()
    new.configure_trust(renewed)
    http.trust(UpstreamTLS(renewed, "", ()))
    assert (await http.call("GET", "/x")).status == 404
    await http.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("text", "segment"),
    [("orders", "orders"), ("a/b", "a%2Fb"), ("a?b#c", "a%3Fb%23c"), ("%2e%2e", "%252e%252e"), ("a@@b:1", "a%40%40b%3A1"), ("...", "..."),
     ("商", "%E5%95%86"), ("~", "~")],
)  # fmt: skip
def test_a_name_is_one_segment_of_a_path(text: str, segment: str) -> None:
    assert path_segment(text) == segment
    assert (
        URL(f"http://h/v1/{path_segment(text)}/x").raw_path
        == f"/v1/{segment.replace('%3A', ':').replace('%40', '@')}/x"
    )


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_a_name_that_leads_elsewhere_is_none(text: str) -> None:
    with pytest.raises(RegistryError, match="cannot be part of a path") as caught:
        path_segment(text)
    assert caught.value.reason == "bad_name"


async def test_an_answer_is_not_unpacked() -> None:
    """Some KiB on the wire may be GiB in memory."""
    asked: list[str | None] = []
    packed = gzip.compress(b" " * (64 << 20))  # beforehand: it takes a while, and there is a timeout

    async def bomb(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Accept-Encoding"))
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_get("/x", bomb)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    http = RegistryHttp([f"127.0.0.1:{runner.addresses[0][1]}"])
    with pytest.raises(RegistryError, match="sent a compressed response, which was not requested"):
        await http.call("GET", "/x")
    assert asked == ["identity"]
    await http.close()
    await runner.cleanup()
