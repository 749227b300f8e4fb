"""The Kubernetes Gateway API as a source of routes."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from gateway.settings.balancing import KeySettings
from gateway.settings.fields import AdvertisedHost, KubernetesName, KubernetesObjectName, Model
from gateway.settings.registry import KubernetesRegistrySettings, RegistrySettings


class GatewayApiSettings(Model):
    """Routes from the cluster of the registry of `kind: kubernetes`."""

    gateway: KubernetesObjectName
    """The Gateway object whose HTTPRoutes are served."""
    namespace: KubernetesName = ""
    """Its namespace. Default: that of the registry."""
    all_namespaces: bool = False
    """Whether routes of other namespaces are seen, and Services there."""
    addresses: list[AdvertisedHost] = Field(default_factory=list)
    """Where clients reach this gateway: addresses or host names, for the Gateway's status."""
    split_by: KeySettings | None = None
    """What keeps a client with its backend if a route divides requests by weight. Default: each request is drawn anew."""


def cluster_of(registries: Iterable[RegistrySettings]) -> KubernetesRegistrySettings | None:
    """The first cluster among registries: the one whose Gateway API is read."""
    return next((item for item in registries if isinstance(item, KubernetesRegistrySettings)), None)
