"""The Nacos client against the embedded registry, and against servers that show what that one cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from gateway.errors import RegistryError
from gateway.instance import Instance
from gateway.registry.base import Registration
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import NacosClient
from gateway.tags import BASE, INVALID

ME = Registration("orders", "10.0.0.1", 80, "gray", 2.0, {"version": "2"})


@pytest.fixture(params=["http", "grpc", "auto"])
async def nacos(request: pytest.FixtureRequest, registry: EmbeddedRegistry) -> AsyncIterator[NacosAdapter]:
    adapter = NacosAdapter(NacosClient([registry.address], protocol=request.param), interval=0.01)
    yield adapter
    await adapter.close()


async def test_register_list_heartbeat_deregister(nacos: NacosAdapter, request: pytest.FixtureRequest) -> None:
    await nacos.register(ME)
    assert nacos.describe()["generation"] == ("v3" if "http" in request.node.callspec.id else "grpc")
    assert (await nacos.instances("orders")).instances == (
        Instance("10.0.0.1", 80, "gray", 2.0, metadata={"version": "2", "gray.tag": "gray"}),
    )
    assert await nacos.heartbeat(ME)
    await nacos.deregister(ME)
    assert not await nacos.heartbeat(ME)
    assert (await nacos.instances("orders")).instances == ()


async def test_watching_sees_changes(nacos: NacosAdapter) -> None:
    watching = nacos.watch("orders")
    assert (await anext(watching)).instances == ()
    await nacos.register(ME)
    while not (seen := (await anext(watching)).instances):
        pass
    assert [instance.address for instance in seen] == ["10.0.0.1:80"]


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A Nacos that answers as told: `lists` is what the list call of its generation gives."""

    def __init__(self) -> None:
        self.generation = "v1"
        self.status = 200
        self.text = '{"hosts": []}'
        self.paths: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.paths.append(f"{request.method} {request.path}")
        if self.generation not in request.path:
            return web.Response(status=404, text='{"status":404,"message":"No endpoint GET /nacos/v3/..."}')
        return web.Response(status=self.status, text=self.text)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, NacosAdapter]]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    adapter = NacosAdapter(
        NacosClient([f"127.0.0.1:{runner.addresses[0][1]}"]), namespace="ns", group="g", interval=0.01
    )
    yield server, adapter
    await adapter.close()
    await runner.cleanup()


async def test_an_old_server_is_spoken_to_in_v1_and_a_new_one_after_its_upgrade_in_v3(
    server: tuple[Server, NacosAdapter],
) -> None:
    fake, adapter = server
    assert (await adapter.instances("orders")).instances == ()
    assert adapter.describe()["generation"] == "v1"
    fake.generation, fake.text = "v3", '{"code": 0, "data": []}'
    with pytest.raises(RegistryError) as error:
        await adapter.instances("orders")
    assert error.value.reason == "api"
    assert (await adapter.instances("orders")).instances == ()
    assert adapter.describe()["generation"] == "v3"


async def test_one_malformed_record_loses_only_itself(server: tuple[Server, NacosAdapter]) -> None:
    fake, adapter = server
    fake.text = """{"hosts": [
        {"ip": "10.0.0.1", "port": 80}, {"ip": "10.0.0.2", "port": 0}, {"ip": "", "port": 80}, 3, null,
        {"ip": "10.0.0.3", "port": 80, "weight": "heavy"}, {"ip": "10.0.0.4", "port": 80, "weight": -1},
        {"ip": "10.0.0.5", "port": 80, "metadata": {"gray.tag": "gr ay"}},
        {"ip": "10.0.0.6", "port": 80, "healthy": false, "weight": 0, "metadata": null},
        {"ip": "10.0.0.7", "port": 80, "weight": NaN}, {"ip": "10.0.0.8", "port": 80, "weight": HUGE},
        {"ip": "a..b", "port": 80}, {"ip": "LONG.c", "port": 80}, {"ip": "10::x", "port": 80}
    ]}""".replace("HUGE", "1" + "0" * 400).replace("LONG", "x" * 64)
    assert [(i.host, i.tag, i.is_usable) for i in (await adapter.instances("orders")).instances] == [
        ("10.0.0.1", BASE, True),
        ("10.0.0.5", INVALID, True),
        ("10.0.0.6", BASE, False),
    ]


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (503, "server is STARTING now, please try again later!", "warming"),
        (403, "unknown user!", "auth"),
        (500, "oops", "bad_response"),
        (200, "no json", "bad_response"),
        (200, '{"hosts": 3}', "bad_response"),
    ],
)
async def test_what_is_no_list_is_an_error(
    server: tuple[Server, NacosAdapter], status: int, text: str, reason: str
) -> None:
    fake, adapter = server
    fake.status, fake.text = status, text
    with pytest.raises(RegistryError) as error:
        await adapter.instances("orders")
    assert error.value.reason == reason


async def test_nobody_there_is_unreachable() -> None:
    adapter = NacosAdapter(NacosClient(["127.0.0.1:1"]))
    with pytest.raises(RegistryError) as error:
        await adapter.instances("orders")
    assert error.value.reason == "unreachable"
    await adapter.close()
