"""The whole of `config/gateway.yaml` and of `config/sidecar.yaml`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from ipaddress import ip_address
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from gateway.settings.fields import (
    Address,
    AddressField,
    AdvertisedHost,
    AllowedHost,
    FileName,
    Model,
    Network,
    RuleName,
    Secret,
    ServiceName,
    Tag,
    TargetField,
    Weight,
)
from gateway.settings.gatewayapi import GatewayApiSettings
from gateway.settings.guard import GuardSettings
from gateway.settings.identity import DebugSettings, StickySettings, TokenSettings
from gateway.settings.nacosports import for_grpc
from gateway.settings.plane import (
    AccessLogSettings,
    AppCheckSettings,
    CarrierSettings,
    DrainSettings,
    EjectionSettings,
    FacadeSettings,
    Http2Settings,
    LimitSettings,
    ListenTLSSettings,
    MeshSettings,
    RecordSettings,
    RetrySettings,
    ServiceSettings,
    SidecarDrainSettings,
    SidecarMeshSettings,
    TimeoutSettings,
    TraceMemorySettings,
)
from gateway.settings.registry import (
    ConsulRegistrySettings,
    EmbeddedRegistrySettings,
    NacosRegistrySettings,
    RegistrySettings,
    RemoteRegistrySettings,
    SidecarRegistrySettings,
    one_or_several,
    placed,
)
from gateway.settings.routes import RouteSettings
from gateway.settings.sources import RemoteSource, RulesSources
from gateway.tags import BASE

if TYPE_CHECKING:
    from gateway.yaml.reading import Location


class ServingSettings(Model):
    """What serve and sidecar have in common, and the questions that each settles in its own way.

    It has more members than a class should have: it is the document that an operator writes, key by key.
    """

    is_entry: ClassVar[bool]
    """Whether clients from outside come in here."""

    admin: AddressField
    """The admin API. Without `admin_token` it does not authenticate anyone, so keep it on loopback."""
    admin_token: Secret | None = None
    """The token that clients of the admin API must send, 16 to 256 characters. Health and metrics need none."""
    rules: RulesSources = Field(default_factory=list)
    """Lane rules: a directory (its *.yaml files by name), a file, a remote document, or a list of these; paths are
    relative to this file."""
    state: FileName | None = None
    """Directory for what should outlive a restart, relative to this file: the history of rules, copies of remote ones, the
    last rules that were in force, and what registries said."""
    ready_with_old_rules: bool = True
    """Whether a program is ready that runs the rules in `state`, since those there were at its start had problems."""
    carriers: CarrierSettings = CarrierSettings()
    """Where requests carry their tag."""
    timeouts: TimeoutSettings = TimeoutSettings()
    """How long the data plane waits."""
    limits: LimitSettings = LimitSettings()
    """What the data plane accepts."""
    http2: Http2Settings = Http2Settings()
    """HTTP/2 with clients."""
    retries: RetrySettings = RetrySettings()
    """When a request is tried again."""
    ejection: EjectionSettings = EjectionSettings()
    """When an instance gets no traffic for a while."""
    access_log: AccessLogSettings | None = None
    """A line for each request; left out: none."""
    records: RecordSettings = RecordSettings()
    """The requests that the admin API shows."""
    tracing: bool = False
    """Whether requests of sampled traces get spans, which are sent to an OpenTelemetry collector. Where it is, and the rest,
    is said by the environment variables `OTEL_…`. Needs the extra `gray-gateway[otel]`."""
    allowed_hosts: list[AllowedHost] = Field(default_factory=list)
    """Names by which the admin API and the embedded registry are called, beside addresses, `localhost` and this machine's
    own; `*.example.com`: all below it. Where they listen beyond loopback, names without a dot are fine."""
    services: dict[ServiceName, ServiceSettings] = Field(default_factory=dict)
    """What is special about services, by name; those left out are plain."""
    mesh: MeshSettings | None = None
    """Gateways and sidecars call each other by mutual TLS; left out: in plain text."""

    # --- what differs between the roles

    @property
    @abstractmethod
    def all_registries(self) -> dict[str, RegistrySettings]:
        """The registries by name."""

    @abstractmethod
    def placed_registries(self) -> list[tuple[Location, RegistrySettings]]:
        """The registries, each with where it is in the file."""

    @abstractmethod
    def listeners(self) -> dict[Location, Address]:
        """Where the program listens, by the settings that say so; where requests to forward come in is the first."""

    @property
    @abstractmethod
    def place_name(self) -> str:
        """What lane groups call this program in `entry`."""

    @property
    def served_routes(self) -> list[RouteSettings]:
        """Which requests go to which service, if a table says so."""
        return []

    @property
    def listener_tls(self) -> ListenTLSSettings | None:
        """The TLS that clients speak; None: they do not."""
        return None

    @property
    def token_settings(self) -> TokenSettings | None:
        """The tokens that rules read; None: there are none."""
        return None

    @property
    def cookie_settings(self) -> StickySettings | None:
        """The cookie of sticky lanes; None: there is none."""
        return None

    @property
    def debug_header(self) -> str:
        """The header with which authorized people request an explanation; empty: there is none."""
        return ""

    # --- what follows for both

    @property
    def embedded_registry(self) -> EmbeddedRegistrySettings | None:
        """The registry that runs in this process; None: there is none."""
        found = [item for item in self.all_registries.values() if isinstance(item, EmbeddedRegistrySettings)]
        return found[0] if found else None

    @property
    def remote_registries(self) -> dict[str, RemoteRegistrySettings]:
        """The registries on other machines, by name."""
        return {name: item for name, item in self.all_registries.items() if isinstance(item, RemoteRegistrySettings)}

    @property
    def remote_rules(self) -> list[RemoteSource]:
        """The rules that are kept on servers."""
        return [source for source in self.rules if isinstance(source, RemoteSource)]

    def secrets(self) -> list[str]:
        """Every secret, wherever it came from."""
        found: list[str | None] = [self.admin_token, self.records.token]
        for registry in self.all_registries.values():
            found += registry.secrets
        for source in self.remote_rules:
            found += source.secrets
        return [secret for secret in found if secret]

    @property
    def chosen_registries(self) -> dict[str, str]:
        """The registry of each service that is not looked for in all."""
        return {name: service.registry for name, service in self.services.items() if service.registry is not None}

    def _check_registries(self, known: Collection[str]) -> None:
        for service, name in self.chosen_registries.items():
            if name not in known:
                raise ValueError(
                    f"services.{service}.registry: there is no registry {name!r} (there are: {', '.join(known)})"
                )


class GatewaySettings(ServingSettings):
    """`config/gateway.yaml`."""

    is_entry: ClassVar[bool] = True

    name: RuleName = "gateway"
    """What rules call this gateway: lane groups name it in `entry`."""
    listen: AddressField = Address(host="0.0.0.0", port=8080)
    """Where clients come in."""
    tls: ListenTLSSettings | None = None
    """Clients speak TLS; left out: they do not."""
    admin: AddressField = Address(host="127.0.0.1", port=9900)
    """The admin API. Without `admin_token` it does not authenticate anyone, so keep it on loopback."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that route: as many as there are cores to spare. With 1 one process does everything."""
    registry: RegistrySettings | None = None
    """Where the instances of services are known."""
    registries: dict[RuleName, RegistrySettings] = Field(default_factory=dict)
    """Instead of `registry`: several, by names of your own. A service that is in two has the instances of both."""
    ready_without_registry: bool = False
    """Whether the gateway is ready before the registry has said anything of a service, whose requests get 503 until then."""
    routes: list[RouteSettings] = Field(default_factory=list)
    """Which requests go to which service."""
    gateway_api: GatewayApiSettings | None = None
    """Routes are read from the Kubernetes Gateway API, beside those above; left out: they are not."""
    trusted: list[Network] = Field(default_factory=list)
    """Clients that may send carriers and forwarding fields: proxies of your own in front of this one."""
    trace_sampled: float = Field(default=1.0, ge=0, le=1)
    """Share of the traceparents made here that say `sampled`. OpenTelemetry's default sampler follows its parent: with
    0, services behind the gateway would stop tracing."""
    jwt: TokenSettings | None = None
    """The tokens that `jwt` conditions read; left out: none are."""
    sticky: StickySettings | None = None
    """The cookie of lanes that are `sticky`; left out: no lane may be."""
    debug: DebugSettings | None = None
    """The header with which authorized people request an explanation; left out: nobody may."""
    guard: GuardSettings | None = None
    """Where the guards of lanes report what they do; left out: nowhere but here."""
    drain: DrainSettings = DrainSettings()
    """How the program ends."""

    @property
    def all_registries(self) -> dict[str, RegistrySettings]:
        """See ServingSettings."""
        return one_or_several(self.registry, self.registries)

    def placed_registries(self) -> list[tuple[Location, RegistrySettings]]:
        """See ServingSettings."""
        return placed(self.registry, self.registries)

    def listeners(self) -> dict[Location, Address]:
        """See ServingSettings."""
        found: dict[Location, Address] = {("listen",): self.listen, ("admin",): self.admin}
        for place, item in self.placed_registries():
            if isinstance(item, EmbeddedRegistrySettings):
                found[*place, "listen"] = item.listen
                found[*place, "listen", "gRPC"] = for_grpc(item.listen)
        return found

    @property
    def place_name(self) -> str:
        """See ServingSettings."""
        return self.name

    @property
    def served_routes(self) -> list[RouteSettings]:
        """See ServingSettings."""
        return self.routes

    @property
    def listener_tls(self) -> ListenTLSSettings | None:
        """See ServingSettings."""
        return self.tls

    @property
    def token_settings(self) -> TokenSettings | None:
        """See ServingSettings."""
        return self.jwt

    @property
    def cookie_settings(self) -> StickySettings | None:
        """See ServingSettings."""
        return self.sticky

    @property
    def debug_header(self) -> str:
        """See ServingSettings."""
        return "" if self.debug is None else self.debug.header

    def secrets(self) -> list[str]:
        """See ServingSettings."""
        own = [self.sticky and self.sticky.secret, self.debug and self.debug.secret, self.guard and self.guard.token]
        return super().secrets() + [secret for secret in own if secret]

    @model_validator(mode="after")
    def _has_registries(self) -> GatewaySettings:
        self._check_registries(self.all_registries)
        embedded = [item for item in self.all_registries.values() if isinstance(item, EmbeddedRegistrySettings)]
        if len(embedded) > 1:
            raise ValueError("registries: one embedded registry is enough")
        return self


class SidecarSettings(ServingSettings):
    """`config/sidecar.yaml`."""

    is_entry: ClassVar[bool] = False

    service: ServiceName
    """The local service's name in the registry."""
    tag: Tag = BASE
    """What this instance is marked with; left out: baseline."""
    app: TargetField
    """The local service."""
    app_check: AppCheckSettings = AppCheckSettings()
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
    drain: SidecarDrainSettings = SidecarDrainSettings()
    """How the sidecar ends."""
    trace_memory: TraceMemorySettings = TraceMemorySettings()
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
