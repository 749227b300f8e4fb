"""Timeouts and retries of a reload: they hold for requests that come afterwards, whatever their routes say of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.app.build import Build
from gateway.app.entry_plane import EntryPlane
from gateway.app.sidecar_plane import SidecarPlane
from gateway.instance import Instance
from gateway.proxy.server import bind
from gateway.rules.ruleset import RuleSet
from gateway.settings.gateway import GatewaySettings
from gateway.settings.sidecar import SidecarSettings
from tests.support.proxy import Answer, Client

LONG = {"response": 60, "connect": 30}
ROUTES = [{"path": "/", "service": "a"}, {"path": "/own", "service": "a", "timeouts": {"connect": 1}}]


def settings(timeouts: dict[str, Any], attempts: int = 1) -> GatewaySettings:
    registry = {"kind": "static", "services": {"a": []}}
    values = {"listen": "127.0.0.1:1", "registry": registry, "routes": ROUTES, "timeouts": timeouts}
    return GatewaySettings.model_validate({**values, "retries": {"attempts": attempts}})


def built(settings: Any) -> Build[Any]:
    return Build.of(settings, RuleSet())


async def ask(port: int, path: str) -> Answer:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    await client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    try:
        return await client.answer()
    finally:
        client.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An origin that takes a request and says nothing."""
    await reader.read(1)
    await reader.read()
    writer.close()


@asynccontextmanager
async def entry(first: GatewaySettings, *instances: Instance) -> AsyncIterator[tuple[EntryPlane, int]]:
    plane = EntryPlane(first)
    plane.configure(1, built(first))
    plane.service_changed("a", instances)
    sock = bind("127.0.0.1", 0)
    await plane.listen([sock])
    try:
        yield plane, sock.getsockname()[1]
    finally:
        await plane.close()


@pytest.mark.parametrize("path", ["/", "/own"])
async def test_of_an_entry_gateway(path: str) -> None:
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with (
        server,
        entry(settings(LONG), Instance("127.0.0.1", server.sockets[0].getsockname()[1])) as (plane, port),
    ):
        plane.configure(2, built(settings({"response": 0.2})))
        assert (await asyncio.wait_for(ask(port, path), 30)).status == 504


async def test_of_a_worker_that_begins_after_the_reload() -> None:
    """It is made with the settings of the start."""
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    plane = EntryPlane(settings(LONG))
    plane.configure(2, built(settings({"response": 0.2})))
    plane.service_changed("a", (Instance("127.0.0.1", server.sockets[0].getsockname()[1]),))
    sock = bind("127.0.0.1", 0)
    async with server:
        await plane.listen([sock])
        assert (await asyncio.wait_for(ask(sock.getsockname()[1], "/"), 30)).status == 504
        await plane.close()


async def test_of_a_sidecar() -> None:
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def sidecar(timeouts: dict[str, Any]) -> SidecarSettings:
        where = dict.fromkeys(("inbound", "outbound", "admin"), "127.0.0.1:0")
        services = {"a": [{"address": f"127.0.0.1:{port}"}]}
        registry = {"kind": "static", "services": services}
        values = {"service": "b", "app": f"127.0.0.1:{port}", **where, "registry": registry, "timeouts": timeouts}
        return SidecarSettings.model_validate(values)

    plane = SidecarPlane(sidecar(LONG))
    plane.configure(1, built(sidecar(LONG)))
    plane.service_changed("a", (Instance("127.0.0.1", port),))
    inbound, outbound = bind("127.0.0.1", 0), bind("127.0.0.1", 0)

    async def learn(_: str) -> bool:
        return True

    async with server:
        await plane.listen(inbound, outbound, learn)
        plane.configure(2, built(sidecar({"response": 0.2})))
        for sock in (inbound, outbound):
            assert (await asyncio.wait_for(ask(sock.getsockname()[1], "/"), 30)).status == 504
        await plane.close()


async def test_how_often_is_tried() -> None:
    gone = [Instance("127.0.0.2", port) for port in (1, 2, 3)]
    async with entry(settings({}), *gone) as (plane, port):
        assert (await ask(port, "/")).status == 502
        assert plane.traffic.retries == {}
        plane.configure(2, built(settings({}, attempts=3)))
        assert (await ask(port, "/")).status == 502
        assert sum(plane.traffic.retries.values()) == 2
