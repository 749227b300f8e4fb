"""How the instances of each service are chosen, as the settings have it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.app.balancing import make_choosers
from gateway.app.build import Build
from gateway.app.sidecar_plane import SidecarPlane
from gateway.http.head_reader import build_request
from gateway.instance import Instance
from gateway.routing.peer import Peer
from gateway.routing.sidecar import OutboundRouter
from gateway.rules.ruleset import RuleSet
from tests.support.roles import gateway_settings, sidecar_settings

HASH: dict[str, Any] = {"policy": "consistent_hash", "by": {"header": "x-user"}}
LEAST: dict[str, Any] = {"policy": "least_request"}
STICKY = {"sticky_instance": {"cookie": "at"}}


def kinds(**settings: Any) -> list[str | None]:
    """What decides for the services a and b, of a request with the key of the hash and the cookie."""
    choosers = make_choosers(gateway_settings(sticky={"secret": "sixteen-letters-"}, **settings), lambda _: 0)
    found: list[str | None] = []
    for service in ("a", "b"):
        choosing = choosers.of(service)
        if choosing is None:
            found.append(None)
            continue
        balancer = choosing._balancer
        names = [type(part).__name__ for part in (balancer, choosing._sticky) if part is not None]
        found.append(" ".join(names))
    return found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [None, None]),
        ({"balancing": {"policy": "round_robin"}}, [None, None]),
        ({"balancing": LEAST}, ["LeastRequest", "LeastRequest"]),
        ({"services": {"a": {"balancing": HASH}}}, ["ConsistentHash", None]),
        ({"balancing": LEAST, "services": {"a": {"balancing": HASH}}}, ["ConsistentHash", "LeastRequest"]),
        ({"balancing": LEAST, "services": {"a": {"balancing": {}}}}, [None, "LeastRequest"]),
        ({"balancing": LEAST, "services": {"a": {"slow_start": "3s"}}}, ["LeastRequest", "LeastRequest"]),
        ({"services": {"a": STICKY}}, ["StickyCookie", None]),
        ({"balancing": LEAST, "services": {"a": STICKY}}, ["LeastRequest StickyCookie", "LeastRequest"]),
    ],
)
def test_a_service_has_its_own_way_or_the_common_one(settings: dict[str, Any], expected: list[str | None]) -> None:
    assert kinds(**settings) == expected


async def test_a_sidecar_balances_the_calls_of_its_application_and_a_reload_changes_how() -> None:
    instances = tuple(Instance(f"192.0.2.{number}", 80) for number in range(1, 6))
    request = build_request("GET", "http://a/x", [("X-User", "alice")])
    plane = SidecarPlane(sidecar_settings())
    try:
        plane.service_changed("a", instances)
        router: OutboundRouter = plane._outbound_router

        def chosen() -> set[tuple[str, str]]:
            decisions = [router.route(request, Peer("127.0.0.1"), 0.0).decision for _ in range(10)]
            return {(item.chosen_by, "" if item.instance is None else item.instance.address) for item in decisions}

        for revision, balancing in enumerate((HASH, {"policy": "round_robin"}, LEAST), 1):
            plane.configure(revision, Build.of(sidecar_settings(balancing=balancing), RuleSet()))
            found = chosen()
            assert {name for name, _ in found} == {"" if balancing["policy"] == "round_robin" else balancing["policy"]}
            assert len(found) == (1 if balancing is HASH else 5)
    finally:
        await plane.close()
