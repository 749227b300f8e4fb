"""A lane whose instances hang, break off or return errors costs the baseline nothing: no place, no retry, no connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.instance import Instance
from tests.support.bounds import Limits, RetryBudget
from tests.support.origin import Origin, Script
from tests.support.proxy import Proxy
from tests.support.wait import until

GRAY = b"GET /A/x?group=gray HTTP/1.1\r\nHost: x\r\n\r\n"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await reader.read()


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def failing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
async def sick() -> AsyncIterator[Origin]:
    """The instances of the lane."""
    origin = Origin()
    await origin.start()
    yield origin
    await origin.close()


async def front(proxy: Proxy, origin: Origin, sick: Origin, script: Script) -> None:
    """Starts the gateway: one of the two instances of the baseline does not listen, those of the lane do as `script` says."""
    sick.script = script
    await proxy.serve(
        Instance("127.0.0.2", origin.ports["base"]),
        Instance("127.0.0.1", origin.ports["base"]),
        *(Instance("127.0.0.1", port, tag="gray") for port in sick.ports.values()),
    )


async def test_a_lane_that_hangs_leaves_the_baseline_its_places(origin: Origin, sick: Origin) -> None:
    proxy = Proxy()
    proxy.limits = Limits(in_flight=3, lane_in_flight=2)
    await front(proxy, origin, sick, silent)
    hanging = [await proxy.connect() for _ in range(2)]
    for client in hanging:
        await client.send(GRAY)
    await until(lambda: proxy.context.lanes == {"gray": 2})
    refused = await proxy.get("/A/x?group=gray")
    assert (refused.status, b"lane_overloaded" in refused.body) == (503, True)
    assert proxy.traffic.upstream_errors == {("a", "gray", "lane_busy"): 1}
    assert {(await proxy.get("/A/x")).status for _ in range(4)} == {200}
    for client in hanging:
        client.close()
    await until(lambda: proxy.context.lanes == {})
    await proxy.close()


@pytest.mark.parametrize("script", [resetting, failing, silent], ids=lambda script: script.__name__)
async def test_a_sick_lane_uses_up_no_retries_of_the_baseline(origin: Origin, sick: Origin, script: Script) -> None:
    proxy = Proxy()
    proxy.budget = RetryBudget(share=0.0, minimum=0.1)  # one
    await front(proxy, origin, sick, script)
    for _ in range(4):
        client = await proxy.connect()
        await client.send(GRAY)
        if script is silent:
            await until(lambda: proxy.traffic.in_flight > 0)
        else:
            assert (await client.answer()).status >= 502
        client.close()
    if script is resetting:
        # The first request is tried once more, and fails there too; no other one is, in the lane or at the baseline.
        assert (proxy.traffic.retries, proxy.traffic.retries_denied) == ({("a", "closed"): 1}, {"a": 7})
    # It meets the instance that does not listen first.
    assert (await proxy.get("/A/x")).status == 200
    assert proxy.traffic.retries[("a", "connect_error")] == 1
    await proxy.close()


async def test_requests_that_wait_for_a_connection_of_the_lane_keep_nobody_else_waiting(
    origin: Origin, sick: Origin
) -> None:
    proxy = Proxy()
    proxy.connections_per_origin = 1
    await front(proxy, origin, sick, silent)
    waiting = [await proxy.connect() for _ in range(6)]
    for client in waiting:
        await client.send(GRAY)
    await until(lambda: proxy.context.lanes == {"gray": 6})
    assert {(await proxy.get("/A/x")).status for _ in range(4)} == {200}
    for client in waiting:
        client.close()
    await proxy.close()


async def test_a_tunnel_gives_its_place_in_the_lane_back(origin: Origin, sick: Origin) -> None:
    """Tunnels last, and have a limit of their own."""

    async def switching(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await reader.read()

    proxy = Proxy()
    await front(proxy, origin, sick, switching)
    client = await proxy.connect()
    await client.send(GRAY[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    await until(lambda: proxy.traffic.tunnels == 1)
    assert proxy.context.lanes == {}
    client.close()
    await until(lambda: proxy.traffic.tunnels == 0)
    await proxy.close()


async def test_several_lanes_that_hang_leave_the_baseline_a_quarter(origin: Origin, sick: Origin) -> None:
    proxy = Proxy()
    proxy.limits = Limits(in_flight=8, lane_in_flight=4)
    match = [[{"param": "group", "equals": tag}] for tag in ("gray", "blue")]
    lanes = [{"name": tag, "tag": tag, "match": match[number]} for number, tag in enumerate(("gray", "blue"))]
    proxy.group = {"name": "demo", "lanes": lanes}
    sick.script = silent
    await proxy.serve(
        Instance("127.0.0.1", origin.ports["base"]),
        Instance("127.0.0.1", sick.ports["gray"], tag="gray"),
        Instance("127.0.0.1", sick.ports["base"], tag="blue"),
    )
    hanging = [await proxy.connect() for _ in range(6)]
    for number, client in enumerate(hanging):
        await client.send(GRAY if number < 4 else GRAY.replace(b"gray", b"blue"))
    await until(lambda: proxy.context.lanes == {"gray": 4, "blue": 2})
    refused = await proxy.get("/A/x?group=blue")
    assert (refused.status, b"6 requests are already in flight at instances of all lanes" in refused.body) == (
        503,
        True,
    )
    assert {(await proxy.get("/A/x")).status for _ in range(4)} == {200}
    for client in hanging:
        client.close()
    await until(lambda: proxy.context.in_lanes == 0)
    assert (await proxy.get("/A/x")).status == 200
    await proxy.close()


async def test_under_load_a_lane_that_hangs_changes_nothing_for_the_baseline(origin: Origin, sick: Origin) -> None:
    """Its instances have all connections and a queue; the baseline's have what they would have anyway."""
    proxy = Proxy()
    proxy.connections_per_origin = 4
    sick.script = silent
    base = Instance("127.0.0.1", origin.ports["base"])
    await proxy.serve(base, Instance("127.0.0.1", sick.ports["gray"], tag="gray"))
    hanging = [await proxy.connect() for _ in range(40)]
    for client in hanging:
        await client.send(GRAY)
    gray = f"127.0.0.1:{sick.ports['gray']}"
    await until(lambda: proxy.origins.in_flight(gray) == 40)
    answers = [await asyncio.gather(*(proxy.get("/A/x") for _ in range(20))) for _ in range(5)]
    assert {answer.status for batch in answers for answer in batch} == {200}
    assert (proxy.traffic.retries, proxy.traffic.retries_denied) == ({}, {})
    assert {key for key in proxy.traffic.upstream_errors if key[1] == "base"} == set()
    assert (proxy.origins.in_flight(base.address), proxy.origins.in_flight(gray)) == (0, 40)
    for client in hanging:
        client.close()
    await until(lambda: proxy.context.lanes == {})
    await proxy.close()
