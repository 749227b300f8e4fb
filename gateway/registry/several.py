"""Several registries at once: each has its own keeper, and a service that is in two has the instances of both.

What one registry says is never touched by the trouble of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from gateway.instance import Instance
from gateway.registry.base import RegistryAdapter
from gateway.registry.disk import Disk
from gateway.registry.keeper import Keeper, ServiceState


class Registries:
    """Watches services in the registries given by name, and calls `on_change(service, instances)`.

    `chosen` says in which one a service is looked for, where it is not in all. `folder` is where disk copies are kept, None
    for none; `identities` say which registry a name means, lest a copy of another one is used. `own` are addresses of this
    gateway itself.
    """

    def __init__(
        self,
        adapters: Mapping[str, RegistryAdapter],
        on_change: Callable[[str, tuple[Instance, ...]], None],
        *,
        chosen: Mapping[str, str] | None = None,
        folder: Path | None = None,
        identities: Mapping[str, str] | None = None,
        own: Collection[str] = (),
    ) -> None:
        self._on_change = on_change
        self._lists: dict[str, dict[str, tuple[Instance, ...]]] = {}
        self.keepers = {
            name: Keeper(
                adapter,
                self._changed(name),
                name=name,
                is_one_of_many=len(adapters) > 1,
                disk=_disk(folder, name, (identities or {}).get(name, name), adapter),
                own=own,
            )
            for name, adapter in adapters.items()
        }
        self._chosen = self._known(chosen or {})

    def _known(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """What was chosen of the registries there are: one that a reload has added is there after a restart only."""
        return {service: name for service, name in chosen.items() if name in self.keepers}

    def choose(self, chosen: Mapping[str, str]) -> None:
        """Takes in which registry services are looked for; those watched already move."""
        before, self._chosen = self._chosen, self._known(chosen)
        for service in list(self._lists):
            if before.get(service) != self._chosen.get(service):
                self.unwatch(service)
                self.watch(service)

    def watch(self, service: str) -> None:
        """Begins to watch a service; nothing happens where it is watched already."""
        self._lists.setdefault(service, {})
        for keeper in self._of(service):
            keeper.watch(service)

    def unwatch(self, service: str) -> None:
        """Stops watching a service and forgets it."""
        self._lists.pop(service, None)
        for keeper in self.keepers.values():
            keeper.unwatch(service)

    @property
    def watched(self) -> list[str]:
        """The services that are watched."""
        return list(self._lists)

    def states(self) -> dict[str, list[ServiceState]]:
        """What is known of every watched service, by registry, in their order."""
        found: dict[str, list[ServiceState]] = {service: [] for service in self._lists}
        for keeper in self.keepers.values():
            for state in keeper.states():
                found.setdefault(state.service, []).append(state)
        return found

    def instances(self, service: str) -> tuple[Instance, ...]:
        """What was last said of a service by all registries together; empty: nothing yet."""
        lists = self._lists.get(service)
        return self._merged(lists) if lists else ()

    async def wait_known(self, service: str, timeout: float) -> bool:
        """Waits up to `timeout` seconds until a registry has instances of a watched service, or all have responded.

        Returns whether one has responded.
        """
        waiting = [asyncio.ensure_future(keeper.wait_known(service, timeout)) for keeper in self._of(service)]
        is_known = False
        try:
            for first in asyncio.as_completed(waiting):
                is_known = await first or is_known
                if any(self._lists.get(service, {}).values()):
                    return True
            return is_known
        finally:
            for task in waiting:
                task.cancel()

    async def close(self) -> None:
        """Stops watching everything, and closes the adapters."""
        await asyncio.gather(*(keeper.close() for keeper in self.keepers.values()))

    def _of(self, service: str) -> list[Keeper]:
        name = self._chosen.get(service)
        return [self.keepers[name]] if name is not None else list(self.keepers.values())

    def _changed(self, name: str) -> Callable[[str, tuple[Instance, ...]], None]:
        def changed(service: str, instances: tuple[Instance, ...]) -> None:
            lists = self._lists.get(service)
            if lists is not None:
                lists[name] = instances
                self._on_change(service, self._merged(lists))

        return changed

    def _merged(self, lists: Mapping[str, tuple[Instance, ...]]) -> tuple[Instance, ...]:
        """The instances of all registries, one per address: the first usable one, in the registries' order."""
        if len(lists) == 1:
            return next(iter(lists.values()))
        merged: dict[str, Instance] = {}
        for name in self.keepers:
            for instance in lists.get(name, ()):
                known = merged.get(instance.address)
                if known is None or (instance.is_usable and not known.is_usable):
                    merged[instance.address] = instance
        return tuple(merged[address] for address in sorted(merged))


def _disk(folder: Path | None, name: str, identity: str, adapter: RegistryAdapter) -> Disk | None:
    # What is in the configuration, or in this very process, needs no copy.
    return None if folder is None or adapter.is_authoritative else Disk(folder / "registry" / name, identity)
