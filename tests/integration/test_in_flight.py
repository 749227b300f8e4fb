"""Calls that carry nothing: whose they are, if the application serves one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.registry.embedded.server import EmbeddedRegistry
from tests.integration.test_sidecar import Sidecar
from tests.support.origin import Origin
from tests.support.process import get_json
from tests.support.wait import until, until_found


class OneAtATime:
    """An application without any concurrency: it accepts as many connections as come, and reads a request when the last is done."""

    def __init__(self) -> None:
        self.outbound = 0
        self.has_begun = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.reached: list[str] = []
        self.received = 0
        self._turn = asyncio.Lock()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.received += 1
                async with self._turn:
                    self.has_begun.set()
                    await self.goes_on.wait()
                    text = await self._call()
                    self.reached.append(text.decode())
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _call(self) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.outbound)
        writer.write(b"GET /x HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n")
        response = await reader.read()
        writer.close()
        return response.partition(b"\r\n\r\n")[2].split()[0]


@pytest.fixture
async def application() -> AsyncIterator[OneAtATime]:
    application = OneAtATime()
    yield application
    await application.close()


@pytest.fixture
async def sidecar(
    tmp_path: Path, origin: Origin, registry: EmbeddedRegistry, application: OneAtATime
) -> AsyncIterator[Sidecar]:
    sidecar = Sidecar(tmp_path, origin, registry, app=await application.start())
    application.outbound = sidecar.outbound
    sidecar.config |= {
        "trace_memory": {"in_flight": True},
        "limits": {"upstream_connections": 1},
        "timeouts": {"connect": "60s"},
    }
    await sidecar.run()
    yield sidecar
    await sidecar.close()


async def ask(sidecar: Sidecar, tag: str) -> str:
    headers = {} if tag == "base" else {"x-gray-tag": tag}
    async with ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{sidecar.inbound}/x", headers=headers) as response:
            return await response.text()


async def test_calls_of_an_application_that_gets_one_request_at_a_time_are_told_apart(sidecar: Sidecar) -> None:
    """However many marked and unmarked ones wait for it."""
    asked = ["base", "gray", "gray", "base", "gray", "base"] * 5
    assert await asyncio.gather(*(ask(sidecar, tag) for tag in asked)) == asked

    async def sources() -> list[str] | None:
        found = (await get_json(sidecar.admin, "/api/v1/requests?limit=100"))["requests"]
        kept = [item["tag_source"] for item in found if item["listener"] == "outbound"]
        return kept if len(kept) == len(asked) else None

    assert (await until_found(sources)).count("in_flight") == asked.count("gray")


async def test_nothing_is_inferred_while_a_request_that_its_client_has_given_up_may_still_be_calling(
    sidecar: Sidecar, application: OneAtATime
) -> None:
    """The application does not notice: its call would go to the lane of the next request."""
    application.goes_on.clear()
    given_up = asyncio.create_task(ask(sidecar, "base"))
    await application.has_begun.wait()
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)

    async def is_over() -> bool | None:
        found = (await get_json(sidecar.admin, "/api/v1/requests"))["requests"]
        return [item["cause"] for item in found] == ["client_gone"] or None

    await until_found(is_over)
    marked = asyncio.create_task(ask(sidecar, "gray"))

    await until(lambda: application.received == 2, "the application to get the next request")
    application.goes_on.set()
    await marked
    assert application.reached == ["base", "base"]
