"""The static registry: instances that stand in the configuration, replaced when it is reloaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping

from gateway.instance import Instance
from gateway.registry.base import Listing


class StaticAdapter:
    """A RegistryAdapter over a mapping. A service that is not in it has no instances, and that is certain."""

    kind = "static"
    is_authoritative = True

    def __init__(self, services: Mapping[str, tuple[Instance, ...]]) -> None:
        self._services = dict(services)
        self._changed = asyncio.Event()

    def replace(self, services: Mapping[str, tuple[Instance, ...]]) -> None:
        """Takes a reloaded configuration's instances."""
        self._services = dict(services)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
        """See RegistryAdapter."""
        while True:
            changed = self._changed
            yield Listing(self._services.get(service, ()))
            await changed.wait()

    def describe(self) -> Mapping[str, object]:
        """See RegistryAdapter."""
        return {"kind": self.kind, "services": len(self._services)}

    async def close(self) -> None:
        """Nothing to close."""
