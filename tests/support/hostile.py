"""What must become of a hostile message: sent whole and byte by byte, refused or forwarded, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from tests.support.origin import Origin, Script
from tests.support.proxy import Answer, Client, Proxy
from tests.support.wait import until

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /A/x HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /A/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

both_ways = pytest.mark.parametrize("piece", [pytest.param(0, id="whole"), pytest.param(1, id="byte by byte")])
"""A message is the same message however the network cuts it."""

# What the gateway adds to every request. Each may stand there once: a second one is the client's.
_OURS = re.compile(
    rb"X-Forwarded-For: 127\.0\.0\.1|X-Forwarded-Proto: http|X-Forwarded-Host: [^\r]*|X-Gray-Hop: [^\r]*"
    rb"|X-Forwarded-Prefix: /A|traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]|Via: 1\.1 gray-gateway"
)


@contextlib.asynccontextmanager
async def started(proxy: Proxy, origin: Origin) -> AsyncIterator[Proxy]:
    """A proxy with settings of its own, in front of `origin`."""
    await proxy.start(origin)
    try:
        yield proxy
    finally:
        await proxy.close()


async def connect(proxy: Proxy) -> Client:
    """A client connection that the proxy has accepted: from now on each write is a read of its own there."""
    before = proxy.traffic.connections
    client = await proxy.connect()
    async with asyncio.timeout(30):
        while proxy.traffic.connections == before:
            await asyncio.sleep(0)
    return client


async def deliver(client: Client, data: bytes, piece: int = 0) -> None:
    """Sends `data` in writes of `piece` bytes (0: in one), even where the proxy has answered and closed before the end."""
    size = piece or len(data)
    with contextlib.suppress(ConnectionError):
        for position in range(0, len(data), size):
            await client.send(data[position : position + size])
            # One turn in which the loop finds the bytes, and one in which the proxy has read them.
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def ended(client: Client) -> None:
    """The proxy closes the connection and sends nothing more."""
    assert await client.rest() == b""


async def assert_closes_if_it_says_so(client: Client, answer: Answer) -> None:
    """Where both are allowed: the connection closes behind `Connection: close`, and serves another request without it."""
    if answer.header("connection") == "close":
        await ended(client)
    else:
        assert await client.is_open()


def reset(client: Client) -> None:
    """Closes the connection with a reset."""
    reset_transport(client.writer)


def reset_transport(writer: asyncio.StreamWriter) -> None:
    """Closes a connection with a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


_RULES = re.compile(rb",x-gray-tag-rules=[0-9a-f]{12}$")
"""With a tag goes the digest of what the rules say about it."""


def theirs(received: bytes) -> tuple[list[bytes], bytes]:
    """What an origin received: the head's lines less those that the gateway adds to every request, and the raw body."""
    head, _, body = received.partition(b"\r\n\r\n")
    ours: set[bytes] = set()
    lines = []
    for line in head.split(b"\r\n"):
        name = line.partition(b":")[0]
        if name not in ours and _OURS.fullmatch(line) is not None:
            ours.add(name)
        else:
            lines.append(_RULES.sub(b"", line))
    return lines, body


async def assert_refused(proxy: Proxy, origin: Origin, data: bytes, status: int, piece: int = 0) -> Answer:
    """The request is answered with `status`, the connection closes, and the origin has heard nothing at all."""
    client = await connect(proxy)
    await deliver(client, data + NEXT, piece)
    answer = await client.answer()
    assert (answer.status, answer.header("connection")) == (status, "close")
    await ended(client)
    assert (origin.connections, origin.received) == (0, [])
    assert sum(proxy.traffic.refused.values()) == 1
    return answer


async def assert_body_refused(proxy: Proxy, origin: Origin, data: bytes, piece: int = 0) -> None:
    """The body is answered with 400, the connection closes, and no origin takes it for a whole one.

    Its head may be with the origin already, unless all of it came in one packet.
    """
    client = await connect(proxy)
    await deliver(client, data + NEXT, piece)
    answer = await client.answer()
    assert (answer.status, answer.header("connection")) == (400, "close")
    await ended(client)
    await assert_nothing_completed(origin)
    if not piece:
        assert origin.connections == 0


async def assert_nothing_completed(origin: Origin) -> None:
    """Every upstream connection is closed, and what was sent on it is the beginning of a legal message, without its end."""
    await until(lambda: origin.lost == origin.connections, "the upstream connection to close")
    assert (origin.requests, origin.illegal) == ([], 0)
    assert all(b"0\r\n\r\n" not in received for received in origin.received)


async def assert_forwarded(
    proxy: Proxy, origin: Origin, data: bytes, lines: list[bytes], body: bytes = b"", piece: int = 0
) -> Answer:
    """The request is answered by the origin, which received these very lines and bytes; the connection stays open."""
    client = await connect(proxy)
    await deliver(client, data, piece)
    answer = await client.answer(data.split(b" ", 1)[0].decode())
    assert answer.status == 200
    assert [theirs(received) for received in origin.received] == [(lines, body)]
    assert await client.is_open()
    assert origin.illegal == 0
    return answer


def answering(*pieces: bytes, closes: bool = True) -> Script:
    """An origin that answers every request with these bytes, one write each."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            if closes:
                return

    return script
