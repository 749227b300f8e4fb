"""What `config/gateway.yaml` and `config/sidecar.yaml` have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from gateway.settings.balancing import BalancingSettings
from gateway.settings.fields import (
    Address,
    AddressField,
    AllowedHost,
    FileName,
    Model,
    Secret,
    ServiceName,
)
from gateway.settings.plane import (
    AccessLogSettings,
    CarrierSettings,
    EjectionSettings,
    Http2Settings,
    LimitSettings,
    ListenTLSSettings,
    MeshSettings,
    RecordSettings,
    RetrySettings,
    ServiceSettings,
    TimeoutSettings,
)
from gateway.settings.registry import (
    EmbeddedRegistrySettings,
    RegistrySettings,
    RemoteRegistrySettings,
)
from gateway.settings.sources import RemoteSource, RulesSources

if TYPE_CHECKING:
    from gateway.settings.gates import AccessSettings
    from gateway.settings.identity import StickySettings, TokenSettings
    from gateway.settings.routes import RouteSettings
    from gateway.yaml.reading import Location


class ServingSettings(Model):
    """What serve and sidecar have in common, and the questions that each settles in its own way.

    It has more members than a class should have: it is the document that an operator writes, key by key. Defaults that are
    models are made by `model_construct`, which builds no validator for them: they are valid as they are.
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
    carriers: CarrierSettings = CarrierSettings.model_construct()
    """Where requests carry their tag."""
    timeouts: TimeoutSettings = TimeoutSettings.model_construct()
    """How long the data plane waits."""
    limits: LimitSettings = LimitSettings.model_construct()
    """What the data plane accepts."""
    http2: Http2Settings = Http2Settings.model_construct()
    """HTTP/2 with clients."""
    retries: RetrySettings = RetrySettings.model_construct()
    """When a request is tried again."""
    ejection: EjectionSettings = EjectionSettings.model_construct()
    """When an instance gets no traffic for a while."""
    access_log: AccessLogSettings | None = None
    """A line for each request; left out: none."""
    records: RecordSettings = RecordSettings.model_construct()
    """The requests that the admin API shows."""
    tracing: bool = False
    """Whether requests of sampled traces get spans, which are sent to an OpenTelemetry collector. Where it is, and the rest,
    is said by the environment variables `OTEL_…`. Needs the extra `gray-gateway[otel]`."""
    allowed_hosts: list[AllowedHost] = Field(default_factory=list)
    """Names by which the admin API and the embedded registry are called, beside addresses, `localhost` and this machine's
    own; `*.example.com`: all below it. Where they listen beyond loopback, names without a dot are fine."""
    balancing: BalancingSettings = BalancingSettings.model_construct()
    """How requests are divided among the instances of services."""
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
    def served_clients(self) -> AccessSettings | None:
        """Which clients any route serves; None: all."""
        return None

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
