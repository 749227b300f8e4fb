"""Many clients, and instances that break in every way at once: nobody gets half an answer that looks whole, or another's."""

from __future__ import annotations

import asyncio
import random
import socket
import struct

from tests.support.origin import Origin
from tests.support.proxy import Proxy

CLIENTS = 16
REQUESTS = 60

SOUND = ["length", "chunks", "pieces", "until close", "length, then close", "bytes behind"]
"""Ways to answer after which the client must have the whole answer."""
BROKEN = ["reset", "close", "half a head, close", "half a head, reset", "half a body, close", "half a body, reset",
          "half the chunks, close", "half the chunks, reset", "a bad chunk", "two lengths"]  # fmt: skip
"""Ways after which the client must be able to tell."""


def way_of(number: int) -> str:
    return random.Random(number).choice(SOUND * 3 + BROKEN)


def body_of(port: str, number: int) -> bytes:
    size = random.Random(number).choice([0, 1, 100, 5_000, 200_000])
    return b"%d of %b;" % (number, port.encode()) + bytes([65 + number % 26]) * size


def chunked(body: bytes) -> bytes:
    parts = [body[start : start + 3000] for start in range(0, len(body), 3000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class Breaking:
    """What the origin does with its connections."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        name = next(name for name, number in self._origin.ports.items() if number == port)
        await self._serve(name, reader, writer)

    async def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if (length := head.lower().partition(b"content-length: ")[2]) != b"":
                await reader.readexactly(int(length.partition(b"\r\n")[0]))
            number = int(head.split(b" ")[1].partition(b"?")[0].rpartition(b"/")[2])
            way = way_of(number)
            for data in self._answer(way, body_of(name, number)):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0)
            if way.endswith("reset"):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            if way not in ("length", "chunks", "pieces", "bytes behind"):
                return

    def _answer(self, way: str, body: bytes) -> list[bytes]:
        ok = b"HTTP/1.1 200 OK\r\n"
        with_length = ok + b"Content-Length: %d\r\n\r\n" % len(body) + body
        with_chunks = ok + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body)
        if way in ("reset", "close"):
            return []
        if way.startswith("half a head"):
            return [with_length[:20]]
        if way.startswith("half a body"):
            return [with_length[: -len(body) // 2]]
        if way.startswith("half the chunks"):
            return [with_chunks[:-8]]
        if way == "chunks":
            return [with_chunks]
        if way == "a bad chunk":
            return [with_chunks[:-5] + b"zz\r\n"]
        if way == "two lengths":
            return [ok + b"Content-Length: 1\r\nContent-Length: %d\r\n\r\n" % len(body) + body]
        if way == "until close":
            return [ok + b"\r\n" + body]
        if way == "bytes behind":
            return [with_length + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"]
        if way == "pieces":
            step = max(1, len(with_length) // 7)
            return [with_length[start : start + step] for start in range(0, len(with_length), step)]
        return [with_length]


async def converse(proxy: Proxy, numbers: range, outcomes: dict[str, int]) -> None:
    """One client: a request after the other, on a new connection where the last one was closed."""
    client = await proxy.connect()
    for number in numbers:
        is_gray, is_post = number % 2 == 0, number % 5 == 0
        query = b"?group=gray" if is_gray else b""
        method, body = (b"POST", b"Content-Length: 3\r\n\r\nabc") if is_post else (b"GET", b"\r\n")
        way, expected = way_of(number), body_of("gray" if is_gray else "base", number)
        try:
            await client.send(method + b" /A/%d%b HTTP/1.1\r\nHost: x\r\n" % (number, query) + body)
            answer = await client.answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            assert way in BROKEN, f"{number}: cut off, though the instance answered by {way}"
            outcomes["cut off"] += 1
            client.close()
            client = await proxy.connect()
            continue
        if answer.status == 200:
            assert way in SOUND, f"{number}: 200 for {way}"
            assert answer.body == expected, f"{number}: {way}"
            outcomes["whole"] += 1
        else:
            # A POST is not sent again where the connection turns out to be closed.
            assert answer.status == 502, answer.status
            assert way in BROKEN or is_post, f"{number}: 502 for {way}"
            outcomes["502"] += 1
        if answer.header("connection") == "close":
            client.close()
            client = await proxy.connect()
    client.close()


async def test_every_answer_is_the_right_one_or_visibly_none(origin: Origin, proxy: Proxy) -> None:
    origin.script = Breaking(origin).serve
    outcomes = {"whole": 0, "cut off": 0, "502": 0}
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for first in range(CLIENTS):
            group.create_task(converse(proxy, range(first * REQUESTS, (first + 1) * REQUESTS), outcomes))
    assert sum(outcomes.values()) == CLIENTS * REQUESTS
    assert min(outcomes.values()) > 50, outcomes
    assert proxy.traffic.in_flight == 0
