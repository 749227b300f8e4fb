"""The Gateway API of a configuration, put together."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from gateway.gatewayapi.source import GatewayApiSource
from gateway.gatewayapi.world import Here
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from gateway.registry.tags import TagReader
from gateway.routing.plans import RouteSet
from gateway.settings.gateway import GatewaySettings
from gateway.settings.gatewayapi import cluster_of
from gateway.state import ROUTES


def make_source(settings: GatewaySettings, apply: Callable[[RouteSet], None]) -> GatewayApiSource | None:
    """The source of a configuration, None if it has none. Raises ConfigError if a file cannot be read."""
    wanted, cluster = settings.gateway_api, cluster_of(settings.all_registries.values())
    if wanted is None or cluster is None:
        return None
    access = open_access(cluster.kubeconfig, cluster.context)
    here = Here(
        wanted.gateway,
        wanted.namespace or cluster.namespace or access.namespace,
        services=cluster.namespace or access.namespace,
        addresses=tuple((_kind(address), address) for address in wanted.addresses),
        split_by=None if wanted.split_by is None else wanted.split_by.key,
        sees_all=wanted.all_namespaces,
        reserved=frozenset({settings.carriers.header}),
        tags=TagReader(cluster.tag_keys),
    )
    copy = None if settings.state is None else Path(settings.state) / ROUTES / f"{here.namespace}-{here.gateway}.json"
    return GatewayApiSource(ApiClient(access), here, apply, copy)


def _kind(address: str) -> str:
    try:
        ip_address(address)
    except ValueError:
        return "Hostname"
    return "IPAddress"
