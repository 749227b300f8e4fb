"""From settings to registries, and what a build can change about them while they are watched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trustme

from gateway.app.build import Build
from gateway.app.registries import make_registries, registrars, take_settings
from gateway.instance import Instance
from gateway.registry.consul.adapter import ConsulAdapter
from gateway.registry.embedded.adapter import EmbeddedAdapter
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.static import StaticAdapter
from gateway.rules.ruleset import RuleSet
from gateway.settings.gateway import GatewaySettings
from gateway.tls.contexts import UpstreamTLS
from tests.support.roles import gateway_settings
from tests.support.wait import until

EVERY_KIND: dict[str, Any] = {
    "list": {"kind": "static", "services": {"a": [{"address": "127.0.0.1:1", "tag": "gray"}]}},
    "own": {"kind": "embedded", "listen": "127.0.0.1:0"},
    "nacos": {"kind": "nacos", "address": "127.0.0.1:9"},
    "consul": {"kind": "consul", "address": "127.0.0.1:9"},
}


def settings(**registries: Any) -> GatewaySettings:
    return gateway_settings(registry=None, registries=registries)


async def test_each_kind_has_its_adapter(registry: EmbeddedRegistry) -> None:
    found = make_registries(settings(**EVERY_KIND), lambda *_: None, registry)
    assert {name: type(keeper.adapter) for name, keeper in found.keepers.items()} == {
        "list": StaticAdapter,
        "own": EmbeddedAdapter,
        "nacos": NacosAdapter,
        "consul": ConsulAdapter,
    }
    # A gateway's own registry is not where a sidecar registers: that has a connection of its own to it.
    assert list(registrars(found)) == ["nacos", "consul"]
    await found.close()


async def test_a_service_is_looked_for_where_the_settings_say(tmp_path: Path) -> None:
    heard: dict[str, tuple[Instance, ...]] = {}
    lists = {
        name: {"kind": "static", "services": {"a": [{"address": f"127.0.0.1:{port}"}]}}
        for name, port in (("one", 1), ("two", 2))
    }
    chosen = gateway_settings(registry=None, registries=lists, services={"a": {"registry": "two"}})
    found = make_registries(chosen, heard.__setitem__)
    found.watch("a")
    await until(lambda: "a" in heard)
    assert [item.address for item in heard["a"]] == ["127.0.0.1:2"]
    # And a build says it anew.
    build = Build.of(gateway_settings(registry=None, registries=lists, services={"a": {"registry": "one"}}), RuleSet())
    take_settings(found, build)
    await until(lambda: [item.address for item in heard["a"]] == ["127.0.0.1:1"])
    await found.close()


async def test_instances_by_hand_are_taken_from_a_build_and_a_new_registry_is_not() -> None:
    heard: dict[str, tuple[Instance, ...]] = {}
    found = make_registries(settings(list=EVERY_KIND["list"]), heard.__setitem__)
    found.watch("a")
    await until(lambda: "a" in heard)
    more = {"kind": "static", "services": {"a": [{"address": "127.0.0.1:2"}, {"address": "127.0.0.1:3"}]}}
    take_settings(found, Build.of(settings(new=EVERY_KIND["nacos"], list=more), RuleSet()))
    await until(lambda: [item.address for item in heard["a"]] == ["127.0.0.1:2", "127.0.0.1:3"])
    assert list(found.keepers) == ["list"]
    await found.close()


async def test_new_authorities_are_trusted_without_reading_them_again(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    secured = settings(consul={"kind": "consul", "scheme": "https", "ca": str(authority)})
    found = make_registries(secured, lambda *_: None)
    build = Build.of(secured, RuleSet())
    authority.unlink()
    take_settings(found, build)
    adapter = found.keepers["consul"].adapter
    assert isinstance(adapter, ConsulAdapter)
    assert isinstance(build.registry_tls["consul"], UpstreamTLS)
    assert adapter._client._http._tls is build.registry_tls["consul"]
    await found.close()


async def test_copies_are_kept_in_state_of_registries_elsewhere(tmp_path: Path) -> None:
    found = make_registries(
        gateway_settings(registry=None, registries={k: EVERY_KIND[k] for k in ("list", "nacos")}, state=str(tmp_path)),
        lambda *_: None,
    )
    assert {name: keeper._disk is not None for name, keeper in found.keepers.items()} == {"list": False, "nacos": True}
    await found.close()
