"""Lists that are pushed, and registrations that live by their connection, against servers that do what they must not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors import RegistryError
from gateway.registry.base import Registration
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Change, Lease, ServiceKey
from gateway.registry.keeper import FRESH, PROTECTED, STALE, Keeper
from gateway.registry.nacos import client as client_module
from gateway.registry.nacos import naming as naming_module
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import Credentials, NacosClient
from gateway.registry.nacos.connected import Refusal
from tests.support.nacosgrpc import ScriptedServer
from tests.support.wait import until

ORDERS = ServiceKey("public", "DEFAULT_GROUP", "orders")
ME = Registration("orders", "10.0.0.1", 80, "gray", 2.0, {"version": "2"})


def info(*addresses: str, at: int = 0, **more: Any) -> dict[str, Any]:
    hosts = [{"ip": address, "port": 80, "clusterName": "DEFAULT"} for address in addresses]
    return {"serviceInfo": {"name": "orders", "groupName": "DEFAULT_GROUP", "hosts": hosts, "lastRefTime": at, **more}}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    server = await ScriptedServer().start()
    yield server
    await server.stop()


@pytest.fixture
async def adapter(server: ScriptedServer) -> AsyncIterator[NacosAdapter]:
    adapter = NacosAdapter(NacosClient([server.address], protocol="grpc"))
    yield adapter
    await adapter.close()


async def test_what_is_older_or_anothers_is_not_taken(server: ScriptedServer, adapter: NacosAdapter) -> None:
    server.answers["SubscribeServiceRequest"] = info("10.0.0.1", at=10)
    watching = adapter.watch("orders")
    assert [item.host for item in (await anext(watching)).instances] == ["10.0.0.1"]
    server.push("NotifySubscriberRequest", info("10.0.0.2", at=9))
    server.push("NotifySubscriberRequest", {**info("10.0.0.3", at=11), "namespace": "another"})
    server.push("NotifySubscriberRequest", info("10.0.0.4", at=11, groupName="another"))
    server.push("NotifySubscriberRequest", info("10.0.0.5", at=11, name="users"))
    server.push("NotifySubscriberRequest", info("10.0.0.6", at=11, clusters="east"))
    server.push("NotifySubscriberRequest", {"serviceInfo": None})
    server.push("NotifySubscriberRequest", info("10.0.0.7", at=12, name="DEFAULT_GROUP@@orders"))
    assert [item.host for item in (await anext(watching)).instances] == ["10.0.0.7"]
    await watching.aclose()


async def test_a_push_that_is_no_list_is_an_error_and_not_an_empty_list(
    server: ScriptedServer, adapter: NacosAdapter
) -> None:
    server.answers["SubscribeServiceRequest"] = info("10.0.0.1", at=10)
    watching = adapter.watch("orders")
    await anext(watching)
    server.push("NotifySubscriberRequest", {"serviceInfo": {"name": "orders", "hosts": None, "lastRefTime": 11}})
    with pytest.raises(RegistryError, match="not a list"):
        await anext(watching)


async def test_an_empty_push_is_doubted_like_an_empty_answer(server: ScriptedServer, adapter: NacosAdapter) -> None:
    seen: list[list[str]] = []
    keeper = Keeper(adapter, lambda _, instances: seen.append([item.host for item in instances]), recheck=0.01)
    server.answers["SubscribeServiceRequest"] = info("10.0.0.1", "10.0.0.2", at=10)
    keeper.watch("orders")
    await until(lambda: keeper.states()[0].state == FRESH)
    server.answers["SubscribeServiceRequest"] = info(at=11)
    server.push("NotifySubscriberRequest", info(at=11))
    await until(lambda: keeper.states()[0].state == PROTECTED)
    assert seen == [["10.0.0.1", "10.0.0.2"]]
    await keeper.close()


async def test_a_lost_connection_is_stale_and_a_new_one_is_subscribed_anew(
    server: ScriptedServer, adapter: NacosAdapter
) -> None:
    seen: list[list[str]] = []
    keeper = Keeper(adapter, lambda _, instances: seen.append([item.host for item in instances]))
    server.answers["SubscribeServiceRequest"] = info("10.0.0.1", at=10)
    keeper.watch("orders")
    await until(lambda: seen == [["10.0.0.1"]])
    await server.stop()
    await until(lambda: keeper.states()[0].state == STALE)
    again = ScriptedServer()
    again.answers["SubscribeServiceRequest"] = info("10.0.0.1", "10.0.0.2", at=3)  # its clock is behind the other one's
    await again.start(server.port)
    await until(lambda: seen[-1] == ["10.0.0.1", "10.0.0.2"])
    await keeper.close()
    await again.stop()


async def test_an_instance_comes_back_with_all_of_its_metadata(registry: EmbeddedRegistry) -> None:
    """Without it a gray instance would be baseline."""
    adapter = NacosAdapter(NacosClient([registry.address]))
    await adapter.register(ME)
    (before,) = registry.store.instances(ORDERS)
    assert before.metadata == {"version": "2", "gray.tag": "gray"}
    lists: list[list[dict[str, str]]] = []
    tell = registry.store.service_changed

    def changed(key: ServiceKey) -> None:
        lists.append([lease.metadata for lease in registry.store.instances(key)])
        tell(key)

    registry.store.service_changed = changed
    for connection in registry.grpc_connections:
        connection.close()
    await until(lambda: len(lists) == 2)
    assert lists == [[], [before.metadata]]
    assert await adapter.heartbeat(ME)
    await adapter.close()


async def test_one_that_was_taken_out_does_not_come_back_with_the_connection(registry: EmbeddedRegistry) -> None:
    adapter = NacosAdapter(NacosClient([registry.address]))
    await adapter.register(ME)
    await adapter.suspend(ME)
    assert not registry.store.instances(ORDERS)
    (connection,) = registry.grpc_connections
    connection.close()
    await until(lambda: registry.grpc_connections not in ([], [connection]))
    assert not registry.store.instances(ORDERS)
    await adapter.close()


async def test_one_that_could_not_be_taken_out_is_so_by_the_next_try(
    server: ScriptedServer, adapter: NacosAdapter
) -> None:
    """And over the same connection: over HTTP a Nacos would know nothing of it, and list it for as long as we live."""
    await adapter.register(ME)
    server.answers["InstanceRequest"] = Refusal(500, "busy")
    with pytest.raises(RegistryError, match="busy"):
        await adapter.suspend(ME)
    del server.answers["InstanceRequest"]
    await adapter.suspend(ME)
    assert [body["type"] for request, body in server.asked if request == "InstanceRequest"] == [
        "registerInstance",
        "deregisterInstance",
        "deregisterInstance",
    ]


async def test_one_that_is_handed_over_outlives_the_connection(registry: EmbeddedRegistry) -> None:
    adapter = NacosAdapter(NacosClient([registry.address]))
    await adapter.register(ME)
    await adapter.release(ME)
    await adapter.close()
    await until(lambda: not registry.grpc_connections)
    (lease,) = registry.store.instances(ORDERS)
    assert (lease.owner, lease.metadata, lease.weight) == ("", {"version": "2", "gray.tag": "gray"}, 2.0)


async def test_without_grpc_it_is_http_until_there_is_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    await registry.start()
    assert registry._grpc is not None
    await registry._grpc.close()  # a firewall
    adapter = NacosAdapter(NacosClient([registry.address]), interval=0.01)
    await adapter.register(ME)
    assert await adapter.heartbeat(ME)
    assert adapter.describe()["generation"] == "v3"
    watching = adapter.watch("orders")
    assert [item.tag for item in (await anext(watching)).instances] == ["gray"]
    host, port = registry.address.split(":")
    await registry.stop()
    monkeypatch.setattr(client_module, "GRPC_AGAIN", 0.0)
    adapter._client.try_grpc_again()
    again = EmbeddedRegistry(host, int(port), warmup=0)
    await again.start()
    again.store.register(ORDERS, Lease("10.0.0.2", 80), 0)
    while [item.host for item in (await anext(watching)).instances] != ["10.0.0.2"]:
        pass
    assert not await adapter.heartbeat(ME)
    await adapter.register(ME)
    assert adapter.describe()["generation"] == "grpc"
    assert [lease.owner != "" for lease in again.store.instances(ORDERS)] == [True, False]
    await watching.aclose()
    await adapter.close()
    await again.stop()


async def test_grpc_alone_says_where_it_was_looked_for() -> None:
    adapter = NacosAdapter(NacosClient(["127.0.0.1:1"], protocol="grpc"))
    with pytest.raises(RegistryError, match=r"cannot reach 127\.0\.0\.1:1") as error:
        await anext(adapter.watch("orders"))
    assert error.value.reason == "unreachable"
    await adapter.close()


@pytest.mark.parametrize(("code", "reason"), [(403, "auth"), (503, "warming"), (500, "bad_response")])
async def test_a_refusal_has_its_reason(server: ScriptedServer, code: int, reason: str) -> None:
    server.answers["SubscribeServiceRequest"] = Refusal(code, "no")
    adapter = NacosAdapter(NacosClient([server.address], Credentials(token="secret"), protocol="grpc"))
    with pytest.raises(RegistryError, match="no") as error:
        await anext(adapter.watch("orders"))
    assert error.value.reason == reason
    await adapter.close()


async def test_a_server_that_resets_is_left(server: ScriptedServer, adapter: NacosAdapter) -> None:
    server.answers["SubscribeServiceRequest"] = info("10.0.0.1", at=10)
    watching = adapter.watch("orders")
    await anext(watching)
    server.push("ConnectResetRequest", {"serverIp": None, "serverPort": None})
    with pytest.raises(RegistryError, match="was lost"):
        async with asyncio.timeout(10):
            await anext(watching)


async def test_one_that_somebody_else_has_taken_out_is_noticed_and_registered_again(
    registry: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming_module, "LOOK_AGAIN", 0.0)
    adapter = NacosAdapter(NacosClient([registry.address]))
    await adapter.register(ME)
    assert await adapter.heartbeat(ME)
    registry.store.deregister(ORDERS, "10.0.0.1", 80, "")
    assert not await adapter.heartbeat(ME)
    await adapter.register(ME)
    assert await adapter.heartbeat(ME)
    assert [lease.metadata for lease in registry.store.instances(ORDERS)] == [{"version": "2", "gray.tag": "gray"}]
    await adapter.close()


async def test_one_that_an_operator_has_switched_off_is_not_registered_again_and_again(
    registry: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists leave it out: once it is registered again to be sure, and then left as the operator wants it."""
    monkeypatch.setattr(naming_module, "LOOK_AGAIN", 0.0)
    adapter = NacosAdapter(NacosClient([registry.address]))
    await adapter.register(ME)
    registry.store.update(ORDERS, ("10.0.0.1", 80, ""), Change(enabled=False))
    assert not await adapter.heartbeat(ME)
    await adapter.register(ME)
    assert [await adapter.heartbeat(ME) for _ in range(3)] == [True, True, True]
    assert [lease.enabled for lease in registry.store.instances(ORDERS)] == [False]
    await adapter.close()


async def test_a_server_that_says_nothing_of_it_is_no_reason_to_register_again(
    server: ScriptedServer, adapter: NacosAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming_module, "LOOK_AGAIN", 0.0)
    await adapter.register(ME)
    server.answers["ServiceQueryRequest"] = Refusal(503, "starting")
    assert await adapter.heartbeat(ME)


class TestTwoServers:
    """Of one cluster, which do not say the same."""

    @pytest.fixture
    async def other(self) -> AsyncIterator[ScriptedServer]:
        other = await ScriptedServer().start()
        yield other
        await other.stop()

    @pytest.fixture
    async def both(self, server: ScriptedServer, other: ScriptedServer) -> AsyncIterator[NacosAdapter]:
        adapter = NacosAdapter(NacosClient([server.address, other.address], protocol="grpc"))
        yield adapter
        await adapter.close()

    async def test_a_list_that_only_one_has_is_believed_and_that_one_is_used_from_then_on(
        self, server: ScriptedServer, other: ScriptedServer, both: NacosAdapter
    ) -> None:
        """The other one has just started, or has lost the cluster."""
        server.answers["SubscribeServiceRequest"] = info(at=20)
        other.answers["ServiceQueryRequest"] = other.answers["SubscribeServiceRequest"] = info("10.0.0.1", at=10)
        watching = both.watch("orders")
        listing = await anext(watching)
        assert ([item.host for item in listing.instances], listing.node) == (["10.0.0.1"], other.address)
        with pytest.raises(RegistryError, match="was lost"):
            await anext(watching)
        watching = both.watch("orders")
        assert (await anext(watching)).node == other.address
        assert both.describe()["generation"] == "grpc"
        other.push("NotifySubscriberRequest", info("10.0.0.2", at=11))
        assert [item.host for item in (await anext(watching)).instances] == ["10.0.0.2"]
        await watching.aclose()

    async def test_if_each_knows_what_the_other_does_not_nobody_is_sent_to_and_fro(
        self, server: ScriptedServer, other: ScriptedServer, both: NacosAdapter
    ) -> None:
        server.answers["SubscribeServiceRequest"] = other.answers["SubscribeServiceRequest"] = info(at=1)
        server.answers["ServiceQueryRequest"] = info("10.0.0.1", at=1)
        other.answers["ServiceQueryRequest"] = info("10.0.0.2", at=1)
        watching = both.watch("orders")
        assert [item.host for item in (await anext(watching)).instances] == ["10.0.0.2"]
        with pytest.raises(RegistryError, match="was lost"):
            await anext(watching)
        watching = both.watch("orders")
        for _ in range(3):  # no move any more: the list comes from the first one all the same
            assert [item.host for item in (await anext(watching)).instances] == ["10.0.0.1"]
            other.push("NotifySubscriberRequest", info(at=2))
        await watching.aclose()

    async def test_a_service_that_is_empty_at_both_is_empty(
        self, server: ScriptedServer, other: ScriptedServer, both: NacosAdapter
    ) -> None:
        server.answers["SubscribeServiceRequest"] = other.answers["ServiceQueryRequest"] = info(at=1)
        watching = both.watch("orders")
        listing = await anext(watching)
        assert (listing.instances, listing.node) == ((), server.address)
        await other.stop()
        server.push("NotifySubscriberRequest", info(at=2))
        assert (await anext(watching)).instances == ()
        await watching.aclose()

    async def test_one_that_is_not_there_is_not_asked_again_for_each_list(
        self, server: ScriptedServer, other: ScriptedServer, both: NacosAdapter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A gateway that starts asks for all of its services, and an address that swallows packets takes two seconds."""
        opened: list[str] = []
        open_other = both._client.rpc.open_other

        async def counted(address: str) -> Any:
            opened.append(address)
            return await open_other(address)

        monkeypatch.setattr(both._client.rpc, "open_other", counted)
        await other.stop()
        server.answers["SubscribeServiceRequest"] = info(at=1)
        watching = both.watch("orders")
        assert (await anext(watching)).instances == ()
        for at in (2, 3):
            server.push("NotifySubscriberRequest", info(at=at))
            assert (await anext(watching)).instances == ()
        assert opened == [server.address]
        await watching.aclose()

    async def test_one_that_is_gone_is_left_for_the_other_with_what_was_registered(
        self, server: ScriptedServer, other: ScriptedServer, both: NacosAdapter
    ) -> None:
        await both.register(ME)
        await server.stop()
        await until(lambda: any(request == "InstanceRequest" for request, _ in other.asked))
        [(_, body)] = [asked for asked in other.asked if asked[0] == "InstanceRequest"]
        assert body["instance"]["metadata"] == {"version": "2", "gray.tag": "gray"}
