"""A sidecar that stands in for the registry: what its application says and hears by either protocol, in this process."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.app.doctor.examine import examine
from gateway.app.sidecar import Sidecar
from gateway.app.sockets import Sockets
from gateway.errors import RegistryError
from gateway.registry.base import Registration
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Lease, ServiceKey
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import NacosClient
from gateway.registry.nacos.messages import ResponseError
from gateway.release.ports import free_port
from gateway.rulesources.nacos import NacosDocument
from tests.support.nacosgrpc import RawClient
from tests.support.origin import Origin
from tests.support.wait import until

B, C = ServiceKey.of("", "", "b"), ServiceKey.of("", "", "c")


class Behind:
    """An application of service `b`, which listens where the origin's `base` port is, and its sidecar."""

    def __init__(self, folder: Path, origin: Origin, registry: EmbeddedRegistry | None, **settings: Any) -> None:
        self.folder = folder
        self.inbound, self.outbound, self.admin, self.facade = (free_port() for _ in range(4))
        self.app = origin.ports["base"]
        self.config: dict[str, Any] = {
            "service": "b",
            "app": f"127.0.0.1:{self.app}",
            "inbound": f"127.0.0.1:{self.inbound}",
            "outbound": f"127.0.0.1:{self.outbound}",
            "admin": f"127.0.0.1:{self.admin}",
            "facade": {"nacos": f"127.0.0.1:{self.facade}"},
            "registry": {"kind": "nacos", "address": registry.address if registry else "", "interval": "50ms"},
            "drain": {"delay": "0s"},
            **settings,
        }

    async def start(self) -> Behind:
        path = self.folder / f"sidecar-{self.inbound}.yaml"
        path.write_text(json.dumps(self.config))
        self.parts = AsyncExitStack()
        await Sidecar(path).start(self.parts, Sockets())
        return self

    async def stop(self) -> None:
        await self.parts.aclose()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.facade}"

    def client(self, protocol: str) -> NacosAdapter:
        """What an application has for a Nacos client."""
        return NacosAdapter(NacosClient([self.address], protocol=protocol), interval=0.02)

    def registration(self, **metadata: str) -> Registration:
        return Registration("b", "127.0.0.1", self.app, metadata=metadata)


@pytest.fixture
async def behind(tmp_path: Path, origin: Origin, registry: EmbeddedRegistry) -> AsyncIterator[Behind]:
    behind = await Behind(tmp_path, origin, registry, tag="gray").start()
    yield behind
    await behind.stop()


def register_c(registry: EmbeddedRegistry, origin: Origin) -> None:
    for name, metadata in (("base", {}), ("gray", {"gray.tag": "gray"})):
        lease = Lease("127.0.0.1", origin.ports[name], metadata=metadata, owner="somebody")
        registry.store.register(C, lease, 0)


async def call(host: str, port: int, *headers: tuple[str, str]) -> str:
    async with ClientSession() as session:
        async with session.get(f"http://{host}:{port}/x", headers=headers) as response:
            return (await response.text()).split()[0]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_the_application_is_registered_as_its_sidecar(
    behind: Behind, registry: EmbeddedRegistry, protocol: str
) -> None:
    """Not before it says so itself: until then its metadata is not known. No port of its own is in it."""
    assert not registry.store.instances(B)
    app = behind.client(protocol)
    await app.register(behind.registration(version="7", team="x", gRPC_port="9090"))
    await until(lambda: registry.store.instances(B))
    (lease,) = registry.store.instances(B)
    assert (lease.host, lease.port) == ("127.0.0.1", behind.inbound)
    assert lease.metadata == {
        "version": "7",
        "team": "x",
        "gRPC_port": f"{behind.inbound}",
        "gray.tag": "gray",
        "gray-sidecar": "b",
        "gray-protocol": "h2c",
    }
    assert await app.heartbeat(behind.registration())
    await app.register(behind.registration(version="8"))
    await until(lambda: registry.store.instances(B)[0].metadata.get("version") == "8")
    assert registry.store.instances(B)[0].metadata == {
        "version": "8",
        "gray.tag": "gray",
        "gray-sidecar": "b",
        "gray-protocol": "h2c",
    }
    await app.deregister(behind.registration())
    await until(lambda: not registry.store.instances(B))
    await app.close()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_a_service_is_one_address_that_the_sidecar_answers_for(
    behind: Behind, registry: EmbeddedRegistry, origin: Origin, protocol: str
) -> None:
    """Whichever instance the application's balancer picks, it is the sidecar that chooses, by the tag."""
    app = behind.client(protocol)
    watching = app.watch("c")
    assert (await anext(watching)).instances == ()
    register_c(registry, origin)
    while not (found := (await anext(watching)).instances):
        pass
    (instance,) = found
    assert instance.host.startswith("127.")
    assert (instance.port, dict(instance.metadata)) == (behind.outbound, {})
    assert await call(instance.host, instance.port, ("x-gray-tag", "gray")) == "gray"
    assert await call(instance.host, instance.port, ("x-gray-tag", "base")) == "base"
    assert await call(instance.host, instance.port, ("x-gray-tag", "gray"), ("Host", "nobody")) == "gray"
    for lease in registry.store.instances(C):
        registry.store.deregister(C, lease.host, lease.port, lease.cluster)
    await watching.aclose()
    await app.close()


@pytest.mark.parametrize("name", ["Shop-C", "SHOP_C", "shop.c:v1"])
async def test_a_service_may_have_any_name_that_nacos_takes(
    behind: Behind, registry: EmbeddedRegistry, origin: Origin, name: str
) -> None:
    """Two that differ by case alone are two."""
    key = ServiceKey.of("", "", name)
    registry.store.register(key, Lease("127.0.0.1", origin.ports["base"], owner="somebody"), 0)
    app = behind.client("grpc")
    (instance,) = (await anext(app.watch(name))).instances
    assert await call(instance.host, instance.port) == "base"
    assert (await anext(app.watch(name.swapcase()))).instances == ()
    await app.close()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_it_answers_from_what_it_knows_while_the_registry_is_away(
    behind: Behind, registry: EmbeddedRegistry, origin: Origin, protocol: str
) -> None:
    register_c(registry, origin)
    app = behind.client(protocol)
    (before,) = (await anext(app.watch("c"))).instances
    await registry.stop()
    again = behind.client(protocol)
    (after,) = (await anext(again.watch("c"))).instances
    assert after == before
    (unknown,) = (await anext(again.watch("d"))).instances  # the sidecar says itself what it knows of it
    assert unknown.host != after.host
    assert await call(after.host, after.port, ("x-gray-tag", "gray")) == "gray"
    await app.close()
    await again.close()


async def test_config_is_the_registrys(behind: Behind, registry: EmbeddedRegistry) -> None:
    document = NacosDocument(NacosClient([behind.address], module="config"), "demo.yaml", "G", "", 0.01)
    watching = document.watch()
    assert await anext(watching) is None
    registry.store.publish(ServiceKey("public", "G", "demo.yaml"), "one")
    while (seen := await anext(watching)) is None:
        pass
    assert seen == "one"
    await document.publish("two", "one")  # over HTTP
    assert registry.store.configs()[ServiceKey("public", "G", "demo.yaml")].content == "two"
    while await anext(watching) != "two":
        pass
    await watching.aclose()
    raw = await RawClient(behind.address).open("config")
    key = {"dataId": "demo.yaml", "group": "G", "tenant": ""}
    assert (await raw.ask("ConfigQueryRequest", **key))["content"] == "two"
    with pytest.raises(ResponseError) as error:
        await raw.ask("ConfigQueryRequest", **{**key, "dataId": "none"})
    assert error.value.code == 300
    await registry.stop()
    assert (await raw.ask("ConfigQueryRequest", **key))["content"] == "two"
    with pytest.raises(RegistryError, match="unreachable"):
        await raw.ask("ConfigQueryRequest", **{**key, "dataId": "none"})
    raw.close()
    await document.close()


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_an_application_that_is_not_what_its_sidecar_is_is_refused(
    behind: Behind, registry: EmbeddedRegistry, protocol: str
) -> None:
    """Registered all the same, it would be a gray instance among the baseline's, or the other way round."""
    app = behind.client(protocol)
    wrong = [
        (behind.registration(**{"opensergo.io/canary": ""}), "says tag 'base'"),
        (Registration("other", "127.0.0.1", behind.app), "sidecar of service 'b'"),
        (behind.registration(much="x" * 1100), "metadata"),
    ]
    for registration, said in wrong:
        with pytest.raises(RegistryError, match=said):
            await app.register(registration)
    elsewhere = NacosAdapter(NacosClient([behind.address], protocol=protocol), group="OTHER")
    with pytest.raises(RegistryError, match="OTHER"):
        await elsewhere.register(behind.registration())
    with pytest.raises(RegistryError, match="not in group OTHER"):
        await anext(elsewhere.watch("c"))
    assert not registry.store.instances(B)
    await app.close()
    await elsewhere.close()


async def test_what_would_go_past_the_sidecar_is_not_passed_on(behind: Behind) -> None:
    async with ClientSession() as session:
        for path in ("/nacos/v2/ns/instance", "/nacos/v1/ns/instance/metadata/batch"):
            async with session.post(f"http://{behind.address}{path}", data={"serviceName": "b"}) as response:
                assert response.status == 404
        async with session.get(f"http://{behind.address}/nacos/v1/ns/operator/metrics") as response:
            assert await response.json() == {"status": "UP"}


async def test_an_application_beside_its_sidecar_is_told_of(
    behind: Behind, registry: EmbeddedRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    app = behind.client("grpc")
    await app.register(behind.registration())
    await until(lambda: registry.store.instances(B))
    lease = Lease("127.0.0.1", behind.app, owner="the application's own client")
    registry.store.register(B, lease, 0)
    await until(lambda: f"registered at 127.0.0.1:{behind.app} as well as its sidecar" in caplog.text)
    async with ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{behind.admin}/metrics") as response:
            assert "gateway_bypass_suspected_total 1.0" in await response.text()
    findings = await examine(None, None, [f"127.0.0.1:{behind.admin}"])
    [finding] = [finding for finding in findings if finding.check == "bypass"]
    assert f"b is registered at 127.0.0.1:{behind.app} as well as its sidecar" in finding.message
    await app.close()


async def test_addresses_by_configuration_come_first(
    tmp_path: Path, origin: Origin, registry: EmbeddedRegistry
) -> None:
    register_c(registry, origin)
    port = free_port()
    behind = await Behind(tmp_path, origin, registry, outbounds={"c": f"127.0.0.1:{port}"}).start()
    assert await call("127.0.0.1", port, ("x-gray-tag", "gray"), ("Host", "whatever")) == "gray"
    app = behind.client("grpc")
    (instance,) = (await anext(app.watch("c"))).instances
    assert (instance.host, instance.port) == ("127.0.0.1", port)
    await app.close()
    await behind.stop()


async def test_a_facade_that_is_started_anew_is_told_again(
    tmp_path: Path, origin: Origin, registry: EmbeddedRegistry
) -> None:
    """The application's client does its redo; nobody has to restart it."""
    behind = Behind(tmp_path, origin, registry, tag="gray")
    await behind.start()
    app = behind.client("grpc")
    await app.register(behind.registration(version="7"))
    await until(lambda: registry.store.instances(B))
    await behind.stop()
    assert not registry.store.instances(B)
    await behind.start()
    await until(lambda: registry.store.instances(B))
    assert registry.store.instances(B)[0].metadata["version"] == "7"
    async with asyncio.timeout(20):
        await app.close()
    await behind.stop()
