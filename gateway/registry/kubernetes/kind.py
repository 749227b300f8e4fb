"""Kubernetes as a kind of registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gateway.registry.base import Kind, RegistryAdapter
from gateway.settings import Address, KubernetesRegistrySettings
from gateway.validation import Finding
from gateway.yaml.reading import Location

if TYPE_CHECKING:
    from gateway.registry.embedded.server import EmbeddedRegistry


class KubernetesKind(Kind[KubernetesRegistrySettings]):
    """A cluster. Instances are not registered by sidecars: the cluster knows its pods."""

    summary = "a Kubernetes cluster: its Services, and the labels of their pods"

    def adapter(self, settings: KubernetesRegistrySettings, embedded: EmbeddedRegistry | None) -> RegistryAdapter:
        """See Kind."""
        from gateway.kubernetes.access import open_access
        from gateway.kubernetes.client import ApiClient
        from gateway.registry.kubernetes.adapter import KubernetesAdapter
        from gateway.registry.tags import TagReader

        return KubernetesAdapter(
            ApiClient(open_access(settings.kubeconfig, settings.context)),
            namespace=settings.namespace,
            selector=settings.selector,
            port=settings.port,
            ports=settings.ports,
            tags=TagReader(settings.tag_keys),
        )

    def senseless(
        self, settings: KubernetesRegistrySettings, listeners: Sequence[tuple[Location, Address]]
    ) -> Iterator[Finding]:
        """See Kind."""
        if settings.kubeconfig is None:
            if settings.context:
                yield ("context",), "a pod's own account has no contexts; name a `kubeconfig`"
            return
        from gateway.kubernetes.access import kubeconfig_problems

        for problem in kubeconfig_problems(settings.kubeconfig, settings.context):
            yield ("kubeconfig",), problem
