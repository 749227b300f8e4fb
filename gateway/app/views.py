"""The two roles as the admin API sees them."""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gateway import __version__
from gateway.admin.observed import Observed
from gateway.app.build import Build
from gateway.app.configuration import Configuration
from gateway.app.describe import describe_lanes, describe_registries, describe_services, unheard_of
from gateway.app.escapes import describe_escapes
from gateway.app.life import Life
from gateway.app.registrations import Registrations
from gateway.app.sidecar_plane import SidecarPlane
from gateway.app.signatures import describe_signatures
from gateway.control.drains import Drains
from gateway.control.expiry import expiries
from gateway.daemons import failures
from gateway.health.application import ApplicationWatch
from gateway.live.hits import INTERVAL, LaneHits
from gateway.live.records import Records
from gateway.live.spans import Spans
from gateway.registry.several import Registries
from gateway.routing.snapshot import Snapshot
from gateway.rules.ruleset import RuleSet
from gateway.settings import GatewaySettings, ServingSettings, SidecarSettings
from gateway.telemetry.counters import Traffic

if TYPE_CHECKING:
    from gateway.app.facade import Facade
    from gateway.app.fleet import Fleet
    from gateway.app.guarding import Guarding
    from gateway.gatewayapi.source import GatewayApiSource
    from gateway.live.trends import Trends
    from gateway.rules.model import Lane

S = TypeVar("S", bound=ServingSettings)


class _View(ABC, Generic[S]):
    """What there is to see of both roles. See RoleView."""

    def __init__(
        self,
        life: Life,
        configuration: Configuration[S],
        registries: Registries,
        records: Records,
        spans: Spans,
        *,
        drains: Drains,
    ) -> None:
        self._drains = drains
        self._life = life
        self._configuration = configuration
        self._registries = registries
        self._records = records
        self._spans = spans
        self._hits = LaneHits()

    def not_ready(self) -> list[str]:
        """See RoleView."""
        if self._life.is_draining:
            return ["draining"]
        return self._missing()

    def lanes(self) -> list[dict[str, object]]:
        """See RoleView."""
        self._look_at_hits()
        return describe_lanes(self._rules(), self._hits, time.time(), self._guard_of, self._sent())

    def _guard_of(self, _group: str, _lane: Lane) -> dict[str, Any] | None:
        """What is known of a lane's guard: at a sidecar, nothing."""
        return None

    def mirrored(self) -> list[dict[str, object]]:
        """See RoleView. Only entry gateways mirror."""
        return []

    def trends(self, _services: Collection[str]) -> dict[str, Any]:
        """See RoleView. Only entry gateways keep them: beside every instance there is a sidecar, and few look at it."""
        return {"step": 0.0, "times": [], "tags": []}

    def findings(self) -> list[dict[str, object]]:
        """See RoleView."""
        # Loaded when somebody asks: it brings all that the command has.
        from gateway.app.doctor.inside import examine_inside

        state = self._registries.states()
        found = examine_inside(
            self.status(), self.not_ready(), self._configuration.settings, self._rules(), state, self._snapshot()
        )
        return [asdict(finding) for finding in found]

    async def follow_hits(self) -> None:
        """Notes when lanes take requests. Never returns."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.refresh()
            self._look_at_hits()

    def _look_at_hits(self) -> None:
        self._hits.look(self._sent().decisions, time.time())

    @abstractmethod
    async def refresh(self) -> None:
        """See RoleView."""

    @abstractmethod
    def _rules(self) -> RuleSet:
        """Those in force."""

    @abstractmethod
    def _sent(self) -> Traffic:
        """What was counted of the requests that it sends to services."""

    @abstractmethod
    def _snapshot(self) -> Snapshot:
        """What it routes by."""

    @abstractmethod
    def status(self) -> dict[str, object]:
        """See RoleView."""

    @abstractmethod
    def _missing(self) -> list[str]:
        """Why a role that does not drain should get no traffic."""

    def _status(self, role: str) -> dict[str, object]:
        state = self._configuration.state
        return {
            "role": role,
            "version": __version__,
            "started_at": self._life.started_at,
            "revision": state.revision,
            "loaded_at": state.loaded_at,
            "last_reload_error": list(state.error) or None,
            "reloads": {"success": state.succeeded, "failure": state.failed},
            "runs_old_rules": state.runs_old_rules,
            "rules": self._configuration.copies.mirrors.describe(state.error),
            "draining": self._life.is_draining,
            "drained": self._drains.describe(),
        }

    def _old_rules(self) -> list[str]:
        return self._configuration.copies.not_ready(self._configuration.settings, self._configuration.state)


class EntryView(_View[GatewaySettings]):
    """An entry gateway."""

    def __init__(
        self,
        life: Life,
        configuration: Configuration[GatewaySettings],
        registries: Registries,
        records: Records,
        spans: Spans,
        *,
        drains: Drains,
        fleet: Fleet,
        guarding: Guarding,
        trends: Trends,
        gateway_api: GatewayApiSource | None = None,
    ) -> None:
        super().__init__(life, configuration, registries, records, spans, drains=drains)
        self._fleet = fleet
        self._guarding = guarding
        self._trends = trends
        self._gateway_api = gateway_api
        self._was_ready = False

    def waiting(self) -> list[str]:
        """What is not known yet that requests need."""
        settings = self._configuration.settings
        reasons = self._old_rules() + ([] if self._gateway_api is None else self._gateway_api.missing())
        if not settings.ready_without_registry:
            attached = self._fleet.plane.attached.services - {route.service for route in settings.routes}
            reasons += unheard_of(self._registries, attached, was_ready=self._was_ready)
        self._was_ready = self._was_ready or not reasons
        return reasons

    def _missing(self) -> list[str]:
        if not self._life.is_serving:
            return ["starting"]
        return [f"worker {index} is not serving" for index in self._fleet.not_serving()] + self.waiting()

    def status(self) -> dict[str, object]:
        """See RoleView."""
        registries = describe_registries(self._registries)
        return {
            **self._status("entry"),
            "registries": registries,
            "workers": self._fleet.workers(),
            "signatures": describe_signatures({"entry": self._fleet.totals().traffic}),
            "gateway_api": None if self._gateway_api is None else self._gateway_api.describe(),
        }

    def mirrored(self) -> list[dict[str, object]]:
        """See RoleView."""
        return [dict(sample) for sample in reversed(self._fleet.totals().mirrored)]

    def services(self) -> list[dict[str, object]]:
        """See RoleView."""
        totals, snapshot = self._fleet.totals(), self._fleet.plane.snapshot
        return describe_services(self._registries, snapshot, self._drains, totals.requests, totals.ejected)

    def _rules(self) -> RuleSet:
        return self._fleet.plane.rules

    def _guard_of(self, group: str, lane: Lane) -> dict[str, Any] | None:
        return self._guarding.describe(group, lane)

    def _sent(self) -> Traffic:
        return self._fleet.totals().traffic

    def _snapshot(self) -> Snapshot:
        return self._fleet.plane.snapshot

    def _look_at_hits(self) -> None:
        super()._look_at_hits()
        self._trends.look(self._sent().exchanges, time.time())

    def trends(self, services: Collection[str]) -> dict[str, Any]:
        """See RoleView."""
        self._look_at_hits()
        return self._trends.describe(services)

    async def refresh(self) -> None:
        """See RoleView."""
        await self._fleet.refresh()

    def observed(self) -> Observed:
        """See RoleView."""
        totals = self._fleet.totals()
        plane, attached = self._fleet.plane, self._gateway_api
        return Observed(
            traffic={"entry": totals.traffic},
            upstream_connections=totals.connections,
            upstream_requests=totals.requests,
            registries=self._registries,
            snapshot=plane.snapshot,
            reload=self._configuration.state,
            failures=totals.failures,
            processes=totals.processes,
            workers=totals.running,
            worker_restarts=totals.restarts,
            certificates=_expiries(self._configuration.build),
            lane_expiries=expiries(plane.rules),
            guard_verdicts=self._guarding.verdicts,
            guards_tripped=self._guarding.tripped(),
            guard_events=self._guarding.deliveries(),
            remote_rules=self._configuration.copies.mirrors,
            attached=None if attached is None else (attached.problem is None, attached.matches),
            deliveries=self._records.deliveries(),
            spans=self._spans.counts(),
            drained=self._drains.counts(),
        )


class SidecarView(_View[SidecarSettings]):
    """A sidecar."""

    def __init__(
        self,
        life: Life,
        configuration: Configuration[SidecarSettings],
        registries: Registries,
        records: Records,
        spans: Spans,
        *,
        drains: Drains,
        plane: SidecarPlane,
        application: ApplicationWatch,
        registrations: Registrations,
        facade: Facade | None = None,
    ) -> None:
        super().__init__(life, configuration, registries, records, spans, drains=drains)
        self._facade = facade
        self._plane = plane
        self._application = application
        self._registrations = registrations

    def waiting(self) -> list[str]:
        """What is not known yet that requests need."""
        unchecked = [] if self._application.was_checked else [self._application.reason]
        return unchecked + self._old_rules()

    def _missing(self) -> list[str]:
        if not self._application.is_up:
            return [self._application.reason]
        if self._facade is not None and not self._facade.is_registered:
            return ["the application has not registered through the façade, or has deregistered"]
        reason = self._registrations.not_found()
        if reason is not None:
            service = self._configuration.settings.service
            return [f"service {service} is not registered yet{f' ({reason})' if reason else ''}"]
        return self._old_rules()

    def status(self) -> dict[str, object]:
        """See RoleView."""
        settings = self._configuration.settings
        registered_in = self._registrations.registered_in
        return {
            **self._status("sidecar"),
            "service": settings.service,
            "tag": settings.tag,
            "application": {
                "address": str(settings.app),
                "up": self._application.is_up,
                "reason": self._application.reason or None,
            },
            "registered_beside": [] if self._facade is None else self._facade.beside,
            "registered": bool(registered_in),
            "registered_in": registered_in,
            "registries": describe_registries(self._registries, self._registrations.known),
            "lost_tags": describe_escapes(self._plane.traffic()["outbound"]),
            "signatures": describe_signatures(self._plane.traffic()),
        }

    def services(self) -> list[dict[str, object]]:
        """See RoleView."""
        return describe_services(self._registries, self._plane.snapshot, self._drains, self._plane.requests())

    def _rules(self) -> RuleSet:
        return self._plane.rules

    def _sent(self) -> Traffic:
        return self._plane.traffic()["outbound"]

    def _snapshot(self) -> Snapshot:
        return self._plane.snapshot

    async def refresh(self) -> None:
        """There is no other process."""

    def observed(self) -> Observed:
        """See RoleView."""
        return Observed(
            traffic=self._plane.traffic(),
            service=self._configuration.settings.service,
            upstream_connections=self._plane.connections(),
            upstream_requests=self._plane.requests(),
            registries=self._registries,
            snapshot=self._plane.snapshot,
            reload=self._configuration.state,
            failures=dict(failures),
            processes={"main": os.getpid()},
            certificates=_expiries(self._configuration.build),
            lane_expiries=expiries(self._plane.rules),
            remote_rules=self._configuration.copies.mirrors,
            deliveries=self._records.deliveries(),
            spans=self._spans.counts(),
            drained=self._drains.counts(),
            is_application_up=self._application.is_up,
            bypasses=None if self._facade is None else self._facade.bypasses,
            registrations=self._registrations.known,
        )


def _expiries(build: Build[S]) -> dict[str, float]:
    return {certificate.file: certificate.expires.timestamp() for certificate in build.own_certificates}
