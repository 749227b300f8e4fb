"""Trailers between HTTP/1.1 and HTTP/2, in both directions: what may come after a body comes, and nothing that may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import h2.errors
import pytest

from gateway.http.edits import HeaderEdit
from gateway.http.trailers import NEVER
from gateway.instance import Instance
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from tests.support.h2origin import Call, H2Origin
from tests.support.http2 import POST, SocketClient
from tests.support.mesh import Mesh
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

Fields = list[tuple[str, str]]

SENT = [("x-checksum", "abc"), ("x-sign", "two words"), ("x-checksum", "def"), ("x-empty", "")]
CLIENTS = ["http1", "http2"]
ORIGINS = ["http1", "http2"]


class Server:
    """An instance that speaks either: what it was sent, and the trailers with which it responds."""

    def __init__(self, speaks: str) -> None:
        self.speaks = speaks
        self.got: list[tuple[bytes, Fields]] = []
        self.announced: list[str | None] = []
        self.trailers: Fields = []
        self.begun = 0
        self.closes = 0
        self._h2 = H2Origin(self._answer)
        self._h1 = Origin()
        self._h1.script = self._script

    async def start(self) -> None:
        await self._h2.start()
        await self._h1.start()

    @property
    def instance(self) -> Instance:
        port = self._h2.port if self.speaks == "http2" else self._h1.ports["base"]
        return Instance("127.0.0.1", port, metadata={"protocol": "h2c"} if self.speaks == "http2" else {})

    async def close(self) -> None:
        await self._h1.close()
        await self._h2.close()
        assert (self._h2.illegal, self._h2.problems) == ([], [])

    async def _answer(self, call: Call) -> None:
        self.begun += 1
        body = await call.whole()
        self.got.append((body, call.trailers))
        self.announced.append(call.header("trailer"))
        call.send_headers((":status", "200"), ("trailer", "x-checksum"))
        await call.send_data(b"said")
        call.send_trailers(*self.trailers or [("x-none", "")])

    async def _script(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.begun += 1
            fields = read_fields(head.split("\r\n")[1:-2])
            trailers: Fields = []
            if dict(fields).get("transfer-encoding") == "chunked":
                body, trailers = await read_chunks(reader)
            else:
                body = await reader.readexactly(int(dict(fields).get("content-length", 0)))
            if self.closes:
                self.closes -= 1
                return
            self.got.append((body, trailers))
            self.announced.append(dict(fields).get("trailer"))
            lines = b"".join([f"{name}: {value}\r\n".encode() for name, value in self.trailers])
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-checksum\r\n\r\n")
            writer.write(b"4\r\nsaid\r\n0\r\n" + lines + b"\r\n")


def read_fields(lines: list[str]) -> Fields:
    pairs = [line.partition(":") for line in lines]
    return [(name.lower(), value.strip()) for name, _, value in pairs]


async def read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, Fields]:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    lines: list[str] = []
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        lines.append(line[:-2].decode("latin-1"))
    return body, read_fields(lines)


async def call(
    speaks: str,
    port: int,
    trailers: Fields,
    body: bytes = b"hello",
    *,
    more: Fields | None = None,
    method: str = "POST",
    then: Callable[[], object] = lambda: True,
    announces: bool = True,
    takes: bool = True,
) -> Fields:
    """Sends a request whose body ends with trailers, as soon as `then` is so; returns those of the response."""
    more = [*(more or []), *([("trailer", "x-checksum")] * announces), *([("te", "trailers")] * takes)]
    if speaks == "http2":
        client = await SocketClient().connect(port)
        fields = [(b":method", method.encode()), *POST[1:], *((name.encode(), value.encode()) for name, value in more)]
        response = client.request(fields, body, ends=False)
        client.flush()
        await until(then)
        client.connection.send_headers(client.number(response), trailers or [("x-none", "")], end_stream=True)
        client.flush()
        await until(lambda: response.is_done or response.reset >= 0)
        assert (response.status, response.body, response.reset) == (200, b"said", -1)
        client.close()
        return [(name.decode(), value.decode()) for name, value in response.trailers]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    head = "".join(f"{name}: {value}\r\n" for name, value in more)
    try:
        writer.write(f"{method} /A/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{head}\r\n".encode())
        writer.write(b"%x\r\n%b\r\n" % (len(body), body))
        await until(then)
        writer.write(b"0\r\n%b\r\n" % lines.encode())
        async with asyncio.timeout(30):
            response_head = await reader.readuntil(b"\r\n\r\n")
            assert response_head.startswith(b"HTTP/1.1 200 ")
            said, found = await read_chunks(reader)
        assert said == b"said"
        return found
    finally:
        writer.close()


@asynccontextmanager
async def served(
    speaks: str, edit: HeaderEdit | None = None, *, inspects: bool = False
) -> AsyncIterator[tuple[Proxy, Server]]:
    server = Server(speaks)
    await server.start()
    proxy = Proxy()
    if inspects:
        lane = {"name": "gray", "tag": "gray", "match": [{"body": "/level", "equals": "3"}]}
        proxy.group = {"name": "demo", "lanes": [lane]}
    await proxy.serve(server.instance)
    if edit is not None or inspects:
        old = proxy.router.snapshot
        route = Route("/A", "a", request_edit=edit, response_edit=edit, inspect_body=1000 if inspects else 0)
        proxy.router.snapshot = Snapshot(1, old.rules, RouteTable([route]), old.services)
    try:
        yield proxy, server
    finally:
        await proxy.close()
        await server.close()
    assert proxy.traffic.internal_errors == 0


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_trailers_pass_in_both_directions(client: str, origin: str) -> None:
    """And what announces them: Go's servers leave out what was not (RFC 9110 §6.6.2)."""
    async with served(origin) as (proxy, server):
        server.trailers = SENT
        for body in (b"hello", b"x" * 10_000):
            assert await call(client, proxy.listener.port, SENT, body) == SENT
            assert server.got.pop() == (body, SENT)
        assert server.announced == ["x-checksum"] * 2


NO_TRAILERS = [
    "x-gray-tag", "baggage", "traceparent", "tracestate", "x-request-id", "x-b3-traceid", "x-forwarded-for", "x-forwarded-proto",
    "x-real-ip", "forwarded", "via", "x_gray_tag", "x_forwarded_for", "x-gray-hop", "x-gray-anything", "grpc-timeout",
    "x-client-cert", "x-auth-request-user", "content_type", "set_cookie",
]  # fmt: skip


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_what_is_for_the_head_does_not_pass(client: str, origin: str, streams: bool) -> None:
    """RFC 9110 §6.5.1: framing, routing, credentials, modifiers; a tag, a trace, and what only a proxy may say."""
    refused_in_h2 = {"host", "content-length", "transfer-encoding", "te", "connection", "keep-alive", "upgrade"}
    names = sorted({*(name.decode() for name in NEVER), *NO_TRAILERS, "connection", "keep-alive", "upgrade"})
    if client == "http2":
        names = [name for name in names if name not in refused_in_h2]
    async with served(origin) as (proxy, server):
        trailers = [("x-a", "1"), *((name, "1") for name in names), ("x-z", "2")]
        await call(client, proxy.listener.port, trailers, then=lambda: server.begun or not streams)
        assert server.got == [(b"hello", [("x-a", "1"), ("x-z", "2")])]


@pytest.mark.parametrize("inspects", [False, True], ids=["streamed", "kept for rules"])
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_cve_2013_5704_what_a_route_takes_away_does_not_come_back(
    client: str, origin: str, inspects: bool
) -> None:
    """Whether the body went on as it came, or was kept until the route was known."""
    edit = HeaderEdit(put=[("X-User", "nobody")], remove=["X-Internal"])
    claims = [("x-user", "root"), ("x-internal", "1"), ("x_internal", "1"), ("x-other", "1")]
    async with served(origin, edit, inspects=inspects) as (proxy, server):
        server.trailers = claims
        found = await call(client, proxy.listener.port, claims)
        assert server.got == [(b"hello", [("x-other", "1")])]
        assert found == [("x-other", "1")]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_what_a_connection_nominates_goes_in_trailers_too(origin: str) -> None:
    """RFC 9110 §7.6.1."""
    async with served(origin) as (proxy, server):
        await call("http1", proxy.listener.port, [("X-Hop", "1"), ("x-other", "1")], more=[("Connection", "x-hop")])
        assert server.got == [(b"hello", [("x-other", "1")])]


@pytest.mark.parametrize("client", CLIENTS)
async def test_trailers_are_sent_again_with_the_body(client: str) -> None:
    """The first attempt found a connection that the instance had just closed."""
    async with served("http1") as (proxy, server):
        await call(client, proxy.listener.port, [])
        server.closes = 1
        server.got.clear()
        await call(client, proxy.listener.port, [*SENT, ("host", "b")] if client == "http1" else SENT, method="PUT")
        assert (server.closes, server.got) == (0, [(b"hello", SENT)])


@pytest.mark.parametrize("client", CLIENTS)
async def test_trailers_that_are_announced_come_after_a_response_of_known_length(client: str) -> None:
    """HTTP/2 has both."""

    async def answer(call: Call) -> None:
        await call.whole()
        call.send_headers((":status", "200"), ("content-length", "4"), ("trailer", "x-checksum"))
        await call.send_data(b"said")
        call.send_trailers(*SENT)

    async with served("http2") as (proxy, server):
        server._h2.answer = answer
        assert await call(client, proxy.listener.port, []) == SENT


@pytest.mark.parametrize("origin", ORIGINS)
async def test_a_client_that_speaks_http1_and_has_not_said_so_gets_no_trailers(origin: str) -> None:
    """RFC 9110 §6.5.1."""
    async with served(origin) as (proxy, server):
        server.trailers = SENT
        assert await call("http1", proxy.listener.port, [], takes=False) == []
        assert await call("http2", proxy.listener.port, [], takes=False) == SENT


@pytest.mark.parametrize("client", CLIENTS)
async def test_trailers_that_nothing_announces_are_not_sent_in_http2(client: str) -> None:
    """Servers drop them or reset the stream for them (Go, Apache's mod_h2); in HTTP/1.1 they do no harm."""
    for origin, expected in (("http1", SENT), ("http2", [])):
        async with served(origin) as (proxy, server):
            await call(client, proxy.listener.port, SENT, announces=False)
            assert server.got == [(b"hello", expected)]


async def test_an_instance_that_ends_the_connection_for_trailers_ends_nobody_elses_request_and_gets_none_again() -> (
    None
):
    """As nginx does (https://github.com/nginx/nginx/issues/1527)."""
    goes_on = asyncio.Event()

    async def answer(call: Call) -> None:
        await call.whole()
        if call.trailers:
            call.connection.h2.close_connection(h2.errors.ErrorCodes.PROTOCOL_ERROR)
            call.connection.flush()
            assert call.connection.transport is not None
            call.connection.transport.close()
            return
        await goes_on.wait()
        call.send_headers((":status", "200"))
        await call.send_data(b"said")
        call.send_trailers(("x-none", ""))

    async with served("http2") as (proxy, server):
        server._h2.answer = answer
        other = asyncio.create_task(call("http2", proxy.listener.port, [], announces=False))
        await until(lambda: server._h2.calls)
        with pytest.raises(AssertionError):
            await call("http1", proxy.listener.port, SENT)
        goes_on.set()
        await other
        await call("http1", proxy.listener.port, SENT)
        assert [bool(item.trailers) for item in server._h2.calls] == [False, True, False]
        assert proxy.traffic.upstream_errors == {("a", "base", "closed"): 1}


async def test_a_body_of_known_length_has_no_place_for_trailers_in_http1() -> None:
    for origin, expected in (("http1", []), ("http2", SENT)):
        async with served(origin) as (proxy, server):
            await call("http2", proxy.listener.port, SENT, more=[("content-length", "5")])
            assert server.got == [(b"hello", expected)]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_a_flood_of_trailers_is_refused(origin: str) -> None:
    """16 KiB in HTTP/1.1, a head's size in HTTP/2."""
    flood = [(f"x-{number}", "1" * 200) for number in range(400)]
    async with served(origin) as (proxy, server):
        lines = "".join(f"{name}: {value}\r\n" for name, value in flood).encode()
        head = b"POST /A/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
        answer = await proxy.ask(head + lines + b"\r\n")
        assert (answer.status, answer.header("connection")) == (400, "close")
        client = await SocketClient().connect(proxy.listener.port)
        response = client.request(POST, b"hello", ends=False)
        client.connection.send_headers(client.number(response), flood, end_stream=True)
        client.flush()
        await until(lambda: response.is_done or response.reset >= 0)
        assert response.status == 400
        client.close()
        assert server.got == []


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("hop", ["http1", "h2c"])
async def test_trailers_pass_through_a_sidecar(hop: str, origin: str) -> None:
    server = Server(origin)
    server.trailers = SENT
    await server.start()
    mesh = Mesh(hop=hop)
    await mesh.start()
    try:
        inbound = await mesh.inbound(server.instance.port)
        inbound._router._view = ServiceView("a", (server.instance,), Turns())
        mesh.list(inbound.instance())
        assert await call("http1", mesh._listener.port, [*SENT, ("x-gray-tag", "gray"), ("cookie", "a=b")]) == SENT
        assert server.got == [(b"hello", SENT)]
    finally:
        await mesh.close()
        await server.close()
