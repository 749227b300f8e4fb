"""The registries that know the instances of services: the settings of each kind.

What the program does with a kind is its entry in `registry/kinds.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from gateway.instance import Instance, sorted_instances
from gateway.settings.fields import (
    Address,
    ConsulName,
    Credential,
    Duration,
    FileName,
    FolderPath,
    KubernetesName,
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
from gateway.settings.nacosports import NacosListenField
from gateway.settings.plane import CertificateSettings
from gateway.settings.servers import ServerSettings
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
"""The default keys that can hold a tag. `version` is not among them, because most teams use it for a release."""
MAX_WATCHES: Final = 100
"""Blocking queries to a Consul agent: it accepts 200 connections from one address, and other programs may share it."""


class StaticInstance(Model):
    """One address of a service in a static registry."""

    address: TargetField
    """The address of the instance."""
    tag: Tag = BASE
    """The instance's tag. Default: baseline."""
    weight: Weight = 1.0
    """Its share of the pool's traffic relative to the other instances; 0: none."""
    enabled: bool = True
    """false: no traffic."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Shown to people."""


class AnyRegistrySettings(Model):
    """What the settings of all kinds of registries share."""

    kind: str

    @property
    def identity(self) -> str | None:
        """Everything that its lists depend on, as text; it differs between registries. None if no copies are kept."""
        return None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Passwords and tokens, including empty ones."""
        return ()

    def instances(self) -> dict[str, tuple[Instance, ...]] | None:
        """All instances by service, or None if the registry knows more than the configuration."""
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
    """The program's own registry, in the same process."""

    kind: Literal["embedded"]
    listen: NacosListenField = Address(host="127.0.0.1", port=8848)
    """The address for sidecars and other Nacos clients."""
    warmup: Duration = 15.0
    """How long instance lists return 503 after a start, while instances register again. With `data`, the very first start has
    no warm-up."""
    data: FolderPath | None = None
    """Directory that keeps published configs, relative to this file. Default: configs are lost at a restart."""
    users: FolderPath | None = None
    """File of the users (`gateway registry user`), relative to this file. Default: whoever reaches the registry may use it."""
    tls: CertificateSettings | None = None
    """The certificate with which HTTP and gRPC are spoken over TLS. Default: no TLS."""


class RemoteRegistrySettings(AnyRegistrySettings):
    """What remote registries share."""

    tag_keys: list[TagKey] = Field(default_factory=lambda: list(DEFAULT_TAG_KEYS), min_length=1)
    """The metadata keys that can hold an instance's tag. The first key that is present decides."""

    @property
    def identity(self) -> str:
        """See AnyRegistrySettings."""
        ways = {"username", "password", "token", "interval", "protocol", "stale", "watches"} | set(
            ServerSettings.model_fields
        )
        return self.model_dump_json(exclude=ways)


class NacosRegistrySettings(RemoteRegistrySettings, ServerSettings):
    """A Nacos server or cluster, or `gateway registry serve`."""

    kind: Literal["nacos"]
    address: TargetField | None = None
    """The server's API port, usually 8848."""
    addresses: list[TargetField] = Field(default_factory=list)
    """The servers of a cluster, instead of `address`; the preferred one first."""
    namespace: NacosNamespace = ""
    """The namespace id. Default: the public namespace."""
    group: NacosName = "DEFAULT_GROUP"
    """The group of all services."""
    clusters: list[NacosName] = Field(default_factory=list)
    """Use only instances of these clusters; a sidecar registers in the first. Default: all clusters, registering in `DEFAULT`."""
    username: str = ""
    """The user to log in as. Default: no login."""
    password: str = ""
    """The user's password. Take it from the environment."""
    token: Credential = ""
    """An access token instead of a user."""
    protocol: Literal["auto", "grpc", "http"] = "auto"
    """`grpc`: the server, 1000 ports above, pushes changes; `http`: it is polled. `auto`: gRPC if the server speaks it."""
    interval: PositiveDuration = 2.0
    """*HTTP:* how often each service is polled; up to a fifth sooner, so that gateways do not poll in step."""

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
    def servers(self) -> list[str]:
        """Every address, `host:port`."""
        return [str(address) for address in (*self.addresses, *([self.address] if self.address else []))]


class ConsulRegistrySettings(RemoteRegistrySettings, ServerSettings):
    """A Consul agent, over HTTP."""

    kind: Literal["consul"]
    address: TargetField = Address(host="127.0.0.1", port=8500)
    """The agent's API. A sidecar needs the agent on its own machine."""
    token: Credential = ""
    """The ACL token. Take it from the environment."""
    datacenter: ConsulName = ""
    """The datacenter to query. Default: the agent's."""
    namespace: ConsulName = ""
    """The namespace (Consul Enterprise). Default: the token's."""
    stale: bool = True
    """Whether any server may respond, even without a leader."""
    warning: bool = True
    """Whether instances in the warning state get traffic."""
    watches: int = Field(default=MAX_WATCHES, ge=0, le=10_000)
    """How many services are watched by a blocking query of their own, which takes one connection each; changes to the other
    services are seen a little later. The agent's `limits.http_max_conns_per_client` (200) must have room for all clients of
    the agent."""
    bare_tags: list[Tag] = Field(default_factory=list)
    """Service tags that are a lane tag by themselves, such as `gray`."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """See AnyRegistrySettings."""
        return (self.token,)


class KubernetesRegistrySettings(RemoteRegistrySettings):
    """A Kubernetes cluster: Services, their EndpointSlices, and the labels of their pods."""

    kind: Literal["kubernetes"]
    kubeconfig: FileName | None = None
    """A kubeconfig file, relative to this file; left out: the service account of the pod that this program runs in."""
    context: str = ""
    """*with `kubeconfig`:* the context to use; left out: the file's current one."""
    namespace: KubernetesName = ""
    """The namespace of services that name none; left out: the context's, or the pod's own."""
    selector: str = ""
    """A label selector, as of `kubectl -l`: only Services with these labels count. Left out: all."""
    port: str = ""
    """The name or the number of the port that counts; left out: the only one, or the one that is named `http`."""
    ports: dict[ServiceName, str] = Field(default_factory=dict)
    """The same for single services."""


RegistrySettings = Annotated[
    StaticRegistrySettings
    | EmbeddedRegistrySettings
    | NacosRegistrySettings
    | ConsulRegistrySettings
    | KubernetesRegistrySettings,
    Field(discriminator="kind"),
]
SidecarRegistrySettings = Annotated[
    StaticRegistrySettings | NacosRegistrySettings | ConsulRegistrySettings | KubernetesRegistrySettings,
    Field(discriminator="kind"),
]


def known_instances(registries: Iterable[RegistrySettings]) -> dict[str, tuple[Instance, ...]] | None:
    """All instances by service, or None if a registry knows more than the configuration."""
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
    """The registries by name; a single one is named after its kind. Raises ValueError if there is none, or both are given."""
    if (registry is None) == (not registries):
        raise ValueError("either `registry` or `registries` is needed")
    return dict(registries) if registry is None else {registry.kind: registry}


def placed(
    registry: RegistrySettings | None, registries: Mapping[str, RegistrySettings]
) -> list[tuple[tuple[str | int, ...], RegistrySettings]]:
    """The registries, each with where it is in the file."""
    if registry is not None:
        return [(("registry",), registry)]
    return [(("registries", name), item) for name, item in registries.items()]
