"""From settings to registries: an adapter for each, and what a reload can change about them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from gateway.instance import Instance
from gateway.registry.base import RegistrarAdapter, RegistryAdapter
from gateway.registry.consul.adapter import ConsulAdapter
from gateway.registry.consul.bridge import Agent
from gateway.registry.consul.client import ConsulClient
from gateway.registry.embedded.adapter import EmbeddedAdapter
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import Credentials, NacosClient
from gateway.registry.several import Registries
from gateway.registry.static import StaticAdapter
from gateway.registry.tags import TagReader
from gateway.settings import (
    ConsulRegistrySettings,
    EmbeddedRegistrySettings,
    NacosRegistrySettings,
    RegistrySettings,
    RemoteRegistrySettings,
    StaticRegistrySettings,
)
from gateway.tls.contexts import CertificateError, UpstreamTLS

_log = logging.getLogger("gateway")


def make_registries(
    settings: Mapping[str, RegistrySettings],
    on_change: Callable[[str, tuple[Instance, ...]], None],
    chosen: Mapping[str, str],
    state: str | None,
    embedded: EmbeddedRegistry | None = None,
    own: Collection[str] = (),
) -> Registries:
    """The registries of a configuration. `embedded` is the one in this process, `own` are this gateway's addresses.

    Raises ConfigError where a file cannot be read.
    """
    adapters = {name: make_adapter(item, embedded) for name, item in settings.items()}
    folder = None if state is None else Path(state)
    identities = {name: item.identity for name, item in settings.items() if isinstance(item, RemoteRegistrySettings)}
    return Registries(adapters, on_change, chosen=chosen, folder=folder, identities=identities, own=own)


def make_adapter(settings: RegistrySettings, embedded: EmbeddedRegistry | None = None) -> RegistryAdapter:
    """The adapter of one registry. Raises ConfigError where a file cannot be read."""
    if isinstance(settings, StaticRegistrySettings):
        return StaticAdapter(settings.instances())
    if isinstance(settings, EmbeddedRegistrySettings):
        assert embedded is not None
        return EmbeddedAdapter(embedded, TagReader())
    tags = TagReader(settings.tag_keys)
    if isinstance(settings, NacosRegistrySettings):
        credentials = Credentials(settings.username, settings.password, settings.token)
        return NacosAdapter(
            NacosClient(settings.servers, credentials),
            namespace=settings.namespace,
            group=settings.group,
            clusters=settings.clusters,
            interval=settings.interval,
            tags=tags,
        )
    return _make_consul(settings)


def _make_consul(settings: ConsulRegistrySettings) -> ConsulAdapter:
    scope = {"dc": settings.datacenter, "ns": settings.namespace}
    tls = UpstreamTLS.load(settings.ca, "", True).context if settings.scheme == "https" else None
    client = ConsulClient(
        str(settings.address),
        settings.token,
        scope={key: value for key, value in scope.items() if value},
        is_stale=settings.stale,
        scheme=settings.scheme,
        tls=tls,
    )
    tags = TagReader(settings.tag_keys, settings.bare_tags)
    return ConsulAdapter(
        client, Agent(client, settings.token), tags=tags, takes_warning=settings.warning, max_waiting=settings.watches
    )


def take_settings(registries: Registries, settings: Mapping[str, RegistrySettings]) -> None:
    """Takes what can change while running of a reloaded configuration: static instances, and whom to trust."""
    for name, item in settings.items():
        keeper = registries.keepers.get(name)
        if keeper is None:
            continue  # one that a reload has added is there after a restart only
        if isinstance(keeper.adapter, StaticAdapter) and isinstance(item, StaticRegistrySettings):
            keeper.adapter.replace(item.instances())
        if isinstance(keeper.adapter, ConsulAdapter) and isinstance(item, ConsulRegistrySettings) and item.ca:
            try:
                keeper.adapter.trust(UpstreamTLS.load(item.ca, "", True).context)
            except CertificateError as error:  # it could be read a moment ago: it is being changed again
                _log.warning("registry %s: %s; the authorities in use stay", name, error.message)


def registrars(registries: Registries) -> dict[str, RegistrarAdapter]:
    """Those of the registries in which an instance can be registered, by name."""
    adapters = {name: keeper.adapter for name, keeper in registries.keepers.items()}
    return {name: item for name, item in adapters.items() if isinstance(item, NacosAdapter | ConsulAdapter)}
