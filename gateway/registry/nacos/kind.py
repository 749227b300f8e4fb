"""Nacos as a kind of registry."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from gateway.registry.base import Kind, Registration, RegistryAdapter
from gateway.registry.tags import OWN_KEY
from gateway.settings import Address, NacosRegistrySettings
from gateway.settings.sense import at_own_listener, given_twice
from gateway.tags import BASE
from gateway.tls.contexts import CertificateError, UpstreamTLS
from gateway.tls.servers import tls_nonsense
from gateway.validation import Finding
from gateway.yaml.reading import Location

if TYPE_CHECKING:
    from gateway.registry.embedded.server import EmbeddedRegistry
    from gateway.registry.nacos.adapter import NacosAdapter

_log = logging.getLogger("gateway.registry")

MOST_METADATA: Final = 1024
"""Characters of all keys and values that Nacos takes (nacos.naming.service.metadata.length)."""
MOST_WEIGHT: Final = 10_000


class NacosKind(Kind[NacosRegistrySettings]):
    """A Nacos server or cluster."""

    summary = "a Nacos server or cluster, or `gateway registry serve`"
    registers = True

    def adapter(self, settings: NacosRegistrySettings, embedded: EmbeddedRegistry | None) -> RegistryAdapter:
        """See Kind."""
        from gateway.registry.nacos.adapter import NacosAdapter
        from gateway.registry.nacos.client import Credentials, NacosClient, TlsContexts
        from gateway.registry.tags import TagReader

        return NacosAdapter(
            NacosClient(
                settings.servers,
                Credentials(settings.username, settings.password, settings.token),
                protocol=settings.protocol,
                namespace=settings.namespace,
                tls=TlsContexts.load(settings),
            ),
            namespace=settings.namespace,
            group=settings.group,
            clusters=settings.clusters,
            interval=settings.interval,
            tags=TagReader(settings.tag_keys),
        )

    def reload(self, adapter: NacosAdapter, settings: NacosRegistrySettings, tls: UpstreamTLS | None) -> None:
        """See Kind. Certificates may have changed in their files."""
        from gateway.registry.nacos.client import TlsContexts

        if tls is not None:
            try:
                contexts = TlsContexts.load(settings)
            except CertificateError as error:  # it could be read a moment ago: it is being changed again
                _log.warning("%s; keeping the certificates in use", error.message)
                return
            if contexts is not None:
                adapter.trust(contexts)

    def senseless(
        self, settings: NacosRegistrySettings, listeners: Sequence[tuple[Location, Address]]
    ) -> Iterator[Finding]:
        """See Kind."""
        for name, message in tls_nonsense(settings):
            yield (name,), message
        yield from given_twice("addresses", [str(item) for item in settings.addresses])
        yield from given_twice("clusters", settings.clusters)
        for number, address in enumerate(settings.addresses):
            yield from at_own_listener(("addresses", number), address, listeners)
        if settings.address is not None:
            yield from at_own_listener(("address",), settings.address, listeners)

    def refuses(self, registration: Registration) -> Iterator[Finding]:
        """See Kind."""
        if registration.weight > MOST_WEIGHT:
            yield ("weight",), f"Nacos accepts weights from 0 to {MOST_WEIGHT}; found {registration.weight:g}"
        own = 0 if registration.tag == BASE else len(OWN_KEY) + len(registration.tag)
        size = own + sum(len(key) + len(value) for key, value in registration.metadata.items())
        if size > MOST_METADATA:
            message = f"Nacos accepts {MOST_METADATA} characters of keys and values, the tag's included; found {size}"
            yield ("metadata",), message
