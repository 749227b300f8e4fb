"""Routes that answer by themselves, and `OPTIONS *`."""

from __future__ import annotations

import pytest

from gateway.routing.replies import RouteResponse
from tests.support.origin import Origin
from tests.support.proxy import Proxy


async def test_a_route_answers_without_a_service(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    for _ in range(2):
        await client.send(b"GET /hello/you HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.header("content-type"), answer.body) == (200, "text/plain", b"hello")
    assert origin.connections == 0
    assert (proxy.traffic.replies, proxy.traffic.in_flight) == ({("/hello", 200): 2}, 0)


@pytest.mark.parametrize(
    ("request_", "head_end", "body"),
    [
        (b"HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n", b"Content-Length: 5\r\n\r\n", b""),
        (b"GET /hello HTTP/1.0\r\n\r\n", b"Connection: close\r\n\r\n", b"hello"),
        (b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"Connection: keep-alive\r\n\r\n", b"hello"),
        (b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"Connection: close\r\n\r\n", b"hello"),
    ],
)
async def test_it_says_what_becomes_of_the_connection(
    proxy: Proxy, request_: bytes, head_end: bytes, body: bytes
) -> None:
    client = await proxy.connect()
    await client.send(request_)
    client.writer.write_eof() if b"keep-alive" not in request_ and b"close" in head_end else None
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.endswith(head_end)
    assert await client.reader.readexactly(len(body)) == body


async def test_a_body_is_taken_and_forgotten(proxy: Proxy) -> None:
    client = await proxy.connect()
    await client.send(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
    await client.send(b"67890")
    assert (await client.answer()).body == b"hello"
    await client.send(b"POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n")
    assert (await client.answer()).body == b"hello"
    assert await client.is_open()


def test_answers_without_a_body_have_no_length() -> None:
    assert RouteResponse(204, b"ignored", {"X": "y"}).whole == b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"
    assert RouteResponse(299, b"", {}).whole == b"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n"


async def test_options_of_the_server_itself(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    await client.send(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.header("content-length")) == (204, None)
    assert "GET" in (answer.header("allow") or "")
    assert await client.is_open()
    assert proxy.traffic.refused == {}
