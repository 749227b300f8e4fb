"""The two roles as the admin API sees them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

from gateway import __version__
from gateway.admin.observed import Observed
from gateway.app.build import Build
from gateway.app.configuration import Configuration
from gateway.app.describe import describe_lanes, describe_registries, describe_services, unheard_of
from gateway.app.escapes import describe_escapes
from gateway.app.life import Life
from gateway.app.parts import make_reader
from gateway.app.plane import EntryPlane
from gateway.app.registrations import Registrations
from gateway.app.sidecar_plane import SidecarPlane
from gateway.control.expiry import expiries
from gateway.daemons import failures
from gateway.health.application import ApplicationWatch
from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.live.records import Records
from gateway.registry.several import Registries
from gateway.settings import GatewaySettings, ServingSettings, SidecarSettings

if TYPE_CHECKING:
    from gateway.app.facade import Facade
    from gateway.app.fleet import Fleet

S = TypeVar("S", bound=ServingSettings)


class _View(ABC, Generic[S]):
    """What there is to see of both roles. See RoleView."""

    def __init__(self, life: Life, configuration: Configuration[S], registries: Registries, records: Records) -> None:
        self._life = life
        self._configuration = configuration
        self._registries = registries
        self._records = records

    def not_ready(self) -> list[str]:
        """See RoleView."""
        if self._life.is_draining:
            return ["draining"]
        return self._missing()

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
        fleet: Fleet,
    ) -> None:
        super().__init__(life, configuration, registries, records)
        self._fleet = fleet

    def waiting(self) -> list[str]:
        """What is not known yet that requests need."""
        is_needed = not self._configuration.settings.ready_without_registry
        return self._old_rules() + (unheard_of(self._registries) if is_needed else [])

    def _missing(self) -> list[str]:
        if not self._life.is_serving:
            return ["starting"]
        return [f"worker {index} is not serving" for index in self._fleet.not_serving()] + self.waiting()

    def status(self) -> dict[str, object]:
        """See RoleView."""
        registries = describe_registries(self._registries)
        return {**self._status("entry"), "registries": registries, "workers": self._fleet.workers()}

    def services(self) -> list[dict[str, object]]:
        """See RoleView."""
        return describe_services(self._registries, self._fleet.plane.snapshot, self._fleet.totals().ejected)

    def lanes(self) -> list[dict[str, object]]:
        """See RoleView."""
        return describe_lanes(self._fleet.plane.rules)

    async def refresh(self) -> None:
        """See RoleView."""
        await self._fleet.refresh()

    def observed(self) -> Observed:
        """See RoleView."""
        totals = self._fleet.totals()
        plane = self._fleet.plane
        return Observed(
            traffic={"entry": totals.traffic},
            upstream_connections=totals.connections,
            registries=self._registries,
            snapshot=plane.snapshot,
            reload=self._configuration.state,
            failures=totals.failures,
            processes=totals.processes,
            workers=totals.running,
            worker_restarts=totals.restarts,
            certificates=_expiries(self._configuration.build),
            lane_expiries=expiries(plane.rules),
            remote_rules=self._configuration.copies.mirrors,
            deliveries=self._records.deliveries(),
        )


class SidecarView(_View[SidecarSettings]):
    """A sidecar."""

    def __init__(
        self,
        life: Life,
        configuration: Configuration[SidecarSettings],
        registries: Registries,
        records: Records,
        *,
        plane: SidecarPlane,
        application: ApplicationWatch,
        registrations: Registrations,
        facade: Facade | None = None,
    ) -> None:
        super().__init__(life, configuration, registries, records)
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
            "registered": bool(registered_in),
            "registered_in": registered_in,
            "registries": describe_registries(self._registries, self._registrations.known),
            "lost_tags": describe_escapes(self._plane.traffic()["outbound"]),
        }

    def services(self) -> list[dict[str, object]]:
        """See RoleView."""
        return describe_services(self._registries, self._plane.snapshot)

    def lanes(self) -> list[dict[str, object]]:
        """See RoleView."""
        return describe_lanes(self._plane.rules)

    async def refresh(self) -> None:
        """There is no other process."""

    def observed(self) -> Observed:
        """See RoleView."""
        return Observed(
            traffic=self._plane.traffic(),
            service=self._configuration.settings.service,
            upstream_connections=self._plane.connections(),
            registries=self._registries,
            snapshot=self._plane.snapshot,
            reload=self._configuration.state,
            failures=dict(failures),
            processes={"main": os.getpid()},
            certificates=_expiries(self._configuration.build),
            lane_expiries=expiries(self._plane.rules),
            remote_rules=self._configuration.copies.mirrors,
            deliveries=self._records.deliveries(),
            is_application_up=self._application.is_up,
            bypasses=None if self._facade is None else self._facade.bypasses,
            registrations=self._registrations.known,
        )


class EntryExplainer:
    """What an entry gateway would decide for a request."""

    def __init__(self, plane: EntryPlane, settings: GatewaySettings) -> None:
        self._plane = plane
        self._reader = make_reader(settings)

    @property
    def reader(self) -> HeadReader:
        """See Explainer."""
        return self._reader

    def explain(self, request: Request, client_ip: str, body: bytes) -> dict[str, object]:
        """See Explainer."""
        from gateway.routing.explain import explain  # the sidecar, whose view is here too, explains nothing

        plane = self._plane
        return explain(plane.router, plane.rules, plane.around, request, client_ip=client_ip, body=body)


def _expiries(build: Build[S]) -> dict[str, float]:
    return {certificate.file: certificate.expires.timestamp() for certificate in build.own_certificates}
