"""Real Consul and real r-nacos: what they say, what we tell them, and what they do to their clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from gateway.errors import RegistryError
from gateway.instance import Instance
from gateway.registry.base import RegistrarAdapter, Registration, RegistryAdapter
from gateway.registry.consul.adapter import ConsulAdapter
from gateway.registry.consul.bridge import Agent
from gateway.registry.consul.client import ConsulClient
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.keeper import Keeper
from gateway.registry.listguard import Patience
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import Credentials, NacosClient
from gateway.registry.registrar import Registrar
from tests.support.consul import Consul, needs_consul
from tests.support.given import GIVEN, Given
from tests.support.javanacos import needs_java_nacos
from tests.support.rnacos import RNacos, needs_rnacos
from tests.support.wait import until

pytestmark = pytest.mark.real

ORDERS = f"orders-{uuid4().hex[:8]}"
"""A name of its own: a server that an operator has may know others."""
ME = Registration(ORDERS, "127.0.0.1", 8081, "gray", 2.0, {"version": "2"})
OTHER = Registration(ORDERS, "127.0.0.1", 8082)
Server = RNacos | Consul | Given


class Adapter(RegistryAdapter, RegistrarAdapter):
    """Both seams."""


def consul_adapter(server: Server, **options: int) -> ConsulAdapter:
    client = ConsulClient(server.address)
    return ConsulAdapter(client, Agent(client), **options)  # type: ignore[arg-type]


@pytest.fixture(
    params=[
        pytest.param("rnacos", marks=needs_rnacos),
        pytest.param("nacos", marks=needs_java_nacos),
        pytest.param("consul", marks=needs_consul),
        *GIVEN,
    ]
)
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    server: Server
    if request.param == "nacos":
        server = request.getfixturevalue("java_nacos")
    elif request.param in GIVEN:
        server = GIVEN[request.param]
    else:
        server = RNacos(tmp_path) if request.param == "rnacos" else Consul(tmp_path)
    await server.start()
    yield server
    await server.stop()


def made_for(server: Server) -> NacosAdapter | ConsulAdapter:
    if server.kind != "nacos":
        return consul_adapter(server)
    return NacosAdapter(NacosClient([server.address]), interval=0.1)


@pytest.fixture
async def adapter(server: Server) -> AsyncIterator[NacosAdapter | ConsulAdapter]:
    adapter = made_for(server)
    yield adapter
    await adapter.close()


@pytest.fixture
async def neighbour(server: Server) -> AsyncIterator[NacosAdapter | ConsulAdapter]:
    """Another process's: in Nacos a connection has one instance of a service, the one that it registered last."""
    adapter = made_for(server)
    yield adapter
    await adapter.close()


async def listed(adapter: NacosAdapter | ConsulAdapter) -> list[tuple[str, str, float, bool]]:
    found = (await adapter.instances(ORDERS)).instances
    return [(item.address, item.tag, item.weight, item.is_usable) for item in found]


async def settled(adapter: NacosAdapter | ConsulAdapter, expected: list[tuple[str, str, float, bool]]) -> None:
    async with asyncio.timeout(20):
        while await listed(adapter) != expected:
            await asyncio.sleep(0.05)


async def test_register_list_heartbeat_withdraw_deregister(
    adapter: NacosAdapter | ConsulAdapter, neighbour: NacosAdapter | ConsulAdapter
) -> None:
    await settled(adapter, [])
    await adapter.register(ME)
    await neighbour.register(OTHER)
    both = [("127.0.0.1:8081", "gray", 2.0, True), ("127.0.0.1:8082", "base", 1.0, True)]
    await settled(adapter, both)
    (mine, _) = (await adapter.instances(ORDERS)).instances
    assert mine.metadata["version"] == "2"
    assert await adapter.heartbeat(ME)
    await settled(adapter, both)
    await adapter.withdraw(ME)
    async with asyncio.timeout(10):
        while [address for address, _, _, usable in await listed(adapter) if usable] != ["127.0.0.1:8082"]:
            await asyncio.sleep(0.05)
    await adapter.deregister(ME)
    await settled(adapter, both[1:])
    await adapter.deregister(ME)  # fine where it is not there


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("alicloud.service.tag", "gray"),
        ("opensergo.io/canary-gray", "gray"),
        ("__micro.service.env__", '[{"tag":"gray"}]'),
        ("dubbo.tag", "gray"),
        ("lane", "gray"),
    ],
)
async def test_what_an_ecosystem_marks_its_instances_with_is_read_the_same_everywhere(
    adapter: NacosAdapter | ConsulAdapter, key: str, value: str
) -> None:
    """Consul allows neither dots nor slashes in the keys of Meta: there they are spelled otherwise."""
    await adapter.register(Registration(ORDERS, "127.0.0.1", 8083, metadata={key: value}))
    await settled(adapter, [("127.0.0.1:8083", "gray", 1.0, True)])
    await adapter.deregister(Registration(ORDERS, "127.0.0.1", 8083))
    await settled(adapter, [])


async def test_one_whose_application_is_down_is_not_usable_until_it_is_up_again(
    adapter: NacosAdapter | ConsulAdapter, neighbour: NacosAdapter | ConsulAdapter
) -> None:
    """At once, both times: the next heartbeat may be long in coming."""
    times = (("heart.beat.interval", 60), ("heart.beat.timeout", 180), ("ip.delete.timeout", 300))
    seldom = {f"preserved.{name}": f"{seconds}000" for name, seconds in times}
    registrar = Registrar(adapter, Registration(ORDERS, ME.host, ME.port, ME.tag, metadata=seldom), is_usable=False)
    await neighbour.register(OTHER)
    other = ("127.0.0.1:8082", "base", 1.0, True)
    registrar.start()  # and tells of one that the registry has never heard of
    registrar.set_usable(True)
    for _ in range(2):
        await settled(adapter, [("127.0.0.1:8081", "gray", 1.0, True), other])
        registrar.set_usable(False)
        async with asyncio.timeout(10):
            while [entry for entry in await listed(adapter) if entry[3]] != [other]:
                await asyncio.sleep(0.05)
        registrar.set_usable(True)
    await settled(adapter, [("127.0.0.1:8081", "gray", 1.0, True), other])
    await registrar.stop()


async def test_a_heartbeat_of_one_that_is_unknown_never_makes_it_baseline(
    adapter: NacosAdapter | ConsulAdapter,
) -> None:
    """r-nacos registers whoever sends a heartbeat: with its tag, or it would serve everybody."""
    if not await adapter.heartbeat(ME):
        await adapter.register(ME)
    async with asyncio.timeout(20):
        while [entry[:2] for entry in await listed(adapter)] != [("127.0.0.1:8081", "gray")]:
            await asyncio.sleep(0.05)


async def test_a_change_is_seen_soon(adapter: NacosAdapter | ConsulAdapter) -> None:
    await settled(adapter, [])
    seen: list[tuple[Instance, ...]] = []
    keeper = Keeper(adapter, lambda _, instances: seen.append(instances))
    keeper.watch(ORDERS)
    await until(lambda: bool(seen))
    assert seen == [()]
    await adapter.register(ME)
    await until(lambda: any(item.is_usable for item in seen[-1]))
    await adapter.deregister(ME)
    await until(lambda: keeper.states()[0].state == "protected")
    for task in [watch.task for watch in keeper._watches.values()]:
        assert task is not None
        task.cancel()


async def test_a_server_that_restarts_empty_changes_nothing(server: Server) -> None:
    """Nacos and its like answer 200 with an empty list at once after a restart; so does a Consul agent in dev mode."""
    if isinstance(server, Given):
        pytest.skip("a server that is not ours is not restarted")
    adapter = (
        NacosAdapter(NacosClient([server.address]), interval=0.1) if server.kind == "nacos" else consul_adapter(server)
    )
    announced = [Registration(item.service, item.host, item.port, item.tag, metadata={"preserved.heart.beat.interval": "300"}) for item in (ME, OTHER)]  # fmt: skip
    registrars = [Registrar(adapter, registration) for registration in announced]
    for registrar in registrars:
        registrar.start()
    seen: list[list[str]] = []
    keeper = Keeper(
        adapter,
        lambda _, instances: seen.append([item.tag for item in instances if item.is_usable]),
        patience=Patience(seconds=60),
        recheck=0.1,
    )
    keeper.watch(ORDERS)
    await until(lambda: bool(seen) and sorted(seen[-1]) == ["base", "gray"], "both are listed")
    before = len(seen)
    await server.stop()
    await until(lambda: keeper.states()[0].state == "stale", "the keeper has noticed")
    await server.start(fresh=True)
    await until(lambda: keeper.states()[0].state == "fresh", "both are back")
    assert all(sorted(tags) == ["base", "gray"] for tags in seen[before:])
    for registrar in registrars:
        await registrar.stop()
    await keeper.close()


@pytest.mark.parametrize("kind", ["embedded", pytest.param("nacos", marks=needs_java_nacos)])
async def test_what_an_operator_has_set_of_an_instance_stays_when_it_registers_again(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """Over a new connection too; and what is taken out over HTTP is still registered over the connection."""
    embedded = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    await embedded.start()
    address = embedded.address if kind == "embedded" else request.getfixturevalue("java_nacos").address
    where = {"serviceName": f"set-{uuid4().hex[:8]}", "ip": ME.host, "port": str(ME.port)}
    mine = Registration(where["serviceName"], ME.host, ME.port, "gray", metadata={"version": "1"})
    adapter = NacosAdapter(NacosClient([address], protocol="grpc"))

    async def shown() -> list[tuple[float, str, str]]:
        found = (await adapter.instances(mine.service)).instances
        return [(item.weight, item.tag, item.metadata["version"]) for item in found]

    await adapter.register(mine)
    async with asyncio.timeout(20), ClientSession() as session:
        url = f"http://{address}/nacos/v1/ns/instance"
        while await shown() != [(1.0, "gray", "1")]:
            await asyncio.sleep(0.05)
        async with session.put(url, params={**where, "weight": "5", "metadata": '{"version": "2"}'}) as response:
            assert response.status == 200
        while await shown() != [(5.0, "gray", "2")]:
            await asyncio.sleep(0.05)
        (await adapter._client.rpc.connection()).close()
        await adapter.register(mine)
        while await shown() != [(5.0, "gray", "2")]:
            await asyncio.sleep(0.05)
        async with session.delete(url, params=where):
            pass
        assert await shown() == [(5.0, "gray", "2")]
    await adapter.close()
    await embedded.stop()


@needs_rnacos
class TestNacos:
    async def test_a_server_that_is_away_is_left_for_another(self, tmp_path: Path) -> None:
        first, second = RNacos(tmp_path / "first"), RNacos(tmp_path / "second")
        await asyncio.gather(first.start(), second.start())
        both = NacosAdapter(NacosClient([first.address, second.address]))
        alone = NacosAdapter(NacosClient([second.address]))
        await both.register(ME)
        await alone.register(OTHER)
        await settled(both, [("127.0.0.1:8081", "gray", 2.0, True)])
        await first.stop()
        await settled(both, [("127.0.0.1:8082", "base", 1.0, True)])
        assert both.describe()["address"] == second.address
        await asyncio.gather(both.close(), alone.close())
        await second.stop()

    async def test_namespaces_groups_and_clusters_are_kept_apart(self, tmp_path: Path) -> None:
        server = RNacos(tmp_path)
        await server.start()
        ours = NacosAdapter(NacosClient([server.address]), group="g", clusters=["east"])
        theirs = NacosAdapter(NacosClient([server.address]), group="h")
        west = NacosAdapter(NacosClient([server.address]), group="g", clusters=["west"])
        await ours.register(ME)
        await settled(ours, [("127.0.0.1:8081", "gray", 2.0, True)])
        assert await listed(theirs) == []
        assert await listed(west) == []
        await asyncio.gather(ours.close(), theirs.close(), west.close())
        await server.stop()

    async def test_a_user_logs_in_and_again_when_the_server_has_forgotten(self, tmp_path: Path) -> None:
        server = RNacos(tmp_path, needs_login=True)
        await server.start()
        nobody = NacosAdapter(NacosClient([server.address]))
        with pytest.raises(RegistryError) as refused:
            await nobody.instances(ORDERS)
        assert refused.value.reason == "auth"
        wrong = NacosAdapter(NacosClient([server.address], Credentials("operator", "wrong")))
        with pytest.raises(RegistryError, match="is the password right"):
            await wrong.instances(ORDERS)
        admin = NacosAdapter(NacosClient([server.address], Credentials("operator", "let-me-in")))
        await self.register_soon(admin)
        await server.stop()
        await server.start(fresh=True)
        await self.register_soon(admin)
        await asyncio.gather(nobody.close(), wrong.close(), admin.close())
        await server.stop()

    async def register_soon(self, adapter: NacosAdapter) -> None:
        """The server makes its first user some time after it began to answer."""
        async with asyncio.timeout(20):
            while True:
                try:
                    await adapter.register(ME)
                    break
                except RegistryError:
                    await asyncio.sleep(0.1)
        await settled(adapter, [("127.0.0.1:8081", "gray", 2.0, True)])


@needs_consul
class TestConsul:
    async def test_services_beyond_the_agents_connections_are_served_too(self, tmp_path: Path) -> None:
        server = Consul(tmp_path)
        await server.start()
        adapter = consul_adapter(server, max_waiting=1)
        seen: dict[str, tuple[Instance, ...]] = {}
        keeper = Keeper(adapter, seen.__setitem__)
        for name in ("one", "two", "three"):
            keeper.watch(name)
        await until(lambda: len(seen) == 3)
        for name in ("one", "two", "three"):
            await adapter.register(Registration(name, "127.0.0.1", 80, "gray"))
        await until(lambda: all(items and items[0].is_usable for items in seen.values()), "all are seen")
        # A check that turns is no change of the catalog.
        await adapter.withdraw(Registration("three", "127.0.0.1", 80, "gray"))
        await until(lambda: not seen["three"][0].is_usable, "the maintenance is seen")
        await keeper.close()
        await server.stop()

    async def test_an_agent_that_takes_no_more_connections_serves_every_service_all_the_same(
        self, tmp_path: Path
    ) -> None:
        """Others on the machine may have them, or more `watches` are set than it takes: 200."""
        server = Consul(tmp_path, "-hcl", "limits { http_max_conns_per_client = 30 }")
        await server.start()
        adapter = consul_adapter(server, max_waiting=1000)
        seen: dict[str, tuple[Instance, ...]] = {}
        keeper = Keeper(adapter, seen.__setitem__)
        names = [f"many-{number}" for number in range(60)]
        for name in names:
            keeper.watch(name)
        await until(lambda: len(seen) == 60, "all are known", timeout=100)
        for name in names:
            await adapter.register(Registration(name, "127.0.0.1", 80, "gray"))
        await until(lambda: all(items and items[0].is_usable for items in seen.values()), "all are seen", timeout=100)
        await keeper.close()
        await server.stop()

    async def test_an_operators_maintenance_stays_and_one_of_an_earlier_life_does_not(self, tmp_path: Path) -> None:
        server = Consul(tmp_path)
        await server.start()
        adapter, next_life = consul_adapter(server), consul_adapter(server)
        await adapter.register(ME)
        await adapter.withdraw(ME)
        await adapter.register(ME)  # as after an agent that was away
        await settled(adapter, [("127.0.0.1:8081", "gray", 2.0, False)])
        await next_life.register(ME)
        await settled(adapter, [("127.0.0.1:8081", "gray", 2.0, True)])
        await asyncio.gather(adapter.close(), next_life.close())
        await server.stop()

    async def test_the_conventions_of_consul_say_tags(self, tmp_path: Path) -> None:
        server = Consul(tmp_path)
        await server.start()
        client = ConsulClient(server.address)
        for number, extra in enumerate((
            '"Tags": ["lane=blue"]', '"Meta": {"tag": "green"}, "Tags": ["lane"]', '"Tags": ["v1"]', '"Meta": {"lane": "b ad"}'
        )):  # fmt: skip
            body = f'{{"ID": "x{number}", "Name": "{ORDERS}", "Port": {8000 + number}, {extra}}}'
            answer = await client.request("PUT", "/v1/agent/service/register", data=body)
            assert answer.status == 200, answer.text
        adapter = ConsulAdapter(client, Agent(client))
        found = (await adapter.instances(ORDERS)).instances
        # Without an address of its own a service has that of its node.
        assert [(item.address, item.tag) for item in found] == [
            ("127.0.0.1:8000", "blue"),
            ("127.0.0.1:8001", "green"),
            ("127.0.0.1:8002", "base"),
            ("127.0.0.1:8003", "__invalid__"),
        ]
        await adapter.close()
        await server.stop()

    async def test_answers_that_acls_have_filtered_are_errors(self, tmp_path: Path) -> None:
        server = Consul(tmp_path, acl=True)
        await server.start()
        root = ConsulClient(server.address, Consul.ROOT)
        adapter = ConsulAdapter(root, Agent(root, Consul.ROOT))
        await adapter.register(ME)
        await settled(adapter, [("127.0.0.1:8081", "gray", 2.0, True)])
        made = await root.request("PUT", "/v1/acl/token", data='{"Description": "may see nothing"}')
        secret = (
            made.text.partition('"SecretID": "')[2].partition('"')[0]
            or made.text.partition('"SecretID":"')[2].partition('"')[0]
        )
        poor = ConsulClient(server.address, secret)
        with pytest.raises(RegistryError) as refused:
            await ConsulAdapter(poor, Agent(poor)).instances(ORDERS)
        assert refused.value.reason == "auth"
        unknown = ConsulClient(server.address, "11111111-2222-3333-4444-555555555555")
        with pytest.raises(RegistryError) as refused:
            await ConsulAdapter(unknown, Agent(unknown)).instances(ORDERS)
        assert refused.value.reason == "auth"
        await asyncio.gather(adapter.close(), poor.close(), unknown.close())
        await server.stop()
