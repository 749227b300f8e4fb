"""What is published when configurations and registries change, and what is tidied beside the snapshot."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.control.publish import Publisher
from gateway.instance import Instance
from gateway.routing.routes import RouteTable
from gateway.routing.snapshot import Snapshot
from gateway.settings import EjectionSettings
from gateway.telemetry.counters import Traffic
from gateway.tls.mesh import Secured
from tests.support.rules import compiled

ONE, TWO = Instance("192.0.2.1", 80), Instance("192.0.2.2", 80)
GRAY = Instance("192.0.2.3", 80, "gray")


class Origins:
    """Notes which addresses are retired."""

    def __init__(self) -> None:
        self.retired: list[str] = []

    def retire(self, address: str) -> None:
        self.retired.append(address)


class Setup:
    def __init__(self) -> None:
        self.published: list[Snapshot] = []
        self.origins = Origins()
        self.traffic = Traffic()
        origins: Any = self.origins
        self.publisher = Publisher(self.published.append, origins, self.traffic, EjectionSettings())


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    setup = Setup()
    yield setup
    await setup.publisher.close()


def lanes(*tags: str) -> Any:
    lanes = [{"name": tag, "tag": tag, "match": [{"param": "group", "equals": tag}]} for tag in tags]
    return compiled([{"name": "demo", "lanes": lanes}])


async def test_an_address_that_another_service_uses_is_not_retired(setup: Setup) -> None:
    setup.publisher.service_changed("a", (ONE, TWO))
    setup.publisher.service_changed("b", (ONE,))
    setup.publisher.service_changed("a", (TWO,))
    assert setup.origins.retired == []
    setup.publisher.service_changed("b", ())
    assert setup.origins.retired == [ONE.address]


async def test_of_a_removed_service_only_what_nobody_else_uses_is_retired(setup: Setup) -> None:
    setup.publisher.service_changed("a", (ONE, TWO))
    setup.publisher.service_changed("b", (ONE,))
    setup.publisher.service_removed("a")
    assert setup.origins.retired == [TWO.address]
    setup.publisher.service_removed("b")
    assert setup.origins.retired == [TWO.address, ONE.address]


async def test_an_address_that_comes_back_is_retired_again_when_it_goes(setup: Setup) -> None:
    for _ in range(2):
        setup.publisher.service_changed("a", (ONE,))
        setup.publisher.service_changed("a", ())
    assert setup.origins.retired == [ONE.address] * 2


async def test_the_same_list_again_retires_nobody(setup: Setup) -> None:
    instances = (ONE, TWO)
    for _ in range(3):
        setup.publisher.service_changed("a", instances)
    setup.publisher.service_changed("a", (TWO,))
    assert setup.origins.retired == [ONE.address]


async def test_a_change_of_one_service_shares_the_views_of_the_others(setup: Setup) -> None:
    setup.publisher.service_changed("a", (ONE,))
    setup.publisher.service_changed("b", (TWO,))
    before = setup.published[-1]
    setup.publisher.service_changed("b", (GRAY,))
    after = setup.published[-1]
    assert after is setup.publisher.snapshot
    assert after.services["a"] is before.services["a"]
    assert after.services["b"].instances == (GRAY,)
    assert before.services["b"].instances == (TWO,)


async def test_a_removed_service_is_not_published_any_more(setup: Setup) -> None:
    setup.publisher.service_changed("a", (ONE,))
    setup.publisher.service_removed("a")
    assert setup.published[-1].services == {}
    setup.publisher.service_removed("nobody")
    assert setup.published[-1].services == {}


async def test_a_configuration_keeps_the_services_there_are(setup: Setup) -> None:
    setup.publisher.service_changed("a", (ONE, GRAY))
    routes = RouteTable(())
    rules = lanes("gray")
    setup.publisher.configure(7, rules, routes, {}, Secured())
    published = setup.published[-1]
    assert (published.revision, published.rules, published.routes) == (7, rules, routes)
    assert published.services["a"].instances == (ONE, GRAY)


async def test_the_terms_that_were_in_force_are_kept(setup: Setup) -> None:
    """Those of real configurations: what there was before the first one is nobody's."""
    first, second = lanes("gray"), lanes("blue")
    for revision, rules in enumerate((first, first, second), 1):
        setup.publisher.configure(revision, rules, RouteTable(()), {}, Secured())
    setup.publisher.service_changed("a", (ONE,))
    setup.publisher.route_by(RouteTable(()))
    setup.publisher.service_removed("a")
    snapshot = setup.published[-1]
    assert len(snapshot.past) == 1
    assert snapshot.past.find(first.terms.digest, time.monotonic()) is first.terms
    assert {len(old.past) for old in setup.published} == {1}, "it is the same for all of them"


async def test_what_is_known_by_name(setup: Setup) -> None:
    """Names that nobody knows get no series of their own in the metrics."""
    setup.publisher.service_changed("a", (ONE, GRAY))
    setup.publisher.configure(1, lanes("blue"), RouteTable(()), {}, Secured())
    knows = setup.publisher.knows
    assert [knows("a", tag) for tag in ("", "base", "gray", "blue", "red")] == [True, True, True, True, False]
    assert not knows("b", "")
    assert [setup.publisher.knows_tag(tag) for tag in ("gray", "blue", "red")] == [True, True, False]
    assert setup.traffic.names.knows == knows


async def test_who_is_ejected_gets_no_traffic_until_the_service_is_removed(setup: Setup) -> None:
    setup.publisher.service_changed("a", (ONE, TWO))

    def usable() -> tuple[Instance, ...]:
        return setup.published[-1].services["a"].base.usable

    for _ in range(3):
        setup.publisher.ejector.failed("a", ONE, "connect")
    assert usable() == (TWO,)
    setup.publisher.service_removed("a")
    setup.publisher.service_changed("a", (ONE, TWO))
    assert usable() == (ONE, TWO)


async def test_lanes_that_are_gone_leave_no_turns(setup: Setup) -> None:
    for number in range(5):
        setup.publisher.service_changed("a", (ONE, Instance("192.0.2.9", 80, f"pr-{number}")))
    assert set(setup.publisher._turns._turns["a"]) == {"base", "pr-4"}
