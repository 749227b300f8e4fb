"""What an application is told of services, and what it says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.facade.naming import Application, Behind, FacadeStore
from gateway.registry.embedded.store import Lease, Refused, ServiceKey

OWN = ServiceKey("public", "DEFAULT_GROUP", "b")
OTHER = ServiceKey("public", "DEFAULT_GROUP", "c")


class World:
    """A sidecar of service `b`: what it knows is in `there`, what it was told in `told`."""

    def __init__(self) -> None:
        self.there: dict[str, bool] = {}
        self.asked: list[str] = []
        self.told: list[Application | None] = []
        self.opened: list[str] = []
        self.problem = ""
        self.changed: list[str] = []
        self.store = FacadeStore(
            Behind(
                OWN,
                self.there.get,
                self._learn,
                lambda service: self._open(service),  # noqa: PLW0108 - which one a test says later
                lambda _: self.problem,
                self.told.append,
            )
        )
        self.store.service_changed = lambda key: self.changed.append(key.name)

    async def _learn(self, service: str, timeout: float) -> None:
        self.asked.append(service)

    async def _open(self, service: str) -> tuple[str, int]:
        self.opened.append(service)
        return "127.64.0.1", 20201

    def listed(self, **key: Any) -> list[str]:
        found = ServiceKey(**{"namespace": "public", "group": "DEFAULT_GROUP", "name": "c", **key})
        return [lease.host for lease in self.store.instances(found)]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_service_is_one_address_while_it_has_instances(world: World) -> None:
    world.there["c"] = True
    await world.store.learn(OTHER)
    assert world.listed() == ["127.64.0.1"]
    assert (world.asked, world.opened) == ([], ["c"])
    world.there["c"] = False
    await world.store.changed("c")
    assert world.listed() == []
    world.there["c"] = True
    await world.store.changed("c")
    assert world.listed() == ["127.64.0.1"]
    await world.store.changed("c")
    assert world.changed == ["c", "c"]


async def test_one_of_which_nothing_is_known_is_asked_for_and_listed_all_the_same(world: World) -> None:
    """The registry may be away: what to do then the sidecar knows, and the application does not."""
    await world.store.learn(OTHER)
    assert world.asked == ["c"]
    assert world.listed() == ["127.64.0.1"]


async def test_one_that_goes_while_its_address_is_made_is_not_listed(world: World) -> None:
    world.there["c"] = True

    async def slowly(service: str) -> tuple[str, int]:
        world.there["c"] = False
        return "127.64.0.1", 20201

    world._open = slowly  # type: ignore[method-assign]
    await world.store.learn(OTHER)
    assert world.listed() == []


async def test_another_group_or_namespace_is_refused_and_not_confused(world: World) -> None:
    world.there["c"] = True
    await world.store.learn(OTHER)
    for key in (ServiceKey("dev", "DEFAULT_GROUP", "c"), ServiceKey("public", "G", "c")):
        with pytest.raises(Refused, match=r"registry\.group"):
            await world.store.learn(key)
    assert world.listed(group="G") == world.listed(namespace="dev") == []


def test_the_application_is_passed_on_and_never_listed(world: World) -> None:
    lease = Lease("10.0.0.1", 8080, weight=2.0, metadata={"version": "7"})
    world.store.register(OWN, lease, 0)
    assert world.told == [Application("10.0.0.1", 8080, 2.0, True, {"version": "7"})]
    assert world.store.instances(OWN) == []
    assert world.store.instance(OWN, "10.0.0.1", 8080, "") is lease
    assert world.store.renew(OWN, "10.0.0.1", 8080, "", 1.0) is lease
    assert world.store.renew(OWN, "10.0.0.2", 8080, "", 1.0) is None  # who is not known registers again
    assert not world.store.deregister(OTHER, "10.0.0.1", 8080, "")
    assert world.store.deregister(OWN, "10.0.0.1", 8080, "")
    assert world.told[1:] == [None]


def test_what_is_not_the_sidecars_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="sidecar of service 'b'"):
        world.store.register(OTHER, Lease("10.0.0.1", 8080), 0)
    world.problem = "no"
    with pytest.raises(Refused, match="no"):
        world.store.register(OWN, Lease("10.0.0.1", 8080), 0)
    assert world.told == []
