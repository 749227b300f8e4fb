"""The whole of `config/sidecar.yaml`."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from gateway.settings.fields import (
    Address,
    AddressField,
    AdvertisedHost,
    RuleName,
    ServiceName,
    Tag,
    TargetField,
    Weight,
)
from gateway.settings.nacosports import for_grpc
from gateway.settings.plane import (
    AppCheckSettings,
    FacadeSettings,
    SidecarDrainSettings,
    SidecarMeshSettings,
    TraceMemorySettings,
)
from gateway.settings.registry import (
    ConsulRegistrySettings,
    NacosRegistrySettings,
    RegistrySettings,
    SidecarRegistrySettings,
    one_or_several,
    placed,
)
from gateway.settings.serving import ServingSettings
from gateway.tags import BASE

if TYPE_CHECKING:
    from gateway.yaml.reading import Location


class SidecarSettings(ServingSettings):
    """`config/sidecar.yaml`."""

    is_entry: ClassVar[bool] = False

    service: ServiceName
    """The local service's name in the registry."""
    tag: Tag = BASE
    """What this instance is marked with; left out: baseline."""
    app: TargetField
    """The local service."""
    app_check: AppCheckSettings = AppCheckSettings.model_construct()
    """How it is found out whether the local service takes requests. The instance is registered for as long as it does."""
    inbound: AddressField
    """What is registered and what peers call."""
    clients: Literal["any", "mesh"] = "any"
    """Who may call it: gateways and sidecars only (`mesh`), or also who is neither, as probes, people with curl and services
    without a sidecar. Others get 403."""
    mesh: SidecarMeshSettings | None = None
    """Gateways and sidecars call each other by mutual TLS; left out: in plain text."""
    outbound: AddressField
    """What the local service calls others through; keep it on loopback."""
    outbounds: dict[ServiceName, AddressField] = Field(default_factory=dict)
    """Addresses that stand for one service each, whatever a request says in `Host`: base URLs for clients that take no proxy."""
    facade: FacadeSettings | None = None
    """The sidecar stands in for the registry: the application registers and finds others through it. Left out: it does not."""
    advertise: AdvertisedHost | None = None
    """The address registered; left out: found."""
    weight: Weight = 1.0
    """The weight registered."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Registered beside the tag."""
    admin: AddressField = Address(host="127.0.0.1", port=9901)
    """The admin API. Without `admin_token` it does not authenticate anyone, so keep it on loopback."""
    registry: SidecarRegistrySettings | None = None
    """Where this instance is registered and others are found; static: it is not registered."""
    registries: dict[RuleName, SidecarRegistrySettings] = Field(default_factory=dict)
    """Instead of `registry`: several, by names of your own. The instance is registered in each."""
    drain: SidecarDrainSettings = SidecarDrainSettings.model_construct()
    """How the sidecar ends."""
    trace_memory: TraceMemorySettings = TraceMemorySettings.model_construct()
    """What is remembered of inbound requests."""

    @property
    def all_registries(self) -> dict[str, RegistrySettings]:
        """See ServingSettings."""
        return one_or_several(self.registry, dict(self.registries))

    def placed_registries(self) -> list[tuple[Location, RegistrySettings]]:
        """See ServingSettings."""
        return placed(self.registry, dict(self.registries))

    def listeners(self) -> dict[Location, Address]:
        """See ServingSettings."""
        found: dict[Location, Address] = {("inbound",): self.inbound, ("outbound",): self.outbound}
        found["admin",] = self.admin
        found |= {("outbounds", name): address for name, address in self.outbounds.items()}
        if self.facade is not None:
            found["facade", self.facade.kind] = self.facade.address
            if self.facade.nacos is not None:
                found["facade", "nacos", "gRPC"] = for_grpc(self.facade.nacos)
        return found

    @property
    def place_name(self) -> str:
        """See ServingSettings."""
        return self.service

    @model_validator(mode="after")
    def _has_registries(self) -> SidecarSettings:
        self._check_registries(self.all_registries)
        return self

    @model_validator(mode="after")
    def _stands_in_for_something(self) -> SidecarSettings:
        if self.facade is not None and self.facade_registry is None:
            raise ValueError(f"facade: there is no registry of `kind: {self.facade.kind}` that it could stand in for")
        return self

    @property
    def facade_registry(self) -> NacosRegistrySettings | ConsulRegistrySettings | None:
        """The registry that the façade stands in for."""
        known = self.all_registries.values()
        if self.facade is not None and self.facade.kind == "consul":
            return next((item for item in known if isinstance(item, ConsulRegistrySettings)), None)
        return next((item for item in known if isinstance(item, NacosRegistrySettings)), None)

    @model_validator(mode="after")
    def _advertised(self) -> SidecarSettings:
        if self.advertise is not None:
            try:
                address = ip_address(self.advertise)
            except ValueError:
                return self  # a host name; the registry's clients resolve it
            if address.is_unspecified:
                raise ValueError("advertise: an address that peers can reach is needed, not the unspecified one")
        return self
