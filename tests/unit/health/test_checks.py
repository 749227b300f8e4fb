"""Active checks: who is asked, what is asked, and how many responses in a row it takes to believe them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.health import checks
from gateway.health.checks import Checks
from gateway.instance import Instance
from gateway.settings import CheckSettings
from gateway.tls.contexts import Spoken
from tests.support.wait import until

SPOKEN = Spoken()
ONE, TWO = Instance("192.0.2.1", 80), Instance("192.0.2.2", 80, "gray")


class Asked:
    """Stands in for the network: notes who is asked, and responds as `responses` says; for ever with the last one."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, float]] = []
        self.responses: dict[str, list[bool]] = {}

    async def __call__(
        self, service: str, instance: Instance, path: str, timeout: float, spoken: Spoken, fields: Any
    ) -> bool:
        assert spoken is SPOKEN
        assert fields == {"X-Gray-Hop": instance.tag}
        self.asked.append((service, instance.address, path, timeout))
        responses = self.responses.get(instance.address, [True])
        return responses.pop(0) if len(responses) > 1 else responses[0]

    def count(self, instance: Instance) -> int:
        return sum(address == instance.address for _, address, _, _ in self.asked)


class Setup:
    """Checks, whom they ask, and what they tell."""

    def __init__(self, network: Asked) -> None:
        self.network = network
        self.told: list[tuple[str, str, bool]] = []
        self.asked: list[int] = []
        """How often an instance had been asked each time."""
        self.checks = Checks(self, lambda *_: SPOKEN)  # type: ignore[arg-type]

    def checked(self, service: str, instance: Instance, passes: bool) -> None:
        self.told.append((service, instance.address, passes))
        self.asked.append(self.network.count(instance))

    def want(self, **check: Any) -> None:
        settings = CheckSettings.model_validate({"path": "/health", "interval": "1ms", "timeout": "7s", **check})
        self.checks.configure({"a": settings})

    async def asks(self, *instances: Instance, more: int = 3) -> None:
        """Waits until each was asked a few times more."""
        goals = {instance: self.network.count(instance) + more for instance in instances}
        await until(lambda: all(self.network.count(instance) >= goal for instance, goal in goals.items()))


@pytest.fixture
async def setup(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Setup]:
    network = Asked()
    monkeypatch.setattr(checks, "responds_well", network)
    setup = Setup(network)
    yield setup
    await setup.checks.close()


async def test_only_services_that_want_it_are_asked(setup: Setup) -> None:
    setup.want()
    setup.checks.look_at("a", (ONE,))
    setup.checks.look_at("b", (TWO,))
    await setup.asks(ONE)
    assert set(setup.network.asked) == {("a", ONE.address, "/health", 7.0)}


async def test_a_service_that_was_there_before_is_asked_once_that_is_wanted(setup: Setup) -> None:
    setup.checks.look_at("a", (ONE, TWO))
    setup.want()
    await setup.asks(ONE, TWO)


async def test_who_takes_no_traffic_anyway_is_not_asked(setup: Setup) -> None:
    setup.want()
    off, idle = Instance("192.0.2.3", 80, enabled=False), Instance("192.0.2.4", 80, weight=0.0)
    down = Instance("192.0.2.5", 80, healthy=False)
    setup.checks.look_at("a", (off, idle, down))
    await setup.asks(down)
    assert setup.network.count(off) == setup.network.count(idle) == 0


async def test_it_takes_so_many_failures_in_a_row_to_go_out_and_so_many_passes_to_come_back(setup: Setup) -> None:
    setup.network.responses[ONE.address] = [False, False, True, False, False, False, True, False, True, True, False]
    setup.want(failures=3, passes=2)
    setup.checks.look_at("a", (ONE,))
    await until(lambda: len(setup.told) >= 2)
    assert setup.told[:2] == [("a", ONE.address, False), ("a", ONE.address, True)]
    assert setup.asked[:2] == [6, 10]


async def test_who_has_left_is_not_asked_any_more(setup: Setup) -> None:
    setup.want()
    setup.checks.look_at("a", (ONE, TWO))
    await setup.asks(ONE, TWO)
    setup.checks.look_at("a", (TWO,))
    count = setup.network.count(ONE)
    await setup.asks(TWO)
    assert setup.network.count(ONE) == count
    setup.checks.look_at("a", ())
    assert setup.checks._tasks == {}


async def test_the_same_list_again_begins_nothing_anew(setup: Setup) -> None:
    """An instance is asked by one task, however often its service changes."""
    setup.network.responses[ONE.address] = [False] * 4 + [True]
    setup.want(failures=4, interval="2ms")
    for _ in range(10):
        setup.checks.look_at("a", (ONE,))
        await asyncio.sleep(0)
    await until(lambda: ("a", ONE.address, False) in setup.told)
    assert len(setup.checks._tasks) == 1


async def test_somebody_else_at_an_address_is_asked_for_as_who_it_is(setup: Setup) -> None:
    setup.want()
    setup.checks.look_at("a", (ONE,))
    await setup.asks(ONE)
    other = Instance(ONE.host, ONE.port, "gray")
    setup.checks.look_at("a", (other,))
    await setup.asks(other)  # asked with its own line, or the stand-in fails
    assert len(setup.checks._tasks) == 1


async def test_other_terms_begin_anew_and_everybody_is_fine_until_they_find_otherwise(setup: Setup) -> None:
    setup.network.responses[ONE.address] = [False]
    setup.want(failures=1)
    setup.checks.look_at("a", (ONE,))
    await until(lambda: setup.told)
    setup.told.clear()
    setup.want(failures=1, path="/other")
    assert setup.told == [("a", ONE.address, True)]
    await until(lambda: ("a", ONE.address, "/other", 7.0) in setup.network.asked)


async def test_the_same_terms_change_nothing(setup: Setup) -> None:
    setup.want()
    setup.checks.look_at("a", (ONE,))
    await setup.asks(ONE)
    tasks = dict(setup.checks._tasks)
    setup.want()
    assert setup.checks._tasks == tasks


async def test_who_is_not_checked_any_more_is_fine(setup: Setup) -> None:
    setup.network.responses[ONE.address] = [False]
    setup.want(failures=1)
    setup.checks.look_at("a", (ONE,))
    await until(lambda: setup.told)
    setup.told.clear()
    setup.checks.configure({})
    assert setup.told == [("a", ONE.address, True)]
    assert setup.checks._tasks == {}
