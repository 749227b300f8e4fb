"""An instance's registrations in all registries that take some."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.app.registrations import Registrations
from gateway.app.registries import make_registries
from gateway.registry.base import Registration
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import ServiceKey
from gateway.registry.several import Registries
from gateway.settings.sidecar import SidecarSettings
from tests.support.roles import sidecar_settings
from tests.support.wait import until

KEY = ServiceKey.of("", "", "b")
INSTANCE = Registration("b", "127.0.0.1", 5, "gray", 2.0, {"version": "2"})


Make = Callable[..., Registrations]


@pytest.fixture
async def registrations(registry: EmbeddedRegistry) -> AsyncIterator[Make]:
    made: list[Registries] = []

    def make(is_usable: bool = True, **more: object) -> Registrations:
        made.append(make_registries(settings_with(registry, **more), lambda *_: None))
        return Registrations(made[-1], INSTANCE, is_usable=is_usable)

    yield make
    for registries in made:
        await registries.close()


def settings_with(registry: EmbeddedRegistry, **more: object) -> SidecarSettings:
    return sidecar_settings(
        registry=None,
        registries={
            "list": {"kind": "static", "services": {}},
            "nacos": {"kind": "nacos", "address": registry.address, "interval": "100ms"},
            **more,
        },
    )


async def test_from_the_start_to_the_end(registry: EmbeddedRegistry, registrations: Make) -> None:
    found = registrations()
    assert list(found.known) == ["nacos"]  # a list by hand takes no registrations
    assert found.not_found() == ""
    found.start()
    await until(lambda: found.registered_in == ["nacos"])
    [lease] = registry.store.instances(KEY)
    assert (lease.host, lease.port, lease.weight) == ("127.0.0.1", 5, 2.0)
    assert json.dumps(lease.metadata, sort_keys=True) == '{"gray.tag": "gray", "version": "2"}'
    assert found.not_found() is None
    await found.withdraw()
    assert found.registered_in == []
    await found.stop()
    assert list(registry.store.instances(KEY)) == []


async def test_an_instance_that_takes_no_requests_is_not_registered_until_it_does(
    registry: EmbeddedRegistry, registrations: Make
) -> None:
    found = registrations(is_usable=False)
    found.start()
    await until(lambda: found.known["nacos"].state == "suspended")
    assert list(registry.store.instances(KEY)) == []
    found.set_usable(True)
    await until(lambda: list(registry.store.instances(KEY)))
    await found.stop()


async def test_a_successor_goes_on_with_what_is_registered(registry: EmbeddedRegistry, registrations: Make) -> None:
    found = registrations()
    found.start()
    await until(lambda: found.registered_in)
    await found.hand_over()
    assert len(list(registry.store.instances(KEY))) == 1


async def test_what_was_never_announced_is_not_taken_back(registry: EmbeddedRegistry, registrations: Make) -> None:
    """A start that fails: another process may have the instance at this address."""
    other = registrations()
    other.start()
    await until(lambda: other.registered_in)
    found = registrations()
    await found.withdraw()
    await found.stop()
    assert len(list(registry.store.instances(KEY))) == 1
    await other.stop()


async def test_one_registry_is_enough_to_be_found(registry: EmbeddedRegistry, registrations: Make) -> None:
    found = registrations(gone={"kind": "nacos", "address": "127.0.0.1:9"})
    found.start()
    await until(lambda: found.registered_in == ["nacos"] and found.known["gone"].reason)
    assert found.not_found() is None
    await found.stop()


async def test_why_nobody_finds_it(registry: EmbeddedRegistry, registrations: Make) -> None:
    await registry.stop()
    found = registrations()
    found.start()
    await until(lambda: found.known["nacos"].reason)
    reason = found.not_found()
    assert reason is not None
    assert "cannot reach" in reason
    await found.stop()
