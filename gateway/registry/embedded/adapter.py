"""The embedded registry seen from the same process: events instead of polling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from gateway.errors import RegistryError
from gateway.registry.base import Listing
from gateway.registry.embedded.api import STARTING
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import ServiceKey
from gateway.registry.records import Records
from gateway.registry.tags import TagReader

LONGEST_WAIT = 30.0
"""Seconds after which a list is given again though nothing changed, so that its age stays honest."""


class EmbeddedAdapter:
    """A RegistryAdapter over a registry in this process."""

    kind = "embedded"
    is_authoritative = True

    def __init__(self, registry: EmbeddedRegistry, tags: TagReader) -> None:
        self._registry = registry
        self._tags = tags

    async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
        """See RegistryAdapter."""
        key = ServiceKey.of("", "", service)
        while True:
            if self._registry.is_warming:
                raise RegistryError("warming", STARTING)
            changed = self._registry.next_change(key)
            yield self._listing(key)
            try:
                async with asyncio.timeout(LONGEST_WAIT):
                    await changed.wait()
            except TimeoutError:
                pass

    def _listing(self, key: ServiceKey) -> Listing:
        records = Records(self._tags)
        for lease in self._registry.store.instances(key):
            records.add(lease.host, lease.port, lease.weight, lease.metadata, lease.healthy, lease.enabled)
        return records.listing()

    def describe(self) -> Mapping[str, object]:
        """See RegistryAdapter."""
        return {"kind": self.kind, "address": self._registry.address, "warming": self._registry.is_warming}

    async def close(self) -> None:
        """Nothing to close: the registry belongs to the program."""
