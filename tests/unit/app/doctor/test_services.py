"""Checks of what registries say: of services, and of the lanes that need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.app.doctor.finding import FAILED, OK, SKIPPED, WARNING
from gateway.app.doctor.services import check_bypasses, check_lanes, check_services
from gateway.instance import Instance
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Lease, ServiceKey
from tests.support.roles import gateway_settings
from tests.support.rules import rule_set

NOW = 1_800_000_000.0
ROUTES = [{"path": "/A", "service": "a"}]
BASE, GRAY = {"address": "127.0.0.1:1"}, {"address": "127.0.0.1:2", "tag": "gray"}


async def found(groups: list[dict[str, Any]], **settings: Any) -> list[tuple[str, str, str]]:
    """Check, subject and state of each finding."""
    findings = await check_services(gateway_settings(**settings), rule_set(groups), NOW)
    assert all(bool(finding.hint) == (finding.state != OK) for finding in findings)
    return [(finding.check, finding.subject, finding.state) for finding in findings]


def static(*instances: dict[str, str], service: str = "a") -> dict[str, Any]:
    return {"routes": ROUTES, "registry": {"kind": "static", "services": {service: list(instances)}}}


def lane(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "tag": name, "match": [{"param": "group", "equals": name}], **values}


LANES = [lane("gray"), lane("closed", enabled=False), lane("gone", expires="2001-01-01T00:00:00Z")]
GROUP = [{"name": "demo", "services": ["a", "b"], "lanes": LANES}]


async def test_everything_is_there() -> None:
    assert await found(GROUP, **static(BASE, GRAY)) == [
        ("registries", "static", OK),
        ("services", "a", OK),
        ("services", "b", SKIPPED),  # only sidecars need it
        ("lanes", "demo/gray", OK),
        ("lanes", "demo/closed", OK),
        ("lanes", "demo/gone", OK),
    ]


async def test_an_open_lane_without_an_instance_is_warned_of() -> None:
    findings = await found(GROUP, **static(BASE))
    assert ("lanes", "demo/gray", WARNING) in findings


@pytest.mark.parametrize("instances", [[], [GRAY], [{**BASE, "weight": 0}]])
async def test_a_route_needs_a_baseline(instances: list[Any]) -> None:
    assert ("services", "a", FAILED) in await found([], **static(*instances))


async def test_a_registry_that_is_away_is_the_failure_and_not_what_follows_from_it() -> None:
    registry = {"kind": "nacos", "address": "127.0.0.1:9"}
    assert await found(GROUP, routes=ROUTES, registry=registry) == [
        ("registries", "nacos", FAILED),
        ("services", "a", SKIPPED),
        ("services", "b", SKIPPED),
        ("lanes", "demo/gray", SKIPPED),
        ("lanes", "demo/closed", OK),
        ("lanes", "demo/gone", OK),
    ]


async def test_the_embedded_registry_of_a_running_gateway_is_asked_where_it_listens(
    registry: EmbeddedRegistry, tmp_path: Path
) -> None:
    lease = Lease("127.0.0.1", 1, metadata={"preserved.ip.delete.timeout": "100000"})
    registry.store.register(ServiceKey.of("", "", "a"), lease, 1e9)
    embedded = {"kind": "embedded", "listen": registry.address}
    state = tmp_path / "state"
    assert await found([], routes=ROUTES, registry=embedded, state=str(state)) == [
        ("registries", "embedded", OK),
        ("services", "a", OK),
    ]
    assert not state.exists()  # it is the gateway's


async def test_lanes_of_all_services_are_looked_for_in_all() -> None:
    everywhere = [{"name": "demo", "lanes": [lane("gray")]}]
    assert ("lanes", "demo/gray", OK) in await found(everywhere, **static(BASE, GRAY))


def test_an_instance_beside_a_sidecar_may_be_the_application_behind_it() -> None:
    behind = Instance("10.0.0.7", 20101, metadata={"gray-sidecar": "b"})
    beside, elsewhere = Instance("10.0.0.7", 8080), Instance("10.0.0.8", 8080)
    [finding] = check_bypasses({"b": (behind, beside, elsewhere), "c": (beside, elsewhere)})
    assert (finding.check, finding.subject, finding.state) == ("bypass", "b", WARNING)
    assert finding.message == "b is registered at 10.0.0.7:8080 without a sidecar, and at 10.0.0.7:20101 with one"


def test_of_a_lane_whose_services_are_not_all_known_nothing_is_claimed() -> None:
    """A gateway watches those that its routes lead to: another one may have the instance."""
    rules = rule_set(
        [{"name": "g", "services": ["a", "b"], "lanes": [{"name": "l", "tag": "gray", "match": LANES[0]["match"]}]}]
    )
    bare, gray = Instance("h", 1), Instance("h", 2, metadata={"gray.tag": "gray"}, tag="gray")
    states = [
        next(check_lanes(rules, known, set(), 0.0)).state
        for known in ({"a": (bare,)}, {"a": (bare, gray)}, {"a": (bare,), "b": (bare,)}, {"a": (bare,), "b": (gray,)})
    ]
    assert states == [SKIPPED, OK, WARNING, OK]
