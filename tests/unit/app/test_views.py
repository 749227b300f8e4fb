"""What is seen of the two roles: whether they are ready, what they are, what the metrics are made of."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from gateway.app.configuration import Configuration
from gateway.app.entry_plane import EntryPlane
from gateway.app.entry_view import EntryView
from gateway.app.explainer import EntryExplainer
from gateway.app.fleet import Fleet, Totals
from gateway.app.guarding import Guarding
from gateway.app.life import Life
from gateway.app.registrations import Registrations
from gateway.app.registries import make_registries
from gateway.app.rulebook import RuleBook
from gateway.app.sidecar_plane import SidecarPlane
from gateway.app.sidecar_view import SidecarView
from gateway.control.drains import Drains
from gateway.control.guard.webhook import Webhook
from gateway.health.application import ApplicationWatch
from gateway.http.head_reader import build_request
from gateway.live.records import Records
from gateway.live.spans import Spans
from gateway.live.trends import Trends
from gateway.registry.base import Registration
from gateway.routing.plans import BackendPlan, RoutePlan, RouteSet
from gateway.settings.gateway import GatewaySettings
from gateway.settings.sidecar import SidecarSettings
from gateway.telemetry.counters import Traffic
from gateway.telemetry.request_record import Reporter
from gateway.yaml.writing import write_yaml
from tests.support.roles import SIDECAR, lanes, put_gateway
from tests.support.wait import until


def _only(items: Any) -> dict[str, Any]:
    [item] = items
    return dict(item)


class ManyProcesses(Fleet):
    """Says that there are workers, the second of which does not serve."""

    def not_serving(self) -> list[int]:
        return [1]

    def workers(self) -> list[dict[str, object]]:
        return [{"worker": 0}, {"worker": 1}]

    def totals(self) -> Totals:
        return Totals(Traffic(), {"x": (1, 2, 3, 4)}, {"x": 9}, {"a": {"127.0.0.1:1"}}, {"w": 5}, {"main": 6}, 7, 8)


class Entry:
    async def open(self, folder: Path, fleet: type[Fleet] = Fleet, **values: Any) -> None:
        self.parts = AsyncExitStack()
        path = put_gateway(folder, lanes("gray", expires="2100-01-01T00:00:00Z"), **values)
        self.life = Life()
        self.configuration = Configuration(
            GatewaySettings, path, (), lambda build, revision: self.fleet.configure(revision, build)
        )
        await self.configuration.open(self.parts)
        settings = self.configuration.settings
        self.fleet = fleet(EntryPlane(settings))
        self.parts.push_async_callback(self.fleet.close)
        self.drains = Drains(self.fleet.service_changed)
        self.registries = make_registries(settings, self.drains.service_changed)
        self.drains.open(self.registries, None)
        self.parts.push_async_callback(self.registries.close)
        self.parts.push_async_callback(self.configuration.close)
        self.configuration.begin()
        self.registries.watch("a")
        records = Records(settings.records, Reporter("gateway"))
        spans = Spans(False, Reporter("gateway"))
        book = RuleBook(self.configuration, self.fleet.plane, records.own)
        self.guarding = Guarding(self.fleet, book.editor, Webhook(lambda: None))
        self.view = EntryView(
            self.life,
            self.configuration,
            self.registries,
            records,
            spans,
            drains=self.drains,
            fleet=self.fleet,
            guarding=self.guarding,
            trends=Trends(),
        )


@pytest.fixture
async def entry() -> AsyncIterator[Entry]:
    entry = Entry()
    yield entry
    await entry.parts.aclose()


async def test_an_entry_gateway_is_ready_when_it_serves_and_knows_what_it_needs(tmp_path: Path, entry: Entry) -> None:
    await entry.open(tmp_path)
    assert entry.view.not_ready() == ["starting"]
    entry.life.begin()
    await until(lambda: entry.view.waiting() == [])
    assert entry.view.not_ready() == []
    entry.life.leave()
    assert entry.view.not_ready() == ["draining"]


async def test_routes_that_are_attached_later_do_not_take_a_gateway_out_of_traffic(
    tmp_path: Path, entry: Entry
) -> None:
    await entry.open(tmp_path, registry={"kind": "nacos", "address": "127.0.0.1:9"}, routes=[])
    entry.registries.unwatch("a")
    entry.fleet.attach(RouteSet((RoutePlan(source="shop/b[0]", backends=(BackendPlan("b"),)),)))
    entry.registries.watch("b")
    entry.life.begin()
    assert len(entry.view.not_ready()) == 1
    await until(lambda: entry.view.not_ready() == [], "the registry's failure")
    entry.fleet.attach(RouteSet((RoutePlan(source="shop/c[0]", backends=(BackendPlan("c"),)),)))
    entry.registries.unwatch("b")
    entry.registries.watch("c")
    assert entry.view.not_ready() == []


async def test_each_worker_must_serve(tmp_path: Path, entry: Entry) -> None:
    await entry.open(tmp_path, ManyProcesses)
    entry.life.begin()
    await until(lambda: entry.view.waiting() == [])
    assert entry.view.not_ready() == ["worker 1 is not serving"]


@pytest.mark.parametrize("without", [True, False])
async def test_a_registry_that_has_said_nothing_is_waited_for_unless_that_is_said(
    tmp_path: Path, entry: Entry, without: bool
) -> None:
    nacos = {"kind": "nacos", "address": "127.0.0.1:9"}
    await entry.open(tmp_path, registry=nacos, ready_without_registry=without)
    entry.life.begin()
    [reason] = entry.view.not_ready() or [""]
    assert reason.startswith("" if without else "service a: the registry has not responded yet (")
    assert bool(reason) is not without


async def test_the_status_of_an_entry_gateway(tmp_path: Path, entry: Entry) -> None:
    await entry.open(tmp_path, ManyProcesses)
    status = entry.view.status()
    assert status.pop("loaded_at") == entry.configuration.state.loaded_at
    registry = _only(status.pop("registries"))
    assert registry["name"] == "static"
    assert status == {
        "role": "entry",
        "drained": [],
        "version": __version__,
        "started_at": entry.life.started_at,
        "revision": 1,
        "last_reload_error": None,
        "reloads": {"success": 1, "failure": 0},
        "runs_old_rules": False,
        "workers": [{"worker": 0}, {"worker": 1}],
        "rules": [],
        "draining": False,
        "gateway_api": None,
        "signatures": [],
    }


async def test_lanes_and_services_of_an_entry_gateway(tmp_path: Path, entry: Entry) -> None:
    await entry.open(tmp_path, ManyProcesses)
    await until(lambda: entry.view.services() and entry.view.services()[0]["pools"])
    [service] = entry.view.services()
    assert (service["service"], service["state"]) == ("a", "fresh")
    pool = _only(service["pools"])
    assert [instance["ejected"] for instance in pool["instances"]] == [True]  # in some worker
    [lane] = entry.view.lanes()
    assert (lane["group"], lane["lane"], lane["tag"], lane["enabled"]) == ("demo", "gray", "gray", True)
    assert lane["expires"] == "2100-01-01T00:00:00+00:00"


async def test_what_the_metrics_of_an_entry_gateway_are_made_of(tmp_path: Path, entry: Entry) -> None:
    await entry.open(tmp_path, ManyProcesses)
    found = entry.view.observed()
    assert list(found.traffic) == ["entry"]
    assert (found.upstream_connections, found.upstream_requests) == ({"x": (1, 2, 3, 4)}, {"x": 9})
    assert (found.failures, found.processes) == ({"w": 5}, {"main": 6})
    assert (found.workers, found.worker_restarts) == (7, 8)
    assert found.snapshot is entry.fleet.plane.snapshot
    assert (found.registries, found.reload) == (entry.registries, entry.configuration.state)
    assert found.lane_expiries == {("demo", "gray"): 4102444800.0}
    assert (found.certificates, found.is_application_up, dict(found.registrations)) == ({}, None, {})
    assert found.remote_rules is entry.configuration.copies.mirrors


async def test_a_request_is_explained_by_what_is_in_force(tmp_path: Path, entry: Entry) -> None:
    await entry.open(tmp_path)
    await until(lambda: entry.view.waiting() == [])
    explainer = EntryExplainer(entry.fleet.plane, entry.configuration.settings, entry.drains)
    request = build_request("GET", "/A/x?group=gray", reader=explainer.reader)
    found = explainer.explain(request, "127.0.0.1", b"")
    assert found["decision"]["lane"] == "gray"  # type: ignore[index]
    assert [lane["lane"] for lane in found["lanes"]] == ["gray"]  # type: ignore[attr-defined]


class Beside:
    """A sidecar's parts, none of which listens."""

    async def open(self, folder: Path, registry: dict[str, Any], **values: Any) -> None:
        self.parts = AsyncExitStack()
        (folder / "rules.yaml").write_text(lanes("gray", expires="2100-01-01T00:00:00Z"))
        path = folder / "sidecar.yaml"
        path.write_text(write_yaml({**SIDECAR, "registry": registry, "rules": "rules.yaml", **values}))
        self.life = Life()
        self.configuration = Configuration(
            SidecarSettings, path, (), lambda build, revision: self.plane.configure(revision, build)
        )
        await self.configuration.open(self.parts)
        settings = self.configuration.settings
        self.plane = SidecarPlane(settings)
        self.parts.push_async_callback(self.plane.close)
        self.registries = make_registries(settings, self.plane.service_changed)
        self.parts.push_async_callback(self.registries.close)
        self.parts.push_async_callback(self.configuration.close)
        self.configuration.begin()
        self.watch = ApplicationWatch(
            "b", self.plane.app, settings.app_check, self.plane.app_spoken, lambda is_up: None
        )
        self.registrations = Registrations(self.registries, Registration("b", "127.0.0.1", 5), is_usable=True)
        self.view = SidecarView(
            self.life,
            self.configuration,
            self.registries,
            Records(settings.records, Reporter("b", "sidecar")),
            Spans(False, Reporter("b", "sidecar")),
            drains=Drains(self.plane.service_changed),
            plane=self.plane,
            application=self.watch,
            registrations=self.registrations,
        )

    def app_is(self, is_up: bool, reason: str = "") -> None:
        self.watch.was_checked, self.watch.is_up, self.watch.reason = True, is_up, reason


@pytest.fixture
async def beside() -> AsyncIterator[Beside]:
    beside = Beside()
    yield beside
    await beside.parts.aclose()


STATIC = {"kind": "static", "services": {}}
NACOS = {"kind": "nacos", "address": "127.0.0.1:9"}


async def test_a_sidecar_is_ready_when_its_application_is_and_peers_find_it(tmp_path: Path, beside: Beside) -> None:
    await beside.open(tmp_path, NACOS)
    unchecked = "the application at 127.0.0.1:1 has not been checked yet"
    assert (beside.view.waiting(), beside.view.not_ready()) == ([unchecked], [unchecked])
    beside.app_is(False, "it is down")
    assert (beside.view.waiting(), beside.view.not_ready()) == ([], ["it is down"])
    beside.app_is(True)
    assert beside.view.not_ready() == ["service b is not registered yet"]
    beside.registrations.known["nacos"].reason = "away"
    assert beside.view.not_ready() == ["service b is not registered yet (away)"]
    beside.registrations.known["nacos"].state = "unknown"
    assert beside.view.not_ready() == []
    beside.life.leave()
    assert beside.view.not_ready() == ["draining"]


async def test_the_status_of_a_sidecar(tmp_path: Path, beside: Beside) -> None:
    await beside.open(tmp_path, NACOS, tag="gray")
    beside.app_is(False, "it is down")
    status = beside.view.status()
    assert (status["role"], status["service"], status["tag"], status["revision"]) == ("sidecar", "b", "gray", 1)
    assert status["application"] == {"address": "127.0.0.1:1", "up": False, "reason": "it is down"}
    assert (status["registered"], status["registered_in"]) == (False, [])
    registry = _only(status["registries"])
    assert registry["registration"]["state"] == "registering"
    beside.registrations.known["nacos"].state = "registered"
    status = beside.view.status()
    assert (status["registered"], status["registered_in"]) == (True, ["nacos"])
    assert status["registered_beside"] == []


async def test_what_the_metrics_of_a_sidecar_are_made_of(tmp_path: Path, beside: Beside) -> None:
    """The revision, the lanes that expire: all that an entry gateway's say."""
    await beside.open(tmp_path, STATIC)
    beside.app_is(True)
    await beside.view.refresh()
    found = beside.view.observed()
    assert list(found.traffic) == ["inbound", "outbound"]
    assert (found.reload.revision, found.snapshot) == (1, beside.plane.snapshot)
    assert found.snapshot.revision == 1
    assert found.lane_expiries == {("demo", "gray"): 4102444800.0}
    assert (found.is_application_up, found.processes) == (True, {"main": os.getpid()})
    assert found.registrations is beside.registrations.known
    assert [lane["lane"] for lane in beside.view.lanes()] == ["gray"]
    beside.registries.watch("c")
    await until(lambda: [item["service"] for item in beside.view.services()] == ["c"])


async def test_a_gateway_says_what_its_doctor_would_say_of_it(tmp_path: Path, entry: Entry) -> None:
    await entry.open(tmp_path)
    entry.life.begin()
    await until(lambda: entry.view.waiting() == [])
    found = {(item["check"], item["subject"]): item["state"] for item in entry.view.findings()}
    # The lane's tag is nowhere, which is worth a word; the rest is as it has to be.
    assert found.pop(("lanes", "demo/gray")) == "warning"
    assert set(found.values()) == {"ok"}
    entry.life.leave()
    assert ("programs", "failed") in {(item["check"], item["state"]) for item in entry.view.findings()}


async def test_trends_are_those_of_what_was_counted(tmp_path: Path, entry: Entry) -> None:
    await entry.open(tmp_path)
    entry.view.trends([])
    entry.fleet.plane.traffic.count_exchange("a", "base", 200, 0.001, -1.0, received=0, sent=0)
    with pytest.MonkeyPatch.context() as patch:
        later = time.time() + 10.0
        patch.setattr("gateway.app.views.time.time", lambda: later)
        assert [tag["tag"] for tag in entry.view.trends(["a"])["tags"]] == ["base"]
        assert entry.view.trends(["b"])["tags"] == []
