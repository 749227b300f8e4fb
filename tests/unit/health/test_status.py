"""What is found out about instances comes together, for each service by its own settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict

import pytest

from gateway.health.status import Conditions
from gateway.instance import Instance
from gateway.routing.health import SOUND
from gateway.settings import EjectionSettings, ServiceSettings
from gateway.telemetry.counters import Traffic
from gateway.tls.contexts import Spoken

ONE, TWO, GRAY = Instance("192.0.2.1", 80), Instance("192.0.2.2", 80), Instance("192.0.2.3", 80, "gray")


def speaks(instance: Instance, service: str, is_grpc: bool) -> Spoken:
    return Spoken()


class Setup:
    def __init__(self, **terms: object) -> None:
        self.changed: list[str] = []
        self.traffic = Traffic()
        self.conditions = Conditions(EjectionSettings.model_validate(terms), self.traffic, speaks, self.changed.append)


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    setup = Setup(connect_failures=1)
    yield setup
    await setup.conditions.close()


async def test_every_term_of_ejection_is_taken_by_its_name() -> None:
    terms = {"connect_failures": 7, "errors": 9, "time": 11.0, "longest": 13.0, "share": 0.17}
    assert terms.keys() == EjectionSettings.model_fields.keys()
    assert asdict(Setup(**terms).conditions.ejector.terms) == terms


async def test_of_instances_nothing_is_known_of_all_is_well(setup: Setup) -> None:
    assert setup.conditions.of("a", (ONE, TWO)) == SOUND


async def test_an_ejected_instance_is_out_and_counted(setup: Setup) -> None:
    setup.conditions.of("a", (ONE, TWO))
    setup.conditions.ejector.failed("a", ONE, "connect")
    assert setup.changed == ["a"]
    assert setup.conditions.of("a", (ONE, TWO)).ejected == {ONE.address}
    assert setup.conditions.of("b", (ONE, TWO)) == SOUND
    assert setup.traffic.ejections == {("a", "base", "connect"): 1}


async def test_one_that_left_and_came_back_is_not_out(setup: Setup) -> None:
    setup.conditions.of("a", (ONE, TWO))
    setup.conditions.ejector.failed("a", ONE, "connect")
    setup.conditions.of("a", (TWO,))
    assert setup.conditions.of("a", (ONE, TWO)) == SOUND


async def test_a_service_that_is_forgotten_starts_anew(setup: Setup) -> None:
    setup.conditions.of("a", (ONE, TWO))
    setup.conditions.ejector.failed("a", ONE, "connect")
    setup.conditions.forget("a")
    assert setup.conditions.of("a", (ONE, TWO)) == SOUND


async def test_new_instances_warm_up_where_the_service_wants_it(setup: Setup) -> None:
    setup.conditions.configure({"a": ServiceSettings.model_validate({"slow_start": "1h"})})
    for service in ("a", "b"):
        assert setup.conditions.of(service, (ONE,)).warming == {}
    assert setup.conditions.of("a", (ONE, TWO)).warming == {TWO.address: 0.1}
    assert setup.conditions.of("b", (ONE, TWO)).warming == {}
    setup.conditions.forget("a")
    assert setup.conditions.of("a", (ONE, TWO)).warming == {}


async def test_unhealthy_ones_are_used_where_the_service_wants_it(setup: Setup) -> None:
    setup.conditions.configure({"a": ServiceSettings.model_validate({"when_all_unhealthy": "use_all"})})
    assert [setup.conditions.of(service, (ONE,)).uses_unhealthy for service in "ab"] == [True, False]
