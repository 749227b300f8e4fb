"""Entry and sidecar speak HTTP/2 to each other; the client and the application, which do not, see no difference."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.mesh import Mesh
from tests.support.origin import Origin
from tests.support.wait import until

REQUESTS = {
    "get": b"GET /A/x?a=%20b&c HTTP/1.1\r\nHost: Shop.example\r\nX-Two: 1\r\nx-two: 2\r\nAccept: */*\r\n\r\n",
    "head": b"HEAD /A/x HTTP/1.1\r\nHost: x\r\n\r\n",
    "http/1.0": b"GET /A/x HTTP/1.0\r\nHost: x\r\n\r\n",
    "post": b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    "post nothing": b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "chunks": b"PUT /A/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: 1\r\n\r\n",
    "cookies": b"GET /A/x HTTP/1.1\r\nHost: x\r\nCookie: a=b; c=d\r\nAuthorization: Basic eDp5\r\n\r\n",
    "hop-by-hop": b"GET /A/x HTTP/1.1\r\nHost: x\r\nConnection: close, x-mine\r\nX-Mine: 1\r\nTE: trailers\r\n\r\n",
    "own method": b"FROBnicate /A/x HTTP/1.1\r\nHost: x\r\n\r\n",
    "not ascii": b"GET /A/x HTTP/1.1\r\nHost: x\r\nX-Name: caf\xc3\xa9 \xff\r\nX-Empty:\r\n\r\n",
    "gray": b"GET /A/x?group=gray HTTP/1.1\r\nHost: x\r\nBaggage: mine=1\r\n"
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
}
RESPONSES = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-A: 1\r\nX-A: 2\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nabc",
    "chunks": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
    "until close": b"HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nabc",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 10\r\n\r\n',
    "interim": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    "error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "keeps": b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: keep-alive, x-mine\r\nX-Mine: 1\r\n\r\nno",
}


def normal(message: bytes, tells_length: bool = True) -> bytes:
    """A message with its names in lower case, in order, and its chunks joined, with the trailers. `tells_length`: its framing matters."""
    if message.startswith(b"HTTP/1.1 103 "):
        interim, _, message = message.partition(b"\r\n\r\n")
        return interim.lower() + normal(message, tells_length)
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    named = sorted((line.partition(b":") for line in lines), key=lambda parts: parts[0].lower())
    fields = [name.lower() + b": " + value.strip() for name, _, value in named]
    if b"transfer-encoding: chunked" in fields:
        chunks, _, trailers = body.partition(b"0\r\n")
        body = b"".join(re.findall(rb"[0-9a-f]+\r\n(.*?)\r\n", chunks, re.DOTALL)) + trailers.strip().lower()
    if not tells_length:
        fields = [line for line in fields if not line.startswith((b"content-length:", b"transfer-encoding:"))]
    fields = [re.sub(rb"(-b7ad6b7169203331|traceparent: .*)", b"...", line) for line in fields]
    return first.rstrip(b" ") + b"|" + b"|".join(fields) + b"||" + body


@asynccontextmanager
async def hop(protocol: str, origin: Origin) -> AsyncIterator[Mesh]:
    mesh = Mesh(hop=protocol)
    await mesh.start()
    base, gray = await mesh.inbound(origin.ports["base"]), await mesh.inbound(origin.ports["gray"], "gray")
    mesh.list(base.instance(), gray.instance("gray"))
    try:
        yield mesh
    finally:
        await mesh.close()


async def exchange(mesh: Mesh, request: bytes, origin: Origin, response: bytes) -> tuple[list[bytes], bytes]:
    """What the application is sent, and what the client gets."""
    received: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        body = b""
        if b"transfer-encoding: chunked" in lower:
            body = await reader.readuntil(b"\r\n\r\n")
        elif match := re.search(rb"content-length: (\d+)", lower):
            body = await reader.readexactly(int(match[1]))
        received.append(normal(head + body))
        writer.write(response)
        await writer.drain()

    origin.script = script
    client = await mesh.client()
    head, separator, body = request.partition(b"\r\n\r\n")
    await client.send(head + b"\r\nConnection: close" * (b"Connection" not in head) + separator + body)
    got = await client.rest()
    client.close()
    # What had no length may have got one: all of it had come.
    return received, normal(got, b"Content-Length" in response)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("request_", REQUESTS)
async def test_the_application_and_the_client_see_what_they_see_by_http1(
    origin: Origin, request_: str, response: str
) -> None:
    seen = []
    for protocol in ("http1", "h2c"):
        async with hop(protocol, origin) as mesh:
            seen.append(await exchange(mesh, REQUESTS[request_], origin, RESPONSES[response]))
    # A version that was lost would be seen in Via: the sidecar says what it was sent.
    (by_http1, response_1), (by_http2, response_2) = seen
    assert [item.replace(b"via: 2 gray-gateway", b"via: 1.1 gray-gateway") for item in by_http2] == by_http1
    assert response_2 == response_1


async def test_many_clients_share_one_connection_between_entry_and_sidecar(origin: Origin) -> None:
    async with hop("h2c", origin) as mesh:
        answers = await asyncio.gather(*[mesh.ask(f"/A/{number}") for number in range(50)])
        assert answers == [{"200 base"}] * 50
        base = mesh._inbounds[0]
        assert (len(base.listener.clients.connections), base.traffic.started) == (1, 50)


async def test_requests_that_differ_in_their_trace_alone_keep_their_own(origin: Origin) -> None:
    traces = [f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{number}-01" for number in range(4)]
    async with hop("h2c", origin) as mesh:
        client = await mesh.client()
        for name, trace in zip(("traceparent", "Traceparent") * 2, traces, strict=True):
            await client.send(f"GET /A/x?group=gray HTTP/1.1\r\nHost: x\r\n{name}: {trace}\r\nA: b\r\n\r\n".encode())
            assert (await client.answer("GET")).body == b"gray GET /x?group=gray"
    assert [origin.header("traceparent", number) for number in range(4)] == traces
    assert {(origin.header("a", number), origin.header("x-gray-tag", number)) for number in range(4)} == {("b", "gray")}


async def test_a_sidecar_that_speaks_http2_no_more_is_spoken_to_in_http1_at_once(origin: Origin) -> None:
    """It was rolled back, and the registry does not know yet."""
    async with hop("h2c", origin) as mesh:
        mesh._inbounds[0].listener._context.http2 = None
        assert await mesh.ask("/A/x", "POST", b"body", times=5) == {"200 base"}
        assert mesh.traffic.upstream_errors == {}


async def test_an_application_that_cuts_off_is_cut_off_to_the_client(origin: Origin) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await writer.drain()

    origin.script = script
    async with hop("h2c", origin) as mesh:
        client = await mesh.client()
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
        got = await client.rest()
        assert got.endswith(b"\r\n\r\nabc")
        assert mesh.traffic.upstream_errors == {("a", "base", "truncated"): 1}


async def test_a_client_that_leaves_cancels_at_the_application(origin: Origin) -> None:
    left = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        started.set()
        await reader.read()
        left.set()

    started = asyncio.Event()
    origin.script = script
    async with hop("h2c", origin) as mesh:
        client = await mesh.client()
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
        await started.wait()
        client.close()
        await asyncio.wait_for(left.wait(), 20)


async def test_an_application_that_does_not_read_stops_its_own_client_only(origin: Origin) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"slow" in head:
            await asyncio.Event().wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbase")

    origin.script = script
    async with hop("h2c", origin) as mesh:
        client = await mesh.client()
        await client.send(b"POST /A/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        sending = asyncio.create_task(client.send(b"a" * 50_000_000))
        await until(lambda: any(item.is_paused for item in mesh._listener.clients.connections))
        for _ in range(20):
            assert await mesh.ask("/A/quick") == {"200 base"}
        sending.cancel()


async def test_a_websocket_goes_through_both(origin: Origin) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data.upper())

    origin.script = script
    async with hop("h2c", origin) as mesh:
        client = await mesh.client()
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        await client.send(b"hello")
        assert await client.reader.readexactly(5) == b"HELLO"
