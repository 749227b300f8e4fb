"""A Nacos client that nobody here wrote: nacos-sdk-python 1.0 (HTTP, v1) against the embedded registry."""

from __future__ import annotations

import asyncio
from typing import Any

import nacos
import pytest

from gateway.instance import Instance
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import NacosClient

# The client is of 2022 and makes its TLS context in a way that Python now warns of.
pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.SSLContext:DeprecationWarning", "ignore:ssl.PROTOCOL:DeprecationWarning"
)


@pytest.fixture
def client(registry: EmbeddedRegistry, tmp_path: Any) -> Any:
    client = nacos.NacosClient(registry.address, namespace="")
    client.set_options(snapshot_base=str(tmp_path), failover_base=str(tmp_path))
    return client


async def test_it_registers_is_listed_and_deregisters(client: Any, registry: EmbeddedRegistry) -> None:
    call: Any = asyncio.to_thread
    where = ("orders", "10.0.0.1", 8080, "DEFAULT")  # left out, this client names the cluster "None"
    metadata = {"gray.tag": "gray"}
    assert await call(client.add_naming_instance, *where, metadata=metadata, weight=2.0)
    assert await call(client.send_heartbeat, *where, metadata=metadata, weight=2.0)
    listed = await call(client.list_naming_instance, "orders")
    assert [(host["ip"], host["port"], host["healthy"]) for host in listed["hosts"]] == [("10.0.0.1", 8080, True)]
    ours = NacosAdapter(NacosClient([registry.address]))
    (seen,) = (await ours.instances("orders")).instances
    assert (seen.address, seen.tag, seen.weight) == ("10.0.0.1:8080", "gray", 2.0)
    await ours.close()
    assert await call(client.remove_naming_instance, *where)
    assert (await call(client.list_naming_instance, "orders"))["hosts"] == []


async def test_it_reads_and_publishes_config(client: Any, registry: EmbeddedRegistry) -> None:
    call = asyncio.to_thread
    assert await call(client.get_config, "demo", "DEFAULT_GROUP") is None
    assert await call(client.publish_config, "demo", "DEFAULT_GROUP", "base")
    assert await call(client.get_config, "demo", "DEFAULT_GROUP") == "base"
    assert await call(client.remove_config, "demo", "DEFAULT_GROUP")
    assert registry.store.configs() == {}


async def test_our_instances_are_seen_by_it(client: Any, registry: EmbeddedRegistry) -> None:
    from gateway.registry.base import Registration

    ours = NacosAdapter(NacosClient([registry.address]))
    await ours.register(Registration("orders", "10.0.0.9", 80, "gray"))
    listed = await asyncio.to_thread(client.list_naming_instance, "orders")
    assert listed["hosts"][0]["metadata"] == {"gray.tag": "gray"}
    assert (await ours.instances("orders")).instances == (
        Instance("10.0.0.9", 80, "gray", metadata={"gray.tag": "gray"}),
    )
    await ours.close()
