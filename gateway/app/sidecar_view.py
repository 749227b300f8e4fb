"""A sidecar as the admin API sees it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gateway.admin.observed import Observed
from gateway.app.configuration import Configuration
from gateway.app.describe import describe_registries, describe_services
from gateway.app.escapes import describe_escapes
from gateway.app.life import Life
from gateway.app.registrations import Registrations
from gateway.app.sidecar_plane import SidecarPlane
from gateway.app.signatures import describe_signatures
from gateway.control.drains import Drains
from gateway.control.expiry import expiries
from gateway.daemons import failures
from gateway.health.application import ApplicationWatch
from gateway.live.records import Records
from gateway.live.spans import Spans
from gateway.registry.several import Registries
from gateway.routing.snapshot import Snapshot
from gateway.rules.ruleset import RuleSet
from gateway.settings.sidecar import SidecarSettings
from gateway.telemetry.counters import Traffic

if TYPE_CHECKING:
    from gateway.app.facade import Facade

from gateway.app.views import View, certificate_expiries


class SidecarView(View[SidecarSettings]):
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
            certificates=certificate_expiries(self._configuration.build),
            lane_expiries=expiries(self._plane.rules),
            remote_rules=self._configuration.copies.mirrors,
            deliveries=self._records.deliveries(),
            spans=self._spans.counts(),
            drained=self._drains.counts(),
            is_application_up=self._application.is_up,
            bypasses=None if self._facade is None else self._facade.bypasses,
            registrations=self._registrations.known,
        )
