"""The whole of `config/gateway.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from gateway.settings.fields import Address, AddressField, Network, RuleName
from gateway.settings.gates import AccessSettings
from gateway.settings.gatewayapi import GatewayApiSettings
from gateway.settings.guard import GuardSettings
from gateway.settings.identity import DebugSettings, StickySettings, TokenSettings
from gateway.settings.nacosports import for_grpc
from gateway.settings.plane import DrainSettings, ListenTLSSettings
from gateway.settings.registry import EmbeddedRegistrySettings, RegistrySettings, one_or_several, placed
from gateway.settings.routes import RouteSettings
from gateway.settings.serving import ServingSettings

if TYPE_CHECKING:
    from gateway.yaml.reading import Location


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
    proxy_protocol: bool = False
    """Whether connections of clients in `trusted` begin with a header of the PROXY protocol, version 1 or 2, which says whose
    connection it is. Those without one are closed."""
    access: AccessSettings = AccessSettings.model_construct()
    """Which clients are served by any route, by address."""
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
    drain: DrainSettings = DrainSettings.model_construct()
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
    def served_clients(self) -> AccessSettings | None:
        """See ServingSettings."""
        return self.access if self.access.allow or self.access.deny else None

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
