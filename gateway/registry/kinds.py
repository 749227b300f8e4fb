"""The kinds of registries, an entry each: everything that the program does differently for one of them.

A new kind is its settings in `settings/registry.py`, a module with its adapter and its `Kind`, an entry here, and a section in
`docs/registries.md`, where a test looks for it. Entries import their adapters when one is made: a program loads those
of the registries that its configuration has, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.registry.base import Kind
from gateway.registry.consul.kind import ConsulKind
from gateway.registry.embedded.kind import EmbeddedKind
from gateway.registry.kubernetes.kind import KubernetesKind
from gateway.registry.nacos.kind import NacosKind
from gateway.registry.static import StaticKind
from gateway.settings import AnyRegistrySettings

KINDS: Final[Mapping[str, Kind[Any]]] = {
    "static": StaticKind(),
    "embedded": EmbeddedKind(),
    "nacos": NacosKind(),
    "consul": ConsulKind(),
    "kubernetes": KubernetesKind(),
}
"""By `registry.kind`."""


def kind_of(settings: AnyRegistrySettings) -> Kind[Any]:
    """The entry of a registry's settings."""
    return KINDS[settings.kind]
