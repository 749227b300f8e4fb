"""What becomes of instances apart from what registries say: ejection, slow start and active checks, for every service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from gateway.health.checks import Checks
from gateway.health.ejection import EjectionTerms, Ejector
from gateway.health.probing import Speaks
from gateway.health.slowstart import STEPS, SlowStart
from gateway.instance import Instance
from gateway.routing.health import Health
from gateway.settings import EjectionSettings, ServiceSettings
from gateway.telemetry.counters import Traffic

_PLAIN: Final = ServiceSettings()


class Conditions:
    """The condition of every service's instances in this process. `on_change(service)` is called when one's has changed.

    `speaks` says how instances are.
    """

    def __init__(
        self, terms: EjectionSettings, traffic: Traffic, speaks: Speaks, on_change: Callable[[str], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_change = on_change
        self._services: Mapping[str, ServiceSettings] = {}
        self._ages: dict[str, SlowStart] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.ejector = Ejector(
            EjectionTerms(terms.connect_failures, terms.errors, terms.time, terms.longest, terms.share),
            self._loop.time,
            self._loop.call_later,
            on_change,
            lambda service, instance, cause: traffic.count_ejection(service, instance.tag, cause),
        )
        self._checks = Checks(self.ejector, speaks)

    def configure(self, services: Mapping[str, ServiceSettings]) -> None:
        """Takes what is special about services."""
        self._services = services
        self._checks.configure({name: service.check for name, service in services.items() if service.check is not None})

    def of(self, service: str, instances: tuple[Instance, ...]) -> Health:
        """The condition of a service that has these instances now."""
        settings = self._services.get(service, _PLAIN)
        self.ejector.retain(service, instances)
        self._checks.look_at(service, instances)
        warming: Mapping[str, float] = {}
        if settings.slow_start:
            now = self._loop.time()
            warming = self._ages.setdefault(service, SlowStart()).shares(instances, settings.slow_start, now)
            self._look_again(service, settings.slow_start / STEPS if warming else 0.0)
        return Health(
            ejected=self.ejector.ejected(service, instances),
            misdirected=self.ejector.misdirected(service),
            warming=warming,
            uses_unhealthy=settings.when_all_unhealthy == "use_all",
        )

    def forget(self, service: str) -> None:
        """A service is not routed to any more."""
        self.ejector.retain(service, ())
        self._checks.look_at(service, ())
        self._ages.pop(service, None)
        self._look_again(service, 0.0)

    async def close(self) -> None:
        """Ends checks and timers."""
        for timer in self._timers.values():
            timer.cancel()
        self.ejector.close()
        await self._checks.close()

    def _look_again(self, service: str, seconds: float) -> None:
        timer = self._timers.pop(service, None)
        if timer is not None:
            timer.cancel()
        if seconds:
            self._timers[service] = self._loop.call_later(seconds, self._on_change, service)
