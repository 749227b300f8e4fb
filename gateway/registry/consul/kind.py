"""Consul as a kind of registry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from gateway.registry.base import Kind, Registration, RegistryAdapter
from gateway.settings import Address, ConsulRegistrySettings
from gateway.settings.sense import at_own_listener, given_twice
from gateway.tags import BASE
from gateway.tls.contexts import UpstreamTLS
from gateway.tls.servers import tls_nonsense
from gateway.validation import Finding
from gateway.yaml.reading import Location

if TYPE_CHECKING:
    from gateway.registry.consul.adapter import ConsulAdapter
    from gateway.registry.embedded.server import EmbeddedRegistry

# What Consul takes as Meta (metaMaxKeyPairs and its like in agent/structs), tried with Consul 1.20.
MOST_PAIRS: Final = 64
MOST_KEY: Final = 128
MOST_VALUE: Final = 512
RESERVED: Final = "consul-"
MOST_WEIGHT: Final = 65_535
_SIGN: Final = re.compile(r"[^A-Za-z0-9_-]")


def meta_key(key: str) -> str:
    """A key of metadata as Consul's Meta has it. The tag needs none: it goes among a service's words, which can have dots."""
    return _SIGN.sub("_", key)


class ConsulKind(Kind[ConsulRegistrySettings]):
    """A Consul agent."""

    summary = "a Consul agent"
    registers = True

    def adapter(self, settings: ConsulRegistrySettings, embedded: EmbeddedRegistry | None) -> RegistryAdapter:
        """See Kind."""
        from gateway.registry.consul.adapter import ConsulAdapter
        from gateway.registry.consul.bridge import Agent
        from gateway.registry.consul.client import ConsulClient
        from gateway.registry.tags import TagReader
        from gateway.tls.servers import server_tls

        scope = {"dc": settings.datacenter, "ns": settings.namespace}
        client = ConsulClient(
            str(settings.address),
            settings.token,
            scope={key: value for key, value in scope.items() if value},
            is_stale=settings.stale,
            scheme=settings.scheme,
            tls=server_tls(settings),
        )
        return ConsulAdapter(
            client,
            Agent(client, settings.token),
            tags=TagReader(settings.tag_keys, settings.bare_tags),
            takes_warning=settings.warning,
            max_waiting=settings.watches,
        )

    def reload(self, adapter: ConsulAdapter, settings: ConsulRegistrySettings, tls: UpstreamTLS | None) -> None:
        """See Kind. Certificates may have changed in their files."""
        if tls is not None:
            adapter.trust(tls)

    def senseless(
        self, settings: ConsulRegistrySettings, listeners: Sequence[tuple[Location, Address]]
    ) -> Iterator[Finding]:
        """See Kind."""
        for name, message in tls_nonsense(settings):
            yield (name,), message
        yield from given_twice("bare_tags", settings.bare_tags)
        if BASE in settings.bare_tags:
            place: Location = ("bare_tags", settings.bare_tags.index(BASE))
            yield place, f"'{BASE}' means unmarked, as is every instance without one of these tags"
        yield from at_own_listener(("address",), settings.address, listeners)

    def refuses(self, registration: Registration) -> Iterator[Finding]:
        """See Kind."""
        weight, metadata = registration.weight, registration.metadata
        if weight != int(weight) or not 1 <= weight <= MOST_WEIGHT:
            yield ("weight",), f"Consul accepts whole weights from 1 to {MOST_WEIGHT}; found {weight:g}"
        if len(metadata) > MOST_PAIRS:
            yield ("metadata",), f"Consul accepts at most {MOST_PAIRS} keys; found {len(metadata)}"
        written: dict[str, str] = {}
        for key, value in metadata.items():
            here: Location = ("metadata", key)
            name = meta_key(key)
            if not 1 <= len(name) <= MOST_KEY or len(value) > MOST_VALUE:
                yield here, f"Consul accepts keys of 1 to {MOST_KEY} characters and values of at most {MOST_VALUE}"
            if name.startswith(RESERVED):
                yield here, f"Consul reserves keys that begin with '{RESERVED}'"
            if name in written:
                yield here, f"becomes `{name}` in Consul, as does `{written[name]}`"
            written[name] = key
