"""What is written into statuses: only what differs, nothing of others, and not over what somebody has written since."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.gatewayapi.objects import Meta, read_class, read_gateway, read_route, read_service
from gateway.gatewayapi.status import StatusWriter, Write, writes
from gateway.gatewayapi.translate import translate
from gateway.gatewayapi.world import CONTROLLER, Here, World
from gateway.kubernetes.client import ApiClient
from tests.support.apiserver import ApiServer, status
from tests.support.gatewayapi import a_class, a_gateway, a_route, a_service, backend, placed, to

HERE = Here("shop", "shop", "shop", (("IPAddress", "192.0.2.1"),))
NOW, LATER = "2026-11-29T10:00:00Z", "2026-11-29T11:00:00Z"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/a"


def found(wanted: dict[str, Any], now: str = NOW, **statuses: Any) -> dict[str, Write]:
    """What is to be written, by path. `statuses` are those that there are, by kind."""
    service = read_service(a_service("a"))

    def with_status(item: dict[str, Any], kind: str) -> dict[str, Any]:
        return {**placed(item, generation=3), "status": statuses.get(kind, {})}

    world = World(
        [read_class(with_status(a_class(), "class"))],
        read_gateway(with_status(a_gateway(), "gateway")),
        [read_route(with_status(wanted, "route"))],
        [],
        {("shop", "a"): service},
    )
    return {
        item.path.removeprefix("/apis/gateway.networking.k8s.io/v1"): item
        for item in writes(translate(world, HERE), HERE, now)
    }


GOOD = a_route("a", to(backend("a")))


def condition(kind: str, reason: str, holds: bool = True, since: str = NOW, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": "True" if holds else "False",
        "reason": reason,
        "message": message,
        "observedGeneration": 3,
        "lastTransitionTime": since,
    }


def test_all_statuses_of_a_gateway_and_its_routes() -> None:
    written = found(GOOD)
    assert list(written) == ["/gatewayclasses/gray", "/namespaces/shop/gateways/shop", "/namespaces/shop/httproutes/a"]
    assert written["/gatewayclasses/gray"].status["conditions"] == [condition("Accepted", "Accepted")]
    assert written["/namespaces/shop/gateways/shop"].status == {
        "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}],
        "conditions": [condition("Accepted", "Accepted"), condition("Programmed", "Programmed")],
        "listeners": [
            {
                "name": "http",
                "supportedKinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
                "attachedRoutes": 1,
                "conditions": [
                    condition("Accepted", "Accepted"),
                    condition("Programmed", "Programmed"),
                    condition("ResolvedRefs", "ResolvedRefs"),
                    condition("Conflicted", "NoConflicts", holds=False),
                ],
            }
        ],
    }
    assert written["/namespaces/shop/httproutes/a"].status == {
        "parents": [
            {
                "parentRef": {"name": "shop"},
                "controllerName": CONTROLLER,
                "conditions": [condition("Accepted", "Accepted"), condition("ResolvedRefs", "ResolvedRefs")],
            }
        ]
    }


def test_what_is_there_already_is_not_written_again() -> None:
    first = found(GOOD)
    statuses = {
        "class": first["/gatewayclasses/gray"].status,
        "gateway": first["/namespaces/shop/gateways/shop"].status,
        "route": first["/namespaces/shop/httproutes/a"].status,
    }
    assert found(GOOD, LATER, **statuses) == {}


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    before = {
        "conditions": [
            condition("Accepted", "Pending", since="2026-11-01T00:00:00Z"),
            condition("Programmed", "Pending", holds=False, since="2026-11-01T00:00:00Z"),
            {"type": "example.com/Checked", "status": "True"},
        ]
    }
    assert found(GOOD, gateway=before)["/namespaces/shop/gateways/shop"].status["conditions"] == [
        condition("Accepted", "Accepted", since="2026-11-01T00:00:00Z"),
        condition("Programmed", "Programmed"),
        {"type": "example.com/Checked", "status": "True"},
    ]


def entry(name: str, controller: str = CONTROLLER, **ref: Any) -> dict[str, Any]:
    return {
        "parentRef": {"name": name, **ref},
        "controllerName": controller,
        "conditions": [condition("Accepted", "X")],
    }


def test_entries_of_others_stay_as_they_are_and_ours_of_references_that_are_gone_go() -> None:
    theirs = [
        entry("shop", "example.com/other"),
        entry("other"),  # another process of ours
        entry("shop", namespace="bank"),
        entry("shop", kind="Service"),
    ]
    gone = entry("shop", sectionName="gone")
    ours = {
        **entry("shop"),
        "conditions": [condition("Accepted", "X", since="2026-11-01T00:00:00Z"), condition("Old", "X")],
    }
    before = {"parents": [gone, theirs[0], ours, *theirs[1:]]}
    assert found(GOOD, route=before)["/namespaces/shop/httproutes/a"].status["parents"] == [
        *theirs,
        {
            "parentRef": {"name": "shop"},
            "controllerName": CONTROLLER,
            "conditions": [
                condition("Accepted", "Accepted", since="2026-11-01T00:00:00Z"),
                condition("ResolvedRefs", "ResolvedRefs"),
            ],
        },
    ]


def test_a_route_that_is_none_of_our_business_gets_no_status() -> None:
    other = a_route("a", to(backend("a")), gateway="other")
    assert "/namespaces/shop/httproutes/a" not in found(other)
    assert "/namespaces/shop/httproutes/a" not in found(other, route={"parents": [entry("other")]})
    assert found(other, route={"parents": [entry("shop")]})["/namespaces/shop/httproutes/a"].status == {"parents": []}


# --- writing


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    yield server
    await server.stop()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def write(content: str = "x") -> Write:
    return Write(ROUTES, Meta("shop", "a", "uid", 1, "", "7"), {"parents": [content]})


async def test_a_status_is_written_over_the_version_that_was_read_alone(server: ApiServer) -> None:
    client = ApiClient(server.access())
    server.refusals[f"{ROUTES}/status"] = [(409, status(409, "Conflict")), (404, status(404, "NotFound"))]
    writer = StatusWriter(client, Clock())
    await writer.write([write()])
    await writer.write([write("y")])
    assert writer.problem is None  # the collection tells of the change
    assert server.bodies[0] == {"metadata": {"resourceVersion": "7"}, "status": {"parents": ["x"]}}
    assert [method for method, *_ in server.requests] == ["PATCH", "PATCH"]
    await client.close()


async def test_a_status_that_is_refused_is_a_problem_to_be_seen(server: ApiServer) -> None:
    client = ApiClient(server.access())
    server.refusals[f"{ROUTES}/status"] = [(403, status(403, "Forbidden", "not you"))]
    writer = StatusWriter(client, Clock())
    assert await writer.write([write()]) == 1.0
    assert "not you" in str(writer.problem)
    await client.close()


async def test_a_status_that_somebody_keeps_changing_is_written_more_and_more_rarely(server: ApiServer) -> None:
    client, clock = ApiClient(server.access()), Clock()
    server.refusals[f"{ROUTES}/status"] = [(200, {})] * 20
    writer = StatusWriter(client, clock)
    times = []
    for _ in range(8):
        count = len(server.requests)
        pause = await writer.write([write()])
        assert pause is not None
        times.append(pause)
        assert len(server.requests) == count + 1
        assert await writer.write([write()]) == pause  # seen again before that: not now
        assert len(server.requests) == count + 1
        clock.now += pause
    assert times == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert await writer.write([write("new")]) == 1.0  # what is new is written at once
    assert await writer.write([]) is None
    await client.close()
