"""Learning a service that an application calls for the first time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Final

from gateway.app.configuration import Configuration
from gateway.app.sidecar_plane import SidecarPlane
from gateway.registry.several import Registries
from gateway.settings.sidecar import SidecarSettings

TIMEOUT: Final = 3.0
"""Seconds that the first request to a service waits for the registry."""
MOST_EMPTY: Final = 64
"""Services without instances that are watched."""


class Learner:
    """Has the registries watch the services that are called, and forget those that nobody provides."""

    def __init__(
        self,
        configuration: Configuration[SidecarSettings],
        plane: SidecarPlane,
        registries: Registries,
        kept: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """`kept` are services that are not forgotten."""
        self._kept = kept
        self._configuration = configuration
        self._plane = plane
        self._registries = registries

    async def learn(self, service: str) -> bool:
        """Watches a service from now on; returns whether the registries have said something of it.

        Registries distinguish upper and lower case, hosts do not: if there is nobody with exactly this name, its other
        spellings are tried as well.
        """
        known = await self.watch(service)
        view = self._plane.snapshot.services.get(service)
        if known and (view is None or not view.instances):
            await asyncio.gather(*(self.watch(name) for name in spellings(service, self._named())))
        return known

    async def watch(self, service: str, timeout: float = TIMEOUT) -> bool:
        """The same for this very name, within so many seconds."""
        self._make_room()
        self._registries.watch(service)
        return await self._registries.wait_known(service, timeout)

    def _named(self) -> set[str]:
        """The services that the configuration names."""
        groups = self._plane.rules.groups
        return {*self._configuration.settings.services, *(name for group in groups for name in group.services)}

    def _make_room(self) -> None:
        """Forgets the service without instances that was called first, if there are many: an app may call any name."""
        states = self._registries.states()
        kept = self._kept()
        empty = [
            name for name, known in states.items() if name not in kept and not any(state.instances for state in known)
        ]
        for service in empty[: max(0, len(empty) - MOST_EMPTY + 1)]:
            self._registries.unwatch(service)
            self._plane.service_removed(service)


def spellings(service: str, named: Iterable[str]) -> set[str]:
    """The names that differ from a service's by case alone: those that are `named` somewhere, and the usual ones."""
    folded = service.lower()
    return {folded, service.upper(), *(name for name in named if name.lower() == folded)} - {service}
