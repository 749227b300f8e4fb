"""The embedded registry over gRPC, on one store with HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from gateway.errors import RegistryError, StartError
from gateway.registry.embedded.grpc import MAX_KINDS
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Lease, ServiceKey
from gateway.registry.nacos import connected, serving
from gateway.registry.nacos.messages import CONFLICT, NO_HANDLER, NOT_FOUND, STARTING, UNREGISTERED, ResponseError
from gateway.registry.nacos.payload import UNARY, Payload
from tests.support.nacosgrpc import RawClient, hosts
from tests.support.wait import until

ORDERS = ServiceKey("public", "DEFAULT_GROUP", "orders")


@pytest.fixture
async def client(registry: EmbeddedRegistry) -> AsyncIterator[RawClient]:
    client = await RawClient(registry.address).open()
    yield client
    client.close()


async def test_a_change_is_pushed_to_those_who_subscribe(registry: EmbeddedRegistry, client: RawClient) -> None:
    assert await client.subscribe("orders") == []
    other = await RawClient(registry.address).open()
    await other.register("orders", "10.0.0.1", metadata={"gray.tag": "gray"}, weight=2)
    name, body = await client.pushed()
    info = body["serviceInfo"]
    assert (name, info["name"], info["groupName"]) == ("NotifySubscriberRequest", "orders", "DEFAULT_GROUP")
    (host,) = info["hosts"]
    assert {
        key: host[key] for key in ("ip", "port", "weight", "ephemeral", "clusterName", "serviceName", "metadata")
    } == {
        "ip": "10.0.0.1",
        "port": 80,
        "weight": 2.0,
        "ephemeral": True,
        "clusterName": "DEFAULT",
        "serviceName": "DEFAULT_GROUP@@orders",
        "metadata": {"gray.tag": "gray"},
    }
    other.close()  # what it registered goes with it
    assert hosts((await client.pushed())[1]["serviceInfo"]) == []


async def test_what_is_pushed_is_never_older_than_what_was(client: RawClient) -> None:
    """Clients drop a list whose time is not after that of theirs, and would keep an old one for ever."""
    await client.subscribe("orders")
    times = []
    for number in range(5):
        await client.register("orders", f"10.0.0.{number}")
        times.append((await client.pushed())[1]["serviceInfo"]["lastRefTime"])
    assert times == sorted(set(times))


async def test_a_slow_client_gets_the_latest_list_once(registry: EmbeddedRegistry, client: RawClient) -> None:
    await client.subscribe("orders")
    for number in range(50):  # without a turn of the loop between them
        registry.store.register(ORDERS, Lease(f"10.0.0.{number}", 80), 0)
    assert len(hosts((await client.pushed())[1]["serviceInfo"])) == 50
    assert client.pushes.empty()


async def test_an_instance_that_came_back_over_another_connection_stays(
    registry: EmbeddedRegistry, client: RawClient
) -> None:
    """A client's redo may come before the server has noticed that its old connection is gone."""
    await client.register("orders", "10.0.0.1", metadata={"gray.tag": "gray"})
    again = await RawClient(registry.address).open()
    await again.register("orders", "10.0.0.1", metadata={"gray.tag": "gray"})
    client.close()
    await until(lambda: len(registry.grpc_connections) == 1)
    (lease,) = registry.store.instances(ORDERS)
    assert lease.metadata == {"gray.tag": "gray"}
    again.close()
    await until(lambda: not registry.store.instances(ORDERS))


async def test_an_instance_changed_over_http_is_the_connections_still(
    registry: EmbeddedRegistry, client: RawClient
) -> None:
    await client.register("orders", "10.0.0.1", metadata={"gray.tag": "gray"})
    from tests.unit.registry.embedded.test_api import Api

    where = {"serviceName": "orders", "ip": "10.0.0.1", "port": 80}
    assert await Api(registry).call("PUT", "/nacos/v1/ns/instance", **where, weight=3) == (200, "ok")
    (lease,) = registry.store.instances(ORDERS)
    assert (lease.weight, lease.metadata) == (3.0, {"gray.tag": "gray"})
    registry.store.expire(1e9)
    assert registry.store.instances(ORDERS) == [lease]  # it sends no heartbeats: its connection is one
    await client.register("orders", "10.0.0.1", metadata={"gray.tag": "gray"})
    (lease,) = registry.store.instances(ORDERS)
    assert (lease.weight, lease.metadata) == (3.0, {"gray.tag": "gray"})  # what an operator has set stays
    status, why = await Api(registry).call("DELETE", "/nacos/v1/ns/instance", **where)
    assert (status, "only that client can take it out" in why) == (400, True)
    assert registry.store.instances(ORDERS) == [lease]
    client.close()
    await until(lambda: not registry.store.instances(ORDERS))


async def test_a_batch_is_all_that_a_client_has(registry: EmbeddedRegistry, client: RawClient) -> None:
    def batch(*addresses: str) -> list[dict[str, object]]:
        return [{"ip": address, "port": 80} for address in addresses]

    registry.store.register(ORDERS, Lease("10.0.0.9", 80), 0)
    where = {"serviceName": "orders", "type": "batchRegisterInstance"}
    await client.ask("BatchInstanceRequest", **where, instances=batch("10.0.0.1", "10.0.0.2"))
    await client.ask("BatchInstanceRequest", **where, instances=batch("10.0.0.2", "10.0.0.3"))
    assert [lease.host for lease in registry.store.instances(ORDERS)] == ["10.0.0.2", "10.0.0.3", "10.0.0.9"]


async def test_a_list_by_cluster_and_health(registry: EmbeddedRegistry, client: RawClient) -> None:
    registry.store.register(ORDERS, Lease("10.0.0.1", 80, "east"), 0)
    registry.store.register(ORDERS, Lease("10.0.0.2", 80, "west", healthy=False), 0)
    registry.store.register(ORDERS, Lease("10.0.0.3", 80, "west", enabled=False), 0)
    assert await client.subscribe("orders", "east") == ["10.0.0.1"]
    assert await client.subscribe("orders") == ["10.0.0.1", "10.0.0.2"]
    asked = await client.ask("ServiceQueryRequest", serviceName="orders", cluster="", healthyOnly=True)
    assert hosts(asked["serviceInfo"]) == ["10.0.0.1"]
    listed = await client.ask("ServiceListRequest", pageNo=1, pageSize=10, groupName="DEFAULT_GROUP")
    assert (listed["count"], listed["serviceNames"]) == (1, ["orders"])


async def test_a_connection_cannot_have_a_service_listed_in_ever_more_ways(
    registry: EmbeddedRegistry, client: RawClient
) -> None:
    """Each is a list of its own to compose and to push."""
    for number in range(MAX_KINDS):
        await client.subscribe("orders", f"c{number}")
    await client.subscribe("orders", "c0")
    for clusters in ("one-more", "x" * 1025):
        with pytest.raises(ResponseError, match="clusters: 16 different ones"):
            await client.subscribe("orders", clusters)


async def test_nobody_is_told_of_what_he_has_unsubscribed_from(registry: EmbeddedRegistry, client: RawClient) -> None:
    await client.subscribe("orders")
    await client.subscribe("users")
    await client.ask("SubscribeServiceRequest", serviceName="orders", clusters="", subscribe=False)
    await client.register("orders", "10.0.0.1")
    await client.register("users", "10.0.0.1")
    assert (await client.pushed())[1]["serviceInfo"]["name"] == "users"


async def test_a_persistent_instance_outlives_its_connection(registry: EmbeddedRegistry, client: RawClient) -> None:
    instance = {"ip": "10.0.0.1", "port": 80, "ephemeral": False}
    await client.ask("PersistentInstanceRequest", type="registerInstance", serviceName="orders", instance=instance)
    client.close()
    await until(lambda: not registry.grpc_connections)
    registry.store.expire(1e9)
    assert [lease.ephemeral for lease in registry.store.instances(ORDERS)] == [False]


async def test_config_is_published_listened_for_and_removed(client: RawClient) -> None:
    key = {"dataId": "demo", "group": "G", "tenant": ""}
    with pytest.raises(ResponseError) as error:
        await client.ask("ConfigQueryRequest", **key)
    assert error.value.code == NOT_FOUND
    listened = await client.ask("ConfigBatchListenRequest", listen=True, configListenContexts=[{**key, "md5": ""}])
    assert listened["changedConfigs"] == []
    await client.ask("ConfigPublishRequest", **key, content="one", additionMap={"type": "yaml"})
    name, body = await client.pushed()
    assert (name, {word: body[word] for word in key}) == ("ConfigChangeNotifyRequest", key)
    answer = await client.ask("ConfigQueryRequest", **key)
    assert {word: answer[word] for word in ("content", "contentType", "md5", "isBeta")} == {
        "content": "one",
        "contentType": "yaml",
        "md5": "f97c5d29941bfb1b2fdab0874906ab82",
        "isBeta": False,
    }
    assert None not in answer.values()  # some clients take no null
    listened = await client.ask("ConfigBatchListenRequest", listen=True, configListenContexts=[{**key, "md5": "old"}])
    assert listened["changedConfigs"] == [key]
    with pytest.raises(ResponseError, match="Cas publish fail") as error:
        await client.ask("ConfigPublishRequest", **key, content="two", casMd5="0" * 32)
    assert error.value.code == CONFLICT
    await client.ask("ConfigPublishRequest", **key, content="two", casMd5="f97c5d29941bfb1b2fdab0874906ab82")
    await client.ask("ConfigBatchListenRequest", listen=False, configListenContexts=[{**key, "md5": ""}])
    await client.ask("ConfigRemoveRequest", **key)
    with pytest.raises(ResponseError):
        await client.ask("ConfigQueryRequest", **key)


@pytest.mark.parametrize("name", ["betaIps", "tag", "grayName", "encryptedDataKey"])
async def test_a_config_value_for_some_clients_is_refused_by_name(client: RawClient, name: str) -> None:
    """Published for all, it would be everybody's."""
    with pytest.raises(ResponseError, match=name):
        await client.ask("ConfigPublishRequest", dataId="demo", group="G", content="x", additionMap={name: "10.0.0.1"})


@pytest.mark.parametrize(
    ("request_type", "body", "said"),
    [
        ("InstanceRequest", {}, "Param 'serviceName' is required"),
        ("InstanceRequest", {"serviceName": "orders"}, "instance: an object is accepted"),
        ("InstanceRequest", {"serviceName": "a b", "instance": {}}, "letters, digits"),
        ("InstanceRequest", {"serviceName": "a", "instance": {"ip": "x", "port": 80}}, "type None"),
        ("InstanceRequest", {"serviceName": 3, "instance": {}}, "serviceName: text is accepted"),
        (
            "InstanceRequest",
            {
                "serviceName": "a",
                "type": "registerInstance",
                "instance": {"ip": "x", "port": 80, "metadata": {"a": {}}},
            },
            "metadata a: text is accepted",
        ),
        ("BatchInstanceRequest", {"serviceName": "a"}, "with a list of instances"),
        ("ServiceListRequest", {"pageNo": "x"}, "pageNo: a number"),
        ("ConfigBatchListenRequest", {"configListenContexts": 3}, "a list of objects"),
        ("ConfigPublishRequest", {"dataId": "a", "group": "G", "content": ""}, "must not be empty"),
    ],
)
async def test_what_is_malformed_is_refused_with_a_reason(
    client: RawClient, request_type: str, body: dict[str, object], said: str
) -> None:
    with pytest.raises(ResponseError, match=said):
        await client.ask(request_type, **body)


async def test_nulls_are_as_good_as_nothing(registry: EmbeddedRegistry, client: RawClient) -> None:
    """Clients in Java send all that they know of an instance, null or not."""
    await client.register(
        "orders", "10.0.0.1", instanceId=None, metadata=None, clusterName=None, weight=None, namespace=None
    )
    (lease,) = registry.store.instances(ORDERS)
    assert lease == Lease("10.0.0.1", 80, owner=lease.owner, renewed_at=lease.renewed_at)


async def test_lists_are_refused_while_instances_are_missing_and_pushed_when_they_are_not() -> None:
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=60)
    await registry.start()
    client = await RawClient(registry.address).open()
    with pytest.raises(ResponseError, match="STARTING") as error:
        await client.subscribe("orders")
    assert (error.value.code, error.value.reason) == (STARTING, "warming")
    await client.register("orders", "10.0.0.1")
    registry.know({})
    assert await client.subscribe("orders") == []
    client.close()
    await registry.stop()


async def test_a_request_before_the_connection_is_set_up_and_one_that_nobody_knows(registry: EmbeddedRegistry) -> None:
    from grpclib.client import Channel
    from grpclib.const import Cardinality

    from gateway.registry.nacos.wire import Codec

    host, port = registry.address.split(":")
    async with Channel(host, int(port) + 1000, codec=Codec()) as channel:

        async def ask(payload: Payload) -> dict[str, object]:
            async with channel.request(UNARY, Cardinality.UNARY_UNARY, Payload, Payload) as stream:
                await stream.send_message(payload, end=True)
                answer = await stream.recv_message()
            assert answer is not None
            return {"type": answer.type, **json.loads(answer.body)}

        early = await ask(Payload("ServiceListRequest"))
        assert (early["type"], early["errorCode"]) == ("ErrorResponse", UNREGISTERED)
        unknown = await ask(Payload("NobodyRequest", b'{"requestId": "7"}'))
        assert (unknown["type"], unknown["errorCode"], unknown["requestId"]) == ("ErrorResponse", NO_HANDLER, "7")
        broken = await ask(Payload("ServiceListRequest", b"[1"))
        assert (broken["success"], broken["errorCode"]) == (False, 400)


async def test_a_message_that_is_too_large_ends_the_connection_unread(
    registry: EmbeddedRegistry, client: RawClient
) -> None:
    from gateway.registry.nacos.wire import MAX_MESSAGE

    with pytest.raises(RegistryError):
        await client.ask("ConfigPublishRequest", dataId="a", group="G", content="x" * (MAX_MESSAGE + 1))
    await until(lambda: not registry.grpc_connections)


async def test_bytes_that_are_no_http2_end_the_connection(registry: EmbeddedRegistry) -> None:
    host, port = registry.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port) + 1000)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        try:
            while await reader.read(1000):
                pass
        except ConnectionResetError:
            pass
    writer.close()
    assert not registry.grpc_connections


async def test_a_half_open_connection_is_asked_and_then_closed(
    registry: EmbeddedRegistry, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its peer is gone without a word; what it registered must go, too."""
    await client.register("orders", "10.0.0.1")
    (connection,) = registry.grpc_connections
    assert registry._grpc is not None
    monkeypatch.setattr(serving, "SILENT", 0.0)
    registry._grpc.look(asyncio.get_running_loop().time() + 1)
    assert (await client.pushed())[0] == "ClientDetectionRequest"  # it answers, and stays
    assert registry.grpc_connections == [connection]
    registry._grpc.look(connection.heard_at + serving.GONE + 1)
    await until(lambda: not registry.store.instances(ORDERS))


async def test_there_is_a_limit_to_connections_and_to_what_each_keeps(
    registry: EmbeddedRegistry, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connected, "MAX_KEPT", 2)
    await client.subscribe("a")
    await client.subscribe("b")
    await client.subscribe("b")
    with pytest.raises(ResponseError, match="2 subscriptions"):
        await client.subscribe("c")
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 1)
    with pytest.raises(RegistryError):
        await RawClient(registry.address).open()
    await client.subscribe("a")


async def test_a_taken_port_for_grpc_is_told_with_both_ports() -> None:
    first = socket.create_server(("127.0.0.1", 0))
    port = first.getsockname()[1] - 1000
    with first, pytest.raises(StartError, match=f"127.0.0.1:{port + 1000} .* one at port {port} expect it"):
        await EmbeddedRegistry("127.0.0.1", port).start()
    with pytest.raises(StartError, match="ports end at 65535"):
        await EmbeddedRegistry("127.0.0.1", 65000).start()


async def test_a_sidecar_with_other_registries_does_not_load_grpc() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys, gateway.app.sidecar, gateway.app.entry; print([m for m in sys.modules if 'grpclib' in m])",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"
