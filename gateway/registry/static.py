"""The static registry: instances that stand in the configuration, replaced when it is reloaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.instance import Instance
from gateway.registry.base import Kind, Listing
from gateway.registry.tags import TagReader
from gateway.settings import Address, StaticRegistrySettings
from gateway.tags import BASE
from gateway.validation import Finding
from gateway.yaml.reading import Location

if TYPE_CHECKING:
    from gateway.registry.embedded.server import EmbeddedRegistry
    from gateway.tls.contexts import UpstreamTLS


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


class StaticKind(Kind[StaticRegistrySettings]):
    """A list in the configuration."""

    summary = "instances listed in the configuration"
    reloads = True

    def adapter(self, settings: StaticRegistrySettings, embedded: EmbeddedRegistry | None) -> StaticAdapter:
        """See Kind."""
        return StaticAdapter(settings.instances())

    def reload(self, adapter: StaticAdapter, settings: StaticRegistrySettings, tls: UpstreamTLS | None) -> None:
        """See Kind."""
        adapter.replace(settings.instances())

    def senseless(
        self, settings: StaticRegistrySettings, listeners: Sequence[tuple[Location, Address]]
    ) -> Iterator[Finding]:
        """See Kind."""
        own = [address for location, address in listeners if location == ("listen",)]
        for name, instances in settings.services.items():
            seen: list[str] = []
            for number, item in enumerate(instances):
                here: Location = ("services", name, number)
                if str(item.address) in seen:
                    yield (
                        (*here, "address"),
                        f"'{item.address}' is given twice: an address is one instance, with one tag",
                    )
                seen.append(str(item.address))
                found = TagReader().tag_of(item.metadata)
                if found not in (BASE, item.tag):
                    yield (
                        (*here, "metadata"),
                        f"has the tag '{found}', but `tag`, which applies here, is '{item.tag}'",
                    )
                if any(item.address.meets(address) for address in own):
                    yield (*here, "address"), f"'{item.address}' is this gateway itself: requests would loop"
