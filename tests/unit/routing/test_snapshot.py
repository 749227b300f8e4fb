"""Snapshots: the names of services."""

from __future__ import annotations

from gateway.instance import Instance
from gateway.routing.routes import RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.match import CompiledRules


def test_a_service_is_found_by_its_name_but_for_case() -> None:
    some = [Instance("192.0.2.1", 80)]
    lists = {"Order": some, "stock": some, "PAY": some, "pay": some, "empty": [], "EMPTY": some}
    views = {name: ServiceView(name, instances, Turns()) for name, instances in lists.items()}
    snapshot = Snapshot(1, CompiledRules.empty(), RouteTable(()), views)
    found = {name: snapshot.spelled(name) for name in ("order", "stock", "pay", "empty", "none")}
    # Of two that differ by case alone nobody can tell which is meant; one without instances is no rival.
    assert found == {"order": "Order", "stock": "stock", "pay": "", "empty": "EMPTY", "none": ""}
