"""Learning a service that an application calls for the first time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.app.learning import MOST_EMPTY, TIMEOUT, Learner, spellings


class World:
    """Registries with these services; what is watched is known to the plane, as with real ones."""

    def __init__(self, *services: str, knows: bool = True) -> None:
        self.services = services
        self.knows = knows
        self.watched: list[str] = []
        self.waited: list[tuple[str, float]] = []
        self.snapshot = SimpleNamespace(services={})
        self.rules = SimpleNamespace(groups=[SimpleNamespace(services=["Orders-B"])])
        self.settings = SimpleNamespace(services={"ORDERS-b": None})

    def watch(self, service: str) -> None:
        if service not in self.watched:
            self.watched.append(service)
        self.snapshot.services[service] = SimpleNamespace(instances=self._instances(service))

    def _instances(self, service: str) -> tuple[str, ...]:
        return ("an instance",) if service in self.services else ()

    def unwatch(self, service: str) -> None:
        self.watched.remove(service)

    def service_removed(self, service: str) -> None:
        del self.snapshot.services[service]

    def states(self) -> dict[str, list[Any]]:
        return {name: [SimpleNamespace(instances=self._instances(name))] for name in self.watched}

    async def wait_known(self, service: str, timeout: float) -> bool:
        self.waited.append((service, timeout))
        return self.knows

    def learner(self) -> Learner:
        everything = cast("Any", self)
        return Learner(everything, everything, everything)


async def test_a_service_with_this_very_name_is_enough() -> None:
    world = World("orders-b")
    assert await world.learner().learn("orders-b")
    assert world.waited == [("orders-b", TIMEOUT)]


async def test_if_nobody_has_this_name_its_other_spellings_are_tried() -> None:
    world = World()
    assert await world.learner().learn("Orders-b")
    assert world.waited[0] == ("Orders-b", TIMEOUT)
    assert {name for name, _ in world.waited[1:]} == {"orders-b", "ORDERS-B", "Orders-B", "ORDERS-b"}


async def test_of_what_no_registry_has_said_anything_nothing_is_known() -> None:
    world = World(knows=False)
    assert not await world.learner().learn("orders-b")
    assert world.waited == [("orders-b", TIMEOUT)]


async def test_names_that_nobody_has_do_not_pile_up() -> None:
    """An application may call any name. Those that there are stay; the first of the others goes."""
    world = World("there")
    learner = world.learner()
    world.watch("there")
    for number in range(MOST_EMPTY):
        world.watch(f"nobody-{number}")
    await learner.watch("new")
    assert "nobody-0" not in world.watched
    assert world.watched[:2] == ["there", "nobody-1"]
    assert world.watched[-1] == "new"
    assert len(world.watched) == MOST_EMPTY + 1
    assert set(world.snapshot.services) == set(world.watched)


@pytest.mark.parametrize(
    ("service", "named", "found"),
    [
        ("a", [], {"A"}),
        ("A", [], {"a"}),
        ("Ab", ["aB", "ab", "b"], {"ab", "AB", "aB"}),
        ("1", [], set()),
    ],
)
def test_spellings_differ_by_case_alone(service: str, named: list[str], found: set[str]) -> None:
    assert spellings(service, named) == found
