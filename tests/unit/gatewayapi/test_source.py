"""Objects are followed, and what is made of them is put in force."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.gatewayapi.source import GatewayApiSource
from gateway.gatewayapi.world import Here
from gateway.kubernetes.client import ApiClient
from gateway.routing.plans import NO_ROUTES, RouteSet
from tests.support.apiserver import ApiServer, status
from tests.support.gatewayapi import a_class, a_gateway, a_grant, a_route, a_service, backend, placed, to
from tests.support.wait import until

API = "/apis/gateway.networking.k8s.io/v1"
CLASSES, GATEWAYS, ROUTES = (
    f"{API}/gatewayclasses",
    f"{API}/namespaces/shop/gateways",
    f"{API}/namespaces/shop/httproutes",
)
SERVICES = "/api/v1/namespaces/shop/services"


class Setup:
    def __init__(self) -> None:
        self.server = ApiServer()
        self.applied: list[RouteSet] = []
        self.source: GatewayApiSource | None = None

    def start(self, copy: Path | None = None, **options: Any) -> GatewayApiSource:
        client = ApiClient(self.server.access())
        self.source = GatewayApiSource(client, Here("shop", "shop", "shop", **options), self.applied.append, copy)
        self.source.start()
        return self.source

    def sources(self) -> list[str]:
        return [plan.source for plan in self.applied[-1].plans] if self.applied else []


@pytest.fixture
async def setup() -> AsyncIterator[Setup]:
    setup = Setup()
    setup.server.items |= {
        CLASSES: [placed(a_class())],
        GATEWAYS: [placed(a_gateway())],
        ROUTES: [placed(a_route("a", to(backend("a"))))],
        SERVICES: [a_service("a")],
    }
    await setup.server.start()
    yield setup
    if setup.source is not None:
        await setup.source.close()
    await setup.server.stop()


async def test_routes_are_in_force_as_soon_as_all_is_known_and_follow_every_change(setup: Setup) -> None:
    source = setup.start()
    assert source.missing() == ["the Gateway API has not been read yet"]
    await until(lambda: setup.sources() == ["shop/a[0]"], "the route")
    assert source.missing() == []
    await until(lambda: setup.server.is_watched(ROUTES), "the watch")
    setup.server.send(ROUTES, "ADDED", placed(a_route("b", to(backend("a")), hostnames=["b.example"])))
    await until(lambda: setup.sources() == ["shop/a[0]", "shop/b[0]"], "the second route")
    setup.server.send(ROUTES, "DELETED", placed(a_route("a")))
    await until(lambda: setup.sources() == ["shop/b[0]"], "the end of the first route")
    assert source.describe() == {"gateway": "shop/shop", "found": True, "routes": 1, "matches": 1, "problem": None}


async def test_what_makes_no_difference_is_not_put_in_force_again(setup: Setup) -> None:
    source = setup.start()
    await until(lambda: setup.sources() == ["shop/a[0]"], "the route")
    await until(lambda: setup.server.is_watched(ROUTES), "the watch")
    setup.server.send(ROUTES, "ADDED", placed(a_route("c", to(backend("a")), gateway="other")))
    await until(lambda: source._translation is not None and len(source._translation.reports) == 2, "the foreign route")
    setup.server.send(ROUTES, "ADDED", placed(a_route("d", to(backend("a")))))
    await until(lambda: len(setup.sources()) == 2, "another route")
    assert len(setup.applied) == 2


async def test_all_namespaces_if_that_is_wanted(setup: Setup) -> None:
    theirs = placed(a_service("theirs"), "bank")
    setup.server.items |= {
        f"{API}/httproutes": [placed(a_route("a", to(backend("theirs", namespace="bank"))))],
        "/api/v1/services": [theirs],
        "/apis/gateway.networking.k8s.io/v1beta1/referencegrants": [a_grant("bank", "shop")],
        "/api/v1/namespaces": [],
    }
    setup.start(sees_all=True)
    await until(lambda: bool(setup.sources()), "the route")
    assert [item.service for item in setup.applied[0].plans[0].backends] == ["theirs.bank"]


async def test_a_cluster_without_the_definitions_is_said_and_nothing_is_ready(setup: Setup) -> None:
    refusal = (404, status(404, "NotFound", "the server could not find the requested resource"))
    setup.server.refusals[ROUTES] = [refusal] * 50
    source = setup.start()
    await until(lambda: "could not find" in source.missing()[0], "the problem")
    assert source.describe()["problem"] is not None
    assert setup.applied == []


async def test_without_its_gateway_there_are_no_routes_and_the_program_is_ready(setup: Setup) -> None:
    setup.server.items[GATEWAYS] = []
    source = setup.start()
    await until(lambda: source.missing() == [], "readiness")
    assert setup.applied == [NO_ROUTES]
    assert source.describe()["found"] is False


async def test_statuses_are_written_after_routes_are_in_force(setup: Setup) -> None:
    written = [f"{GATEWAYS}/shop/status", f"{ROUTES}/a/status", f"{CLASSES}/gray/status"]
    setup.server.refusals |= {path: [(200, {})] for path in written}
    source = setup.start()

    def patched() -> set[str]:
        return {path for method, path, _ in setup.server.requests if method == "PATCH"}

    await until(lambda: patched() == set(written), "the statuses")
    assert setup.sources() == ["shop/a[0]"]
    assert source.describe()["problem"] is None


async def test_what_the_account_may_not_write_is_seen_and_routes_work(setup: Setup) -> None:
    setup.server.refusals[f"{ROUTES}/a/status"] = [(403, status(403, "Forbidden", "no status for you"))] * 9
    source = setup.start()
    await until(lambda: "no status" in str(source.describe()["problem"]), "the problem")
    assert setup.sources() == ["shop/a[0]"]
    assert source.missing() == []


async def test_a_gateway_that_starts_while_the_server_is_away_routes_by_what_it_last_knew(
    setup: Setup, tmp_path: Path
) -> None:
    copy = tmp_path / "routes" / "shop.json"
    await setup.server.stop()
    source = setup.start(copy=copy)
    await until(lambda: "cannot reach" in source.missing()[0], "the problem")
    await source.close()
    await setup.server.start()
    source = setup.start(copy=copy)
    await until(copy.exists, "the copy")
    await source.close()
    await setup.server.stop()
    known = setup.applied[-1]
    setup.applied.clear()
    source = setup.start(copy=copy)
    assert (setup.applied, source.missing()) == ([known], [])
    await until(lambda: source.describe()["problem"] is not None, "the problem")
    assert source.describe()["matches"] == 1
    setup.server.items[ROUTES] = []
    await setup.server.start()
    await until(lambda: setup.applied == [known, NO_ROUTES], "what is there now")
