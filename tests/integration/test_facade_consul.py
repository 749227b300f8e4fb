"""A sidecar that stands in for a Consul agent, a real one: what its application says and hears, in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.registry.consul.adapter import ConsulAdapter
from gateway.registry.consul.bridge import Agent
from gateway.registry.consul.client import ConsulClient
from tests.integration.test_facade import Behind, call
from tests.support.consul import Consul, needs_consul
from tests.support.origin import Origin

pytestmark = needs_consul


class Application:
    """What an application has for a Consul client."""

    def __init__(self, address: str, app: int) -> None:
        self._base = f"http://{address}"
        self._app = app

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any, dict[str, str]]:
        async with ClientSession() as session:
            data = None if body is None else json.dumps(body)
            async with session.request(method, self._base + path, data=data, params=query) as response:
                text = await response.text()
                try:
                    return response.status, json.loads(text), dict(response.headers)
                except ValueError:
                    return response.status, text, dict(response.headers)

    async def register(self, name: str = "b", **more: Any) -> int:
        body = {"ID": f"{name}-1", "Name": name, "Address": "127.0.0.1", "Port": self._app, **more}
        return (await self.call("PUT", "/v1/agent/service/register", body))[0]


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[Consul]:
    consul = Consul(tmp_path)
    await consul.start()
    yield consul
    await consul.stop()


@pytest.fixture
async def behind(tmp_path: Path, origin: Origin, consul: Consul) -> AsyncIterator[Behind]:
    behind = Behind(tmp_path, origin, None, tag="gray")
    behind.config["registry"] = {"kind": "consul", "address": consul.address}
    behind.config["facade"] = {"consul": behind.address}
    await behind.start()
    yield behind
    await behind.stop()


async def listed(consul: Consul, service: str) -> list[dict[str, Any]]:
    async with ClientSession() as session:
        async with session.get(f"http://{consul.address}/v1/health/service/{service}?passing") as response:
            return [entry["Service"] for entry in await response.json()]


async def until_listed(consul: Consul, service: str, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while len(found := await listed(consul, service)) != count:
            await asyncio.sleep(0.02)
    return found


@pytest.mark.parametrize("says", [{"Meta": {"gRPC_port": "9090"}}, {"Tags": ["gRPC_port=9090"]}], ids=["meta", "tags"])
async def test_the_application_is_registered_as_its_sidecar(
    behind: Behind, consul: Consul, says: dict[str, Any]
) -> None:
    """No port of its own is registered, however it says that."""
    app = Application(behind.address, behind.app)
    meta, tags = {"version": "7", **says.get("Meta", {})}, ["team=x", *says.get("Tags", [])]
    assert await app.register(Meta=meta, Tags=tags, Check={"HTTP": "http://x", "Interval": "10s"}) == 200
    (service,) = await until_listed(consul, "b", 1)
    assert (service["Address"], service["Port"]) == ("127.0.0.1", behind.inbound)
    assert {key: service["Meta"][key] for key in ("version", "team", "gray-sidecar", "gRPC_port")} == {
        "version": "7",
        "team": "x",
        "gray-sidecar": "b",
        "gRPC_port": f"{behind.inbound}",
    }
    assert "9090" not in f"{service}"
    assert "gray.tag=gray" in service["Tags"]
    assert (await app.call("PUT", "/v1/agent/check/pass/service:b-1"))[0] == 200
    assert (await app.call("PUT", "/v1/agent/check/pass/service:other"))[0] == 404
    assert (await app.call("PUT", "/v1/agent/service/maintenance/b-1", enable="true"))[0] == 200
    await until_listed(consul, "b", 0)
    assert (await app.call("PUT", "/v1/agent/service/maintenance/b-1", enable="false"))[0] == 200
    await until_listed(consul, "b", 1)
    assert (await app.call("PUT", "/v1/agent/service/deregister/b-1"))[0] == 200
    await until_listed(consul, "b", 0)


async def test_a_service_is_one_address_and_changes_end_a_blocking_query(
    behind: Behind, consul: Consul, origin: Origin
) -> None:
    app = Application(behind.address, behind.app)
    status, found, headers = await app.call("GET", "/v1/health/service/c", passing="")
    assert (status, found) == (200, [])
    waiting = asyncio.ensure_future(
        app.call("GET", "/v1/health/service/c", index=headers["X-Consul-Index"], wait="60s")
    )
    client = ConsulClient(consul.address)
    others = ConsulAdapter(client, Agent(client, ""))
    from gateway.registry.base import Registration

    for name, tag in (("base", "base"), ("gray", "gray")):
        await others.register(Registration("c", "127.0.0.1", origin.ports[name], tag))
    async with asyncio.timeout(20):
        _, found, _ = await waiting
    (entry,) = found
    service = entry["Service"]
    assert (service["Service"], service["Port"], service["Tags"], service["Meta"]) == ("c", behind.outbound, [], {})
    async with asyncio.timeout(20):
        while await call(service["Address"], service["Port"], ("x-gray-tag", "gray")) != "gray":
            pass
        while await call(service["Address"], service["Port"], ("x-gray-tag", "base")) != "base":
            pass
    _, (place,), _ = await app.call("GET", "/v1/catalog/service/c")
    assert (place["ServiceAddress"], place["ServicePort"]) == (service["Address"], service["Port"])
    await others.close()


async def test_everything_else_is_the_agents(behind: Behind) -> None:
    app = Application(behind.address, behind.app)
    assert (await app.call("PUT", "/v1/kv/demo", "base"))[1] is True
    assert (await app.call("GET", "/v1/kv/demo", raw=""))[1] == "base"
    assert "consul" in (await app.call("GET", "/v1/catalog/services"))[1]
    assert (await app.call("PUT", "/v1/catalog/register", {"Node": "x"}))[0] == 404
    assert (await app.call("GET", "/v1/health/service/c", wait="x", index="1"))[0] == 200


async def test_an_application_that_is_not_what_its_sidecar_is_is_refused(behind: Behind, consul: Consul) -> None:
    app = Application(behind.address, behind.app)
    assert await app.register(name="other") == 400
    assert await app.register(Meta={"opensergo.io/canary": ""}) == 400
    assert await app.register(Tags=["lane=blue", "opensergo.io/canary="]) == 400
    assert (await app.call("PUT", "/v1/agent/service/register", [1]))[0] == 400
    assert await listed(consul, "b") == []
