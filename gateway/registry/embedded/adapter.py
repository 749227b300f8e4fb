"""The embedded registry seen from the same process: events instead of polling."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gateway.errors import RegistryError
from gateway.registry.embedded.api import STARTING
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Lease, ServiceKey
from gateway.registry.tags import tag_of
from gateway.routing.instance import Instance, sorted_instances

LONGEST_WAIT = 30.0
"""Seconds after which a list is given again though nothing changed, so that its age stays honest."""


class EmbeddedAdapter:
    """A RegistryAdapter over a registry in this process."""

    kind = "embedded"
    is_authoritative = True

    def __init__(self, registry: EmbeddedRegistry) -> None:
        self._registry = registry

    async def watch(self, service: str) -> AsyncIterator[tuple[Instance, ...]]:
        """See RegistryAdapter."""
        key = ServiceKey.of("", "", service)
        while True:
            if self._registry.is_warming:
                raise RegistryError("warming", STARTING)
            seen = self._registry.changes
            yield sorted_instances(_instance(lease) for lease in self._registry.store.instances(key))
            await self._registry.wait_changed(seen, LONGEST_WAIT)

    async def close(self) -> None:
        """Nothing to close: the registry belongs to the program."""


def _instance(lease: Lease) -> Instance:
    metadata = dict(lease.metadata)
    return Instance(lease.host, lease.port, tag_of(metadata), lease.weight, lease.healthy, lease.enabled, metadata)
