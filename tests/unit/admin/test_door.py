"""The admin API of a sidecar until the whole of it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from gateway.admin.door import MAX_HEAD, AdminDoor, Api
from gateway.web.headers import HEADERS
from gateway.web.names import OwnNames
from gateway.web.server import WebServer

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Whole:
    """The whole API: says what it was asked."""

    def __init__(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._say)
        self._server = WebServer(app, "127.0.0.1", 0, "a test")

    async def _say(self, request: web.Request) -> web.Response:
        return web.Response(text=f"whole: {request.method} {request.path}\n")

    async def open(self) -> Callable[[], asyncio.Protocol]:
        return await self._server.open()

    async def close(self) -> None:
        await self._server.close()


class Door:
    def __init__(self) -> None:
        self.loaded = 0
        self.fails = 0
        self.reasons: list[str] = []
        view: Any = SimpleNamespace(not_ready=lambda: self.reasons)
        self.door = AdminDoor("127.0.0.1", 0, view, self._load, OwnNames("127.0.0.1"))

    def _load(self) -> Callable[[], Api]:
        self.loaded += 1
        if self.fails:
            self.fails -= 1
            raise ImportError("gone")
        return Whole

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.door.port)

    async def ask(self, *pieces: bytes) -> bytes:
        """All that is responded to some bytes, in a connection that closes with the last response."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return answer


@pytest.fixture
async def here() -> AsyncIterator[Door]:
    here = Door()
    await here.door.start()
    yield here
    await here.door.close()


def last(request: bytes) -> bytes:
    """The request, after which the connection closes."""
    return request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def test_probes_are_served_without_the_rest_and_with_the_fields_of_every_response(here: Door) -> None:
    answer = await here.ask(LIVEZ, last(LIVEZ))
    first, second = answer.split(b"HTTP/1.1 ")[1:]
    assert (first.startswith(b"200 OK\r\n"), first.endswith(b"\r\n\r\nok\n")) == (True, True)
    assert b"\r\nConnection: close\r\n" in second
    for name, value in HEADERS.items():
        assert f"\r\n{name}: {value}\r\n".encode() in first
    assert here.loaded == 0


async def test_why_it_is_not_ready_is_said_in_printable_text(here: Door) -> None:
    here.reasons = ["draining", "a\x1bb"]
    answer = await here.ask(last(LIVEZ.replace(b"livez", b"readyz")))
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.endswith(b"\r\n\r\nnot ready: draining\nnot ready: a\\x1bb\n")


async def test_a_request_in_pieces_is_one_request(here: Door) -> None:
    request = last(LIVEZ)
    answer = await here.ask(*(request[at : at + 1] for at in range(len(request))))
    assert (answer.startswith(b"HTTP/1.1 200 "), here.loaded) == (True, 0)


@pytest.mark.parametrize(
    "request_",
    [
        LIVEZ.replace(b"/livez", b"/api/v1/status"),
        LIVEZ.replace(b"GET", b"HEAD"),
        LIVEZ.replace(b"/livez", b"/livez?x"),
        LIVEZ.replace(b"/livez", b"http://127.0.0.1/livez"),
        LIVEZ.replace(b"Host: 127.0.0.1", b"Host: evil.example"),
        LIVEZ.replace(b"Host: 127.0.0.1", b"Host: 127.0.0.1\r\nHost: 127.0.0.1"),
        LIVEZ.replace(b"Host: 127.0.0.1\r\n", b""),
        LIVEZ.replace(b"\r\n\r\n", b"\r\nOrigin: http://evil.example\r\n\r\n"),
        LIVEZ.replace(b"\r\n\r\n", b"\r\nSec-Fetch-Site: cross-site\r\n\r\n"),
        LIVEZ.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"),
        b"GET /li",
        b"\x16\x03\x01",
        LIVEZ[:-2] + b"X: " + b"x" * MAX_HEAD,
    ],
)
async def test_everything_else_is_for_the_whole_api_to_judge(here: Door, request_: bytes) -> None:
    reader, writer = await here.connect()
    writer.write(request_)
    if request_ == b"GET /li":
        writer.write(b"nks HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await asyncio.wait_for(reader.readline(), 20)
    assert here.loaded == 1
    writer.close()


async def test_a_connection_that_has_been_handed_over_stays_there_and_keeps_what_it_sent(here: Door) -> None:
    status = LIVEZ.replace(b"/livez", b"/api/v1/status")
    answer = await here.ask(LIVEZ + status + last(LIVEZ))
    assert [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]] == [
        b"ok\n",
        b"whole: GET /api/v1/status\n",
        b"whole: GET /livez\n",
    ]
    # The next connection begins anew, and the whole is there already.
    assert (await here.ask(last(LIVEZ))).endswith(b"\r\n\r\nok\n")
    assert (await here.ask(last(status))).endswith(b"whole: GET /api/v1/status\n")
    assert here.loaded == 1


async def test_what_could_not_be_loaded_is_tried_again(here: Door, caplog: pytest.LogCaptureFixture) -> None:
    here.fails = 1
    status = last(LIVEZ.replace(b"/livez", b"/api/v1/status"))
    assert await here.ask(status) == b""
    assert "the admin API cannot be loaded" in caplog.text
    assert (await here.ask(status)).endswith(b"whole: GET /api/v1/status\n")


async def test_connections_without_a_request_are_closed_with_it(here: Door) -> None:
    reader, writer = await here.connect()
    writer.write(LIVEZ)
    await reader.readuntil(b"ok\n")
    await here.door.close()
    assert await reader.read() == b""
    writer.close()
