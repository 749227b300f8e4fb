"""Where the instances of services are known: the settings of each kind of registry.

What the program does with a kind is its entry in `registry/kinds.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from gateway.instance import Instance, sorted_instances
from gateway.settings.fields import (
    Address,
    AddressField,
    ConsulName,
    Credential,
    Duration,
    FileName,
    FolderPath,
    Model,
    NacosName,
    NacosNamespace,
    PositiveDuration,
    ServiceName,
    Tag,
    TagKey,
    TargetField,
    Weight,
)
from gateway.settings.plane import CertificateSettings
from gateway.tags import BASE

DEFAULT_TAG_KEYS: Final = (
    "alicloud.service.tag",
    "opensergo.io/canary",
    "__micro.service.env__",
    "dubbo.tag",
    "gray.tag",
    "lane",
    "tag",
)
"""Where tags are looked for unless told otherwise. `version` is not among them: most who have one mean a release."""
MAX_WATCHES: Final = 100
"""Waiting queries to a Consul agent: it takes 200 connections from an address, and others may sit behind the same one."""


class StaticInstance(Model):
    """One address of a service in a static registry."""

    address: TargetField
    """Where it serves."""
    tag: Tag = BASE
    """What it is marked with; left out: baseline."""
    weight: Weight = 1.0
    """Its share of the pool's traffic; 0: none."""
    enabled: bool = True
    """false: no traffic."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Shown to people."""


class AnyRegistrySettings(Model):
    """What the settings of every registry say of themselves."""

    kind: str

    @property
    def identity(self) -> str | None:
        """What its lists depend on, as text: that of another registry differs. None if no copies of them are kept."""
        return None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Passwords and tokens, the empty ones included."""
        return ()

    @property
    def is_secured(self) -> bool:
        """Whether it is reached over TLS."""
        return False

    @property
    def authorities(self) -> str | None:
        """The file of the authorities to trust; None: the system's."""
        return None

    def instances(self) -> dict[str, tuple[Instance, ...]] | None:
        """Every instance, by service; None if the registry knows more than the configuration."""
        return None


class StaticRegistrySettings(AnyRegistrySettings):
    """Instances listed in the configuration; reloaded with it."""

    kind: Literal["static"]
    services: dict[ServiceName, list[StaticInstance]] = Field(default_factory=dict)
    """Instances by service name."""

    def instances(self) -> dict[str, tuple[Instance, ...]]:
        """See AnyRegistrySettings."""
        return {
            service: sorted_instances(
                Instance(item.address.host, item.address.port, item.tag, item.weight, True, item.enabled, item.metadata)
                for item in items
            )
            for service, items in self.services.items()
        }


class EmbeddedRegistrySettings(AnyRegistrySettings):
    """The registry that this program brings along, in the same process."""

    kind: Literal["embedded"]
    listen: AddressField = Address(host="127.0.0.1", port=8848)
    """Where sidecars and other Nacos clients reach it."""
    warmup: Duration = 15.0
    """How long lists answer 503 after a start while instances register again; not at a first start, where `data` tells."""
    data: FolderPath | None = None
    """Directory that keeps published configs, relative to this file; left out: they are gone after a restart."""
    users: FolderPath | None = None
    """File of those who may use it (`gateway registry user`), relative to this file; left out: whoever reaches it."""
    tls: CertificateSettings | None = None
    """Others reach it over TLS, by HTTP and gRPC alike, with this certificate; left out: in the clear."""


class RemoteRegistrySettings(AnyRegistrySettings):
    """What registries on other machines have in common."""

    tag_keys: list[TagKey] = Field(default_factory=lambda: list(DEFAULT_TAG_KEYS), min_length=1)
    """Where an instance's metadata says its tag: the first key that is there decides."""

    @property
    def identity(self) -> str:
        """See AnyRegistrySettings."""
        ways = {"username", "password", "token", "interval", "protocol", "scheme", "ca", "stale", "watches"}
        return self.model_dump_json(exclude=ways)


class NacosRegistrySettings(RemoteRegistrySettings):
    """A Nacos server or cluster, or `gateway registry serve`."""

    kind: Literal["nacos"]
    address: TargetField | None = None
    """The server's API port, 8848 as a rule."""
    addresses: list[TargetField] = Field(default_factory=list)
    """Instead of `address`: the servers of a cluster, the preferred one first."""
    namespace: NacosNamespace = ""
    """The namespace's id; left out: the public one."""
    group: NacosName = "DEFAULT_GROUP"
    """The group of all services."""
    clusters: list[NacosName] = Field(default_factory=list)
    """Clusters whose instances count; a sidecar registers in the first. Left out: all, and `DEFAULT`."""
    username: str = ""
    """The user to log in as; left out: nobody."""
    password: str = ""
    """The user's password. Take it from the environment."""
    token: Credential = ""
    """An access token instead of a user."""
    protocol: Literal["auto", "grpc", "http"] = "auto"
    """`grpc`: the server, 1000 ports above, tells of changes; `http`: it is asked. `auto`: gRPC where that is answered."""
    scheme: Literal["http", "https"] = "http"
    """Whether the server speaks TLS, over HTTP and gRPC alike."""
    ca: FileName | None = None
    """*https:* a PEM file of the authorities to trust, relative to this file; left out: the system's."""
    interval: PositiveDuration = 2.0
    """*HTTP:* how often each service is asked for; up to a fifth sooner, so that gateways do not ask in step."""

    @model_validator(mode="after")
    def _has_addresses(self) -> NacosRegistrySettings:
        if (self.address is None) == (not self.addresses):
            raise ValueError("either `address` or `addresses` is needed")
        if bool(self.username) != bool(self.password):
            raise ValueError("`username` and `password` belong together")
        if self.username and self.token:
            raise ValueError("either a user or a `token` is needed, not both")
        return self

    @property
    def secrets(self) -> tuple[str, ...]:
        """See AnyRegistrySettings."""
        return self.password, self.token

    @property
    def is_secured(self) -> bool:
        """See AnyRegistrySettings."""
        return self.scheme == "https"

    @property
    def authorities(self) -> str | None:
        """See AnyRegistrySettings."""
        return self.ca

    @property
    def servers(self) -> list[str]:
        """Every address, `host:port`."""
        return [str(address) for address in (*self.addresses, *([self.address] if self.address else []))]


class ConsulRegistrySettings(RemoteRegistrySettings):
    """A Consul agent, over HTTP."""

    kind: Literal["consul"]
    address: TargetField = Address(host="127.0.0.1", port=8500)
    """The agent's API. Sidecars need the one of their own machine."""
    scheme: Literal["http", "https"] = "http"
    """How the agent speaks."""
    ca: FileName | None = None
    """*https:* a PEM file of the authorities to trust, relative to this file; left out: the system's."""
    token: Credential = ""
    """The ACL token. Take it from the environment."""
    datacenter: ConsulName = ""
    """The datacenter to ask for; left out: the agent's."""
    namespace: ConsulName = ""
    """The namespace (Consul Enterprise); left out: the token's."""
    stale: bool = True
    """Whether any server may answer, be there a leader or not."""
    warning: bool = True
    """Whether instances with a warning get traffic."""
    watches: int = Field(default=MAX_WATCHES, ge=0, le=10_000)
    """Services that are waited for by a query of their own, which takes a connection; changes of those beyond are seen a
    little later. The agent's `limits.http_max_conns_per_client` (200) must have room for all of its clients."""
    bare_tags: list[Tag] = Field(default_factory=list)
    """Words among a service's tags that are a tag by themselves, as `gray`."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """See AnyRegistrySettings."""
        return (self.token,)

    @property
    def is_secured(self) -> bool:
        """See AnyRegistrySettings."""
        return self.scheme == "https"

    @property
    def authorities(self) -> str | None:
        """See AnyRegistrySettings."""
        return self.ca


RegistrySettings = Annotated[
    StaticRegistrySettings | EmbeddedRegistrySettings | NacosRegistrySettings | ConsulRegistrySettings,
    Field(discriminator="kind"),
]
SidecarRegistrySettings = Annotated[
    StaticRegistrySettings | NacosRegistrySettings | ConsulRegistrySettings, Field(discriminator="kind")
]


def known_instances(registries: Iterable[RegistrySettings]) -> dict[str, tuple[Instance, ...]] | None:
    """Every instance there is, by service; None if a registry knows more than the configuration."""
    known: dict[str, tuple[Instance, ...]] = {}
    for registry in registries:
        listed = registry.instances()
        if listed is None:
            return None
        for service, instances in listed.items():
            known[service] = sorted_instances((*known.get(service, ()), *instances))
    return known


def one_or_several(
    registry: RegistrySettings | None, registries: Mapping[str, RegistrySettings]
) -> dict[str, RegistrySettings]:
    """The registries by name: one has its kind for a name. Raises ValueError if there is none, or both are given."""
    if (registry is None) == (not registries):
        raise ValueError("either `registry` or `registries` is needed")
    return dict(registries) if registry is None else {registry.kind: registry}
