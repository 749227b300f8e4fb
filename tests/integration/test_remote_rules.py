"""Rules kept in Nacos and in Consul: the same path as files, the same changes, the same history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.release.ports import free_port
from tests.support.consul import Consul, needs_consul
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.process import get_json
from tests.support.rnacos import RNacos, needs_rnacos

RULES = """\
lane_groups:
  - name: demo   # kept
    lanes:
      - {name: gray, tag: gray, match: [{param: group, equals: gray}]}
"""


class Server:
    """What keeps the document: how a person writes it and reads it there, and what the gateway is told."""

    def __init__(
        self,
        source: dict[str, str],
        write: Callable[[str], Awaitable[None]],
        read: Callable[[], Awaitable[str]],
        close: Callable[[], Awaitable[None]],
        name: str,
    ) -> None:
        self.name = name
        """What it is called in problems."""
        self.source = source
        self.write = write
        self.read = read
        self.close = close


@pytest.fixture(
    params=["embedded", pytest.param("rnacos", marks=needs_rnacos), pytest.param("consul", marks=needs_consul)]
)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    async with ClientSession() as session:
        if request.param != "consul":
            registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0) if request.param == "embedded" else RNacos(tmp_path)
            await registry.start()
            url = f"http://{registry.address}/nacos/v1/cs/configs"
            keys = {"dataId": "gray.yaml", "group": "RULES"}

            async def write(text: str) -> None:
                async with session.post(url, data={**keys, "content": text}) as response:
                    assert await response.text() == "true"

            async def read() -> str:
                async with session.get(url, params=keys) as response:
                    return await response.text()

            source = {"nacos": "gray.yaml", "address": registry.address, "group": "RULES", "interval": "50ms"}
            name = f"nacos://{registry.address}/RULES/gray.yaml"
            server = Server(source, write, read, registry.stop, name)
        else:
            consul = Consul(tmp_path)
            await consul.start()
            url = f"http://{consul.address}/v1/kv/gray/rules.yaml"

            async def write(text: str) -> None:
                async with session.put(url, data=text.encode()) as response:
                    assert (await response.text()).strip() == "true"

            async def read() -> str:
                async with session.get(url, params={"raw": ""}) as response:
                    return await response.text()

            source = {"consul": "gray/rules.yaml", "address": consul.address}
            server = Server(source, write, read, consul.stop, f"consul://{consul.address}/gray/rules.yaml")
        yield server
        await server.close()


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin, server: Server) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    gateway.config["rules"] = [server.source]
    gateway.config["state"] = "state"
    yield gateway
    await gateway.close()


async def start(gateway: Gateway) -> None:
    gateway.write("gateway.yaml", gateway.config)
    await gateway.start("serve", "-c", "gateway.yaml")
    await gateway.wait_ok(gateway.admin)


async def pool(gateway: Gateway, target: str = "/A/x?group=gray") -> str:
    return (await gateway.ask(target)).split()[0]


async def test_a_change_on_the_server_takes_effect_and_a_bad_one_does_not(gateway: Gateway, server: Server) -> None:
    await server.write(RULES)
    await start(gateway)
    assert await pool(gateway) == "gray"
    await server.write(RULES.replace("equals: gray", "equals: blue"))
    await gateway.wait_revision(2)
    assert (await pool(gateway), await pool(gateway, "/A/x?group=blue")) == ("base", "gray")
    await server.write("lane_groups: [{name: demo, lanes: 3}]")
    [error] = await gateway.wait_reload_error()
    assert error.startswith(f"{server.name}:1:35: lane_groups.0.lanes: must be a list")
    assert await pool(gateway, "/A/x?group=blue") == "gray"
    await server.write(RULES)
    await gateway.wait_revision(3)
    assert await pool(gateway) == "gray"


async def test_changes_through_the_admin_api_are_written_to_the_server(gateway: Gateway, server: Server) -> None:
    await server.write(RULES)
    await start(gateway)
    api = f"http://127.0.0.1:{gateway.admin}/api/v1"
    async with ClientSession() as session:
        async with session.post(f"{api}/groups/demo/lanes/gray/disable", headers={"X-Author": "alice"}) as response:
            assert (response.status, (await response.json())["revision"]) == (200, 2)
        assert await pool(gateway) == "base"
        written = await server.read()
        assert "enabled: false" in written
        assert "# kept" in written
        async with session.post(f"{api}/history/1/rollback") as response:
            assert response.status == 200
        assert await pool(gateway) == "gray"
        assert await server.read() == RULES


async def test_a_gateway_that_starts_without_the_server_uses_its_copy(
    gateway: Gateway, server: Server, tmp_path: Path
) -> None:
    await server.write(RULES)
    await start(gateway)
    await gateway.close()
    await server.close()
    await gateway.start("serve", "-c", "gateway.yaml")
    await gateway.wait_ok(gateway.admin)
    assert await pool(gateway) == "gray"
    [source] = (await get_json(gateway.admin, "/api/v1/status"))["rules"]
    assert "cannot reach" in source["problem"]


async def test_a_gateway_without_server_and_copy_is_not_ready_and_serves_the_baseline(
    tmp_path: Path, origin: Origin
) -> None:
    gateway = Gateway(tmp_path, origin)
    address = f"127.0.0.1:{free_port()}"
    gateway.config["rules"] = {"nacos": "gray.yaml", "address": address}
    gateway.write("gateway.yaml", gateway.config)
    await gateway.start("serve", "-c", "gateway.yaml")
    text = await gateway.wait_ok(gateway.admin, status=503)
    while "starting" in text:
        await asyncio.sleep(0.02)
        text = await gateway.wait_ok(gateway.admin, status=503)
    assert f"rules of nacos://{address}/DEFAULT_GROUP/gray.yaml: the server has not responded yet" in text
    assert await pool(gateway) == "base"
    await gateway.close()


MORE = """\
lane_groups:
  - name: more
    lanes:
      - {name: blue, tag: gray, match: [{param: group, equals: blue}]}
"""


@needs_consul
class TestFolder:
    """Every key below a prefix of Consul is a document, like the files of a directory."""

    @pytest.fixture
    async def consul(self, tmp_path: Path) -> AsyncIterator[Consul]:
        consul = Consul(tmp_path)
        await consul.start()
        yield consul
        await consul.stop()

    async def put(self, consul: Consul, key: str, text: str | None) -> None:
        method = "DELETE" if text is None else "PUT"
        url = f"http://{consul.address}/v1/kv/{key}"
        async with ClientSession() as session, session.request(method, url, data=text) as response:
            assert (await response.text()).strip() == "true"

    async def get(self, consul: Consul, key: str) -> str | None:
        url = f"http://{consul.address}/v1/kv/{key}?raw"
        async with ClientSession() as session, session.get(url) as response:
            return await response.text() if response.status == 200 else None

    async def change(self, gateway: Gateway, path: str) -> None:
        url = f"http://127.0.0.1:{gateway.admin}/api/v1/{path}"
        async with ClientSession() as session, session.post(url) as response:
            assert response.status == 200, await response.text()

    async def test_keys_come_change_and_go(self, tmp_path: Path, origin: Origin, consul: Consul) -> None:
        gateway = Gateway(tmp_path, origin)
        gateway.config["rules"] = [{"consul": "gray/", "address": consul.address}]
        await self.put(consul, "gray/", "")  # Consul's UI makes such for a folder
        await self.put(consul, "gray/notes.txt", "no rules")
        await self.put(consul, "gray/demo.yaml", RULES)
        await start(gateway)
        assert (await pool(gateway), await pool(gateway, "/A/x?group=blue")) == ("gray", "base")
        await self.put(consul, "gray/team one/more.yml", MORE)
        await gateway.wait_revision(2)
        assert (await pool(gateway), await pool(gateway, "/A/x?group=blue")) == ("gray", "gray")
        await self.put(consul, "gray/" + "很" * 60 + ".yaml", "# longer than a file's name can be")
        await gateway.wait_revision(3)
        await self.put(consul, "gray/" + "很" * 60 + ".yaml", None)
        await gateway.wait_revision(4)
        await self.put(consul, "gray/demo.yaml", None)
        await gateway.wait_revision(5)
        assert (await pool(gateway), await pool(gateway, "/A/x?group=blue")) == ("base", "gray")
        # The last one is not missed like that: nobody closes every lane by deleting what says so.
        await self.put(consul, "gray/team one/more.yml", None)
        await self.put(consul, "gray/notes.txt", None)
        await self.put(consul, "gray/", None)
        nothing = "there is no key in it whose name ends with .yaml or .yml"
        async with asyncio.timeout(10):
            while (await get_json(gateway.admin, "/api/v1/status"))["rules"][0]["problem"] != nothing:
                await asyncio.sleep(0.02)
        assert await pool(gateway, "/A/x?group=blue") == "gray"
        await gateway.close()

    async def test_changes_go_to_the_key_they_are_about(self, tmp_path: Path, origin: Origin, consul: Consul) -> None:
        gateway = Gateway(tmp_path, origin)
        gateway.config["rules"] = {"consul": "gray/", "address": consul.address}
        gateway.config["state"] = "state"
        await self.put(consul, "gray/demo.yaml", RULES)
        await start(gateway)
        await self.put(consul, "gray/é/more.yaml", MORE)
        await gateway.wait_revision(2)
        # What is wrong in a key is said of that key.
        await self.put(consul, "gray/é/more.yaml", MORE.replace("equals", "equls"))
        [error] = await gateway.wait_reload_error()
        assert error.startswith(f"consul://{consul.address}/gray/é/more.yaml:4:")
        await self.put(consul, "gray/é/more.yaml", MORE)
        async with asyncio.timeout(10):
            while (await get_json(gateway.admin, "/api/v1/status"))["last_reload_error"]:
                await asyncio.sleep(0.02)
        await self.change(gateway, "groups/more/lanes/blue/disable")
        assert "enabled: false" in str(await self.get(consul, "gray/é/more.yaml"))
        assert await self.get(consul, "gray/demo.yaml") == RULES
        assert await pool(gateway, "/A/x?group=blue") == "base"
        # Before revision 2 there was no such key.
        await self.change(gateway, "history/1/rollback")
        assert await self.get(consul, "gray/é/more.yaml") is None
        await self.change(gateway, "history/2/rollback")
        assert await self.get(consul, "gray/é/more.yaml") == MORE
        assert await pool(gateway, "/A/x?group=blue") == "gray"
        await gateway.close()
