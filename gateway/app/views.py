"""What the admin API sees of both roles."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gateway import __version__
from gateway.app.build import Build
from gateway.app.configuration import Configuration
from gateway.app.describe import describe_lanes
from gateway.app.life import Life
from gateway.control.drains import Drains
from gateway.live.hits import INTERVAL, LaneHits
from gateway.live.records import Records
from gateway.live.spans import Spans
from gateway.registry.several import Registries
from gateway.routing.snapshot import Snapshot
from gateway.rules.ruleset import RuleSet
from gateway.settings import ServingSettings
from gateway.telemetry.counters import Traffic

if TYPE_CHECKING:
    from gateway.rules.model import Lane

S = TypeVar("S", bound=ServingSettings)


class View(ABC, Generic[S]):
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


def certificate_expiries(build: Build[S]) -> dict[str, float]:
    """When own certificates expire, by file, in seconds since the epoch."""
    return {certificate.file: certificate.expires.timestamp() for certificate in build.own_certificates}
