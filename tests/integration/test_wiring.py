"""Every setting of the data plane reaches the place that its name says: several are numbers side by side, easily swapped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.app.build import Build
from gateway.app.entry_plane import EntryPlane
from gateway.app.parts import make_context, make_origins
from gateway.instance import Instance
from gateway.proxy.origins import Origins
from gateway.proxy.server import bind
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.routes import RouteTable
from gateway.routing.snapshot import Snapshot
from gateway.rules.match import CompiledRules
from gateway.rules.ruleset import RuleSet
from gateway.settings.gateway import GatewaySettings
from gateway.settings.plane import LimitSettings, RetrySettings, TimeoutSettings
from gateway.telemetry.counters import Traffic
from tests.support.origin import Origin
from tests.support.proxy import Client
from tests.support.wait import until


def settings(**parts: Any) -> GatewaySettings:
    registry = {"kind": "static", "services": {"a": []}}
    routes = [{"path": "/A", "service": "a", "strip_prefix": True}]
    return GatewaySettings.model_validate({"listen": "127.0.0.1:1", "registry": registry, "routes": routes, **parts})


@asynccontextmanager
async def plane(origin: Origin, **parts: Any) -> AsyncIterator[tuple[EntryPlane, int]]:
    """A data plane with these settings in front of `origin`, and its port."""
    given = settings(**parts)
    running = EntryPlane(given)
    running.configure(1, Build.of(given, RuleSet()))
    running.service_changed("a", (Instance("127.0.0.1", origin.ports["base"]),))
    sock = bind("127.0.0.1", 0)
    await running.listen([sock])
    yield running, sock.getsockname()[1]
    await running.close()


async def ask(port: int) -> Client:
    """A client that has asked once, and keeps its connection."""
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.answer()).status == 200
    return client


@pytest.mark.parametrize("short", ["keep_alive", "upstream_idle"])
async def test_each_side_keeps_its_idle_connections_for_its_own_time(origin: Origin, short: str) -> None:
    """A listener looks at them every quarter of a second."""
    times = {"keep_alive": "1h", "upstream_idle": "1h", short: "10ms"}
    async with plane(origin, timeouts=times) as (running, port):
        client = await ask(port)
        if short == "keep_alive":
            assert await client.rest() == b""
            assert [idle for _, idle, _, _ in running.origins.statistics().values()] == [1]
        else:
            await until(lambda: running.origins.statistics() == {}, "the connection to the instance to close")
            assert running.traffic.connections == 1
        client.close()


@pytest.mark.parametrize(
    ("limits", "second"),
    [
        pytest.param({"connections": 1, "in_flight": 10}, 503, id="connections"),
        pytest.param({"connections": 10, "in_flight": 1}, 200, id="requests"),
        pytest.param({"connections": 10, "connections_per_client": 1}, 429, id="connections of one client"),
    ],
)
async def test_connections_and_requests_have_limits_of_their_own(
    origin: Origin, limits: dict[str, int], second: int
) -> None:
    async with plane(origin, limits=limits) as (_, port):
        first = await ask(port)
        other = Client(*await asyncio.open_connection("127.0.0.1", port))
        if second == 200:
            await other.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await other.answer()).status == second
        first.close()
        other.close()


async def test_every_number_reaches_the_listener_by_its_name() -> None:
    """All of them differ, so that no two can be mistaken for each other."""
    timeouts: dict[str, float] = {name: 101.0 + n for n, name in enumerate(TimeoutSettings.model_fields)}
    limits: dict[str, int] = {name: 2001 + n for n, name in enumerate(LimitSettings.model_fields)} | {
        "upstream_streams": 901
    }
    retries = {"attempts": 7, "share": 0.3, "minimum": 4.0}
    assert retries.keys() == RetrySettings.model_fields.keys()
    given = settings(timeouts={name: f"{value:g}s" for name, value in timeouts.items()}, limits=limits, retries=retries)
    router = EntryRouter(Snapshot(0, CompiledRules.empty(), RouteTable(()), {}), Carriers(), random.Random(1))
    context = make_context(given, "entry", router=router, origins=Origins(), traffic=Traffic())
    of_instances = [limits.pop("upstream_connections"), limits.pop("upstream_streams"), limits["head_bytes"]]

    origins = make_origins(given)
    assert of_instances == [origins._limit, origins._streams, origins._terms.list_bytes]
    assert {name: getattr(context.timeouts, name) for name in timeouts} == timeouts
    assert {name: getattr(context.limits, name) for name in limits} == limits
    assert {name: getattr(context.budget, name) for name in retries} == retries
