"""An entry gateway as the admin API sees it."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from gateway.admin.observed import Observed
from gateway.app.configuration import Configuration
from gateway.app.describe import describe_registries, describe_services, unheard_of
from gateway.app.life import Life
from gateway.app.signatures import describe_signatures
from gateway.control.drains import Drains
from gateway.control.expiry import expiries
from gateway.live.records import Records
from gateway.live.spans import Spans
from gateway.registry.several import Registries
from gateway.routing.snapshot import Snapshot
from gateway.rules.ruleset import RuleSet
from gateway.settings.gateway import GatewaySettings
from gateway.telemetry.counters import Traffic

if TYPE_CHECKING:
    from gateway.app.fleet import Fleet
    from gateway.app.guarding import Guarding
    from gateway.gatewayapi.source import GatewayApiSource
    from gateway.live.trends import Trends
    from gateway.rules.model import Lane

from gateway.app.views import View, certificate_expiries


class EntryView(View[GatewaySettings]):
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
            certificates=certificate_expiries(self._configuration.build),
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
