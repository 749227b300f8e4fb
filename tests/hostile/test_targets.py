"""Host, target, method and version: what a request is for is beyond doubt, or it is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from gateway.routing.routes import Route, RouteTable
from gateway.routing.snapshot import Snapshot
from tests.support.hostile import (
    GET,
    OK,
    answering,
    assert_closes_if_it_says_so,
    assert_forwarded,
    assert_refused,
    both_ways,
    connect,
    deliver,
    ended,
)
from tests.support.origin import Origin
from tests.support.proxy import Proxy

HOST = b"Host: x\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


class Canary:
    """A server that a request names, and that the proxy must never dial."""

    def __init__(self) -> None:
        self.dialled = 0
        self.port = 0

    def count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dialled += 1
        writer.close()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    """It must not have been dialled when the test ends."""
    canary = Canary()
    server = await asyncio.start_server(canary.count, "127.0.0.1", 0)
    canary.port = server.sockets[0].getsockname()[1]
    yield canary
    server.close()
    assert canary.dialled == 0


@both_ways
@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET /A/x HTTP/1.1\r\n\r\n", 400, id="row 38: no Host"),
        pytest.param(b"GET /A/x HTTP/1.1\r\nX: y\r\n\r\n", 400, id="row 38: no Host among fields"),
        pytest.param(b"GET http://x/A/x HTTP/1.1\r\n\r\n", 400, id="row 38: no Host with an absolute target"),
        pytest.param(GET + HOST, 400, id="row 39: two Hosts, the same"),
        pytest.param(GET + b"hOST: y\r\n\r\n", 400, id="row 39: two Hosts, different"),
        *[
            pytest.param(b"GET /A/x HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 400, id=f"row 40: Host {host.decode()}")
            for host in (
                b"a,b",
                b"a, b",
                b"user@x",
                b"u:p@x",
                b"x/A",
                b"x?a",
                b"x#a",
                b"x\\y",
                b"x y",
                b"x:y",
                b"x:1:2",
                b"x:65536",
                b"x..y",
                b"..",
                b".",
                b":80",
            )
        ],
        pytest.param(b"GET /A/x HTTP/1.1\r\nHost:\r\n\r\n", 400, id="row 40: an empty Host"),
        pytest.param(b"GET /A/x HTTP/1.0\r\nHost: \t\r\n\r\n", 400, id="row 40: a Host of white space, HTTP/1.0"),
        pytest.param(b"GET /A/x HTTP/1.1\r\nHost: http://x\r\n\r\n", 400, id="row 40: a URL as Host"),
        pytest.param(b"GET /A/x HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, id="row 40: an open bracket"),
        pytest.param(b"GET /A/x HTTP/1.1\r\nHost: x\xff\r\n\r\n", 400, id="row 40: 0xFF in Host"),
        pytest.param(b"GET http://u@x/A/x HTTP/1.1\r\n" + HOST, 400, id="row 41: userinfo in the target"),
        pytest.param(b"GET http:///A/x HTTP/1.1\r\n" + HOST, 400, id="row 41: no authority in the target"),
        pytest.param(b"GET http://x,y/A/x HTTP/1.1\r\n" + HOST, 400, id="row 41: two authorities in the target"),
        pytest.param(b"GET https://x/A/x HTTP/1.1\r\n" + HOST, 400, id="row 41: https without TLS"),
        pytest.param(b"GET HttpS://x/A/x HTTP/1.1\r\n" + HOST, 400, id="row 41: https without TLS, in any case"),
        pytest.param(b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 405, id="row 43: CONNECT"),
        pytest.param(b"CONNECT /A/x HTTP/1.1\r\n" + HOST, 405, id="row 43: CONNECT to a path"),
        pytest.param(b"CONNECT http://x/A/x HTTP/1.1\r\n" + HOST, 405, id="row 43: CONNECT to a URL"),
        pytest.param(b"GET * HTTP/1.1\r\n" + HOST, 400, id="row 44: GET *"),
        pytest.param(b"GET A/x HTTP/1.1\r\n" + HOST, 400, id="row 44: no leading slash"),
        pytest.param(b"GET ?x HTTP/1.1\r\n" + HOST, 400, id="row 44: nothing but a query"),
        pytest.param(b"OPTIONS x HTTP/1.1\r\n" + HOST, 400, id="row 44: OPTIONS of a name"),
        pytest.param(b"OPTIONS ** HTTP/1.1\r\n" + HOST, 400, id="row 44: OPTIONS **"),
        pytest.param(b"GET /A/x#f HTTP/1.1\r\n" + HOST, 400, id="row 44: fragment"),
        pytest.param(b"GET /A/x?a=b#f HTTP/1.1\r\n" + HOST, 400, id="row 44: fragment behind a query"),
        pytest.param(b"GET http://x/A/x#f HTTP/1.1\r\n" + HOST, 400, id="row 44: fragment of a URL"),
        pytest.param(b"GET /A /x HTTP/1.1\r\n" + HOST, 400, id="row 44: space in the target"),
        pytest.param(b"GET  /A/x HTTP/1.1\r\n" + HOST, 400, id="row 46: two spaces before the target"),
        pytest.param(b"GET /A/x  HTTP/1.1\r\n" + HOST, 400, id="row 46: two spaces behind the target"),
        pytest.param(b"GET\t/A/x HTTP/1.1\r\n" + HOST, 400, id="row 46: TAB before the target"),
        pytest.param(b"GET /A/x\tHTTP/1.1\r\n" + HOST, 400, id="row 46: TAB behind the target"),
        pytest.param(b" GET /A/x HTTP/1.1\r\n" + HOST, 400, id="row 46: leading space"),
        pytest.param(b"GET /A/x HTTP/1.1 \r\n" + HOST, 400, id="row 46: trailing space"),
        *[
            pytest.param(b"GET /A/%c HTTP/1.1\r\n" % code + HOST, 400, id=f"row 47: {code:#04x} in the path")
            for code in (0x01, 0x0B, 0x1B, 0x1F, 0x7F, 0x80, 0xFF)
        ],
        pytest.param(b"GET /A/x?\x01 HTTP/1.1\r\n" + HOST, 400, id="row 47: 0x01 in the query"),
        pytest.param("GET /A/ü HTTP/1.1\r\n".encode() + HOST, 400, id="row 47: UTF-8 in the path"),
        *[
            pytest.param(b"G%cT /A/x HTTP/1.1\r\n" % code + HOST, 400, id=f"row 48: {chr(code)} in the method")
            for code in b'(),/:;<=>?@[]{}"\x01\x7f\xff'
        ],
        pytest.param(b"M" * 65 + b" /A/x HTTP/1.1\r\n" + HOST, 501, id="row 48: a method of 65 bytes"),
        pytest.param(b"GET /A/x HTTP/1.2\r\n" + HOST, 505, id="row 51: HTTP/1.2"),
        pytest.param(b"GET /A/x HTTP/2.0\r\n" + HOST, 505, id="row 51: HTTP/2.0"),
        pytest.param(b"GET /A/x HTTP/01.1\r\n" + HOST, 400, id="row 51: HTTP/01.1"),
        pytest.param(b"GET /A/x HTTP/1.10\r\n" + HOST, 400, id="row 51: HTTP/1.10"),
        pytest.param(b"GET /A/x HTTP/1\r\n" + HOST, 400, id="row 51: HTTP/1"),
        pytest.param(b"GET /A/x http/1.1\r\n" + HOST, 400, id="row 51: http/1.1"),
        pytest.param(b"GET /A/x HTTP/0.9\r\n" + HOST, 400, id="row 51: HTTP/0.9"),
        pytest.param(b"GET /A/x\r\n\r\n", 400, id="row 51: no version"),
        pytest.param(b"\r\n\r\n\r\n" + GET + b"\r\n", 400, id="row 53: three leading CRLFs"),
        pytest.param(b"\n" + GET + b"\r\n", 400, id="row 53: leading bare LF"),
        pytest.param(b"\r" + GET + b"\r\n", 400, id="row 53: leading bare CR"),
        pytest.param(HELLO, 400, id="row 53: TLS hello"),
    ],
)
async def test_refused(proxy: Proxy, origin: Origin, data: bytes, status: int, piece: int) -> None:
    answer = await assert_refused(proxy, origin, data, status, piece)
    assert (answer.header("allow") is not None) == (status == 405)


@both_ways
@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(
            b"GET http://shop.example/A/x?a=b HTTP/1.1\r\nHost: evil\r\n\r\n",
            [b"GET /x?a=b HTTP/1.1", b"Host: shop.example"],
            id="row 41: another Host",
        ),
        pytest.param(
            b"GET hTTp://shop.example:80/A/x HTTP/1.1\r\nHost: shop.example\r\n\r\n",
            [b"GET /x HTTP/1.1", b"Host: shop.example:80"],
            id="row 41: the same Host",
        ),
        pytest.param(b"FOO /A/x HTTP/1.1\r\n" + HOST, [b"FOO /x HTTP/1.1", b"Host: x"], id="row 49: FOO"),
        pytest.param(b"get /A/x HTTP/1.1\r\n" + HOST, [b"get /x HTTP/1.1", b"Host: x"], id="row 49: get"),
        pytest.param(
            b"M-SEARCH /A/x HTTP/1.1\r\n" + HOST, [b"M-SEARCH /x HTTP/1.1", b"Host: x"], id="row 49: M-SEARCH"
        ),
        *[
            pytest.param(GET + fields + b"\r\n", [b"GET /x HTTP/1.1", b"Host: x"], id=f"row 45: {case}")
            for case, fields in {
                "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
                "h2c with settings not nominated": b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
                "h2c not nominated": b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
                "h2c or websocket": b"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
                "websocket or h2c": b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
                "TLS": b"Connection: upgrade\r\nUpgrade: TLS/1.2\r\n",
            }.items()
        ],
        pytest.param(b"\r\n" + GET + b"\r\n", [b"GET /x HTTP/1.1", b"Host: x"], id="row 53: a leading CRLF"),
        pytest.param(b"\r\n\r\n" + GET + b"\r\n", [b"GET /x HTTP/1.1", b"Host: x"], id="row 53: two leading CRLFs"),
    ],
)
async def test_forwarded(proxy: Proxy, origin: Origin, data: bytes, lines: list[bytes], piece: int) -> None:
    await assert_forwarded(proxy, origin, data, lines, piece=piece)


def by_host(proxy: Proxy) -> None:
    """Routes by host: only shop.example has a service."""
    snapshot = proxy.router.snapshot
    routes = RouteTable([Route("/", "a", host="shop.example")])
    proxy.router.snapshot = Snapshot(2, snapshot.rules, routes, snapshot.services)


async def test_row_41_the_targets_authority_chooses_the_route(proxy: Proxy, origin: Origin) -> None:
    by_host(proxy)
    past_the_host = await proxy.ask(b"GET http://other.example/x HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert (past_the_host.status, b"no_route" in past_the_host.body, origin.connections) == (404, True, 0)
    assert (await proxy.ask(b"GET http://SHOP.example/x HTTP/1.1\r\nHost: other.example\r\n\r\n")).status == 200
    assert origin.header("host") == "SHOP.example"


@pytest.mark.parametrize(
    "host", ["SHOP.Example", "shop.example.", "Shop.Example.:8080", "shop.example:", "shop.example:80"]
)
async def test_row_41_a_hosts_other_spellings_choose_the_same_route(proxy: Proxy, origin: Origin, host: str) -> None:
    """And are forwarded as they came."""
    by_host(proxy)
    assert (await proxy.ask(f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())).status == 200
    assert (origin.header("host"), origin.header("x-forwarded-host")) == (host, host)


async def test_row_41_an_https_url_from_a_trusted_proxy_is_taken(trusting: Proxy, origin: Origin) -> None:
    answer = await trusting.ask(b"GET https://shop.example/A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (answer.body, origin.header("host")) == (b"base GET /x", "shop.example")


async def test_row_42_a_targets_authority_is_never_dialled(proxy: Proxy, origin: Origin, canary: Canary) -> None:
    address = f"127.0.0.1:{canary.port}"
    client = await proxy.connect()
    await client.send(f"GET http://{address}/A/x HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await client.answer()).body == b"base GET /x"
    assert origin.header("host") == address
    for target in (f"http://{address}/", "http://127.0.0.1:22/", "http://169.254.169.254/latest/meta-data"):
        await client.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await client.answer()).status == 404
    assert len(origin.requests) == 1
    by_host(proxy)
    await client.send(f"GET http://{address}/x HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
    assert (await client.answer()).status == 404
    assert len(origin.requests) == 1


async def test_row_43_connect_is_never_dialled(proxy: Proxy, origin: Origin, canary: Canary) -> None:
    await assert_refused(proxy, origin, b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % canary.port + HOST, 405)


@both_ways
async def test_row_44_options_of_everything_is_answered_here(proxy: Proxy, origin: Origin, piece: int) -> None:
    client = await connect(proxy)
    await deliver(client, b"OPTIONS * HTTP/1.1\r\n" + HOST, piece)
    answer = await client.answer()
    assert (answer.status, answer.header("connection")) == (204, None)
    assert {"GET", "POST", "OPTIONS"} <= set(re.split(", *", answer.header("allow") or ""))
    assert origin.connections == 0
    assert await client.is_open()


@both_ways
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            b"TRACE /A/x HTTP/1.1\r\nCookie: s=secret\r\nAuthorization: secret\r\n" + HOST, id="row 50: TRACE"
        ),
        pytest.param(b"TRACE /A/x HTTP/1.1\r\nMax-Forwards: 0\r\n" + HOST, id="row 50: TRACE that may go no further"),
        pytest.param(b"TRACE /A/x HTTP/1.1\r\nMax-Forwards: 5\r\n" + HOST, id="row 50: TRACE that may go five hops"),
        pytest.param(b"TRACE http://x/A/x HTTP/1.1\r\n" + HOST, id="row 50: TRACE of a URL"),
        pytest.param(b"TRACE /none HTTP/1.1\r\n" + HOST, id="row 50: TRACE without a route"),
    ],
)
async def test_trace_is_not_allowed(proxy: Proxy, origin: Origin, data: bytes, piece: int) -> None:
    """It would show a script the fields that the browser hides from it. The connection may stay open."""
    client = await connect(proxy)
    await deliver(client, data, piece)
    answer = await client.answer()
    allowed = re.split(", *", answer.header("allow") or "")
    assert (answer.status, "GET" in allowed, "TRACE" in allowed) == (405, True, False)
    assert b"secret" not in answer.head + answer.body
    assert origin.connections == 0
    await assert_closes_if_it_says_so(client, answer)


@both_ways
@pytest.mark.parametrize(
    ("fields", "keeps"),
    [
        pytest.param(b"", False, id="row 52: HTTP/1.0 closes"),
        pytest.param(b"Connection: close\r\n", False, id="row 52: HTTP/1.0 asks to close"),
        pytest.param(b"Connection: keep-alive\r\n", True, id="row 52: HTTP/1.0 asks to keep"),
        pytest.param(b"Connection: Keep-Alive\r\n", True, id="row 52: HTTP/1.0 asks to keep, in capitals"),
        pytest.param(b"Connection: keep-alive, close\r\n", False, id="row 52: HTTP/1.0 asks for both"),
    ],
)
async def test_http_1_0(proxy: Proxy, origin: Origin, fields: bytes, keeps: bool, piece: int) -> None:
    client = await connect(proxy)
    await deliver(client, b"GET /A/x HTTP/1.0\r\nHost: x\r\n" + fields + b"\r\n", piece)
    answer = await client.answer()
    assert (answer.status, answer.header("connection")) == (200, "keep-alive" if keeps else "close")
    if keeps:
        assert await client.is_open()
    else:
        await ended(client)
    assert origin.illegal == 0


async def test_row_52_http_1_0_gets_no_chunks_and_no_interim_answers(proxy: Proxy, origin: Origin) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX: y\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    origin.script = answering(interim + chunked, closes=False)
    client = await proxy.connect()
    await client.send(b"GET /A/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert await client.rest() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello world"


async def test_row_52_http_1_0_is_not_told_to_continue(proxy: Proxy, origin: Origin) -> None:
    origin.script = answering(OK)
    client = await proxy.connect()
    await client.send(b"POST /A/x HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    await client.send(b"hello")
    assert await client.rest() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
