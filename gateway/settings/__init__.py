"""The settings of `gateway serve` and `gateway sidecar`, as an operator writes them.

The docstring of each field is its reference: `docs/configuration.md` lists them all, and a test compares the two.
"""

from gateway.settings.fields import Address
from gateway.settings.plane import (
    AppCheckSettings,
    CheckSettings,
    EjectionSettings,
    ListenTLSSettings,
    MeshSettings,
    RecordSettings,
    ServiceSettings,
    SidecarMeshSettings,
)
from gateway.settings.registry import (
    AnyRegistrySettings,
    ConsulRegistrySettings,
    EmbeddedRegistrySettings,
    KubernetesRegistrySettings,
    NacosRegistrySettings,
    RegistrySettings,
    RemoteRegistrySettings,
    StaticRegistrySettings,
    known_instances,
)
from gateway.settings.serving import ServingSettings
from gateway.settings.sources import KubernetesRules, RemoteRules, RemoteSource

__all__ = [
    "Address",
    "AnyRegistrySettings",
    "AppCheckSettings",
    "CheckSettings",
    "ConsulRegistrySettings",
    "EjectionSettings",
    "EmbeddedRegistrySettings",
    "KubernetesRegistrySettings",
    "KubernetesRules",
    "ListenTLSSettings",
    "MeshSettings",
    "NacosRegistrySettings",
    "RecordSettings",
    "RegistrySettings",
    "RemoteRegistrySettings",
    "RemoteRules",
    "RemoteSource",
    "ServiceSettings",
    "ServingSettings",
    "SidecarMeshSettings",
    "StaticRegistrySettings",
    "known_instances",
]
