"""The sources of lane rules."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from gateway.settings.fields import (
    Credential,
    FileName,
    KubernetesName,
    KubernetesObjectName,
    Model,
    NacosName,
    NacosNamespace,
    PositiveDuration,
    SourceName,
    TargetField,
)
from gateway.settings.servers import ServerSettings


def nacos_url(address: str, namespace: str, group: str, data_id: str) -> str:
    """The URL that names a Nacos config."""
    return f"nacos://{address}/{namespace + '/' if namespace else ''}{group}/{data_id}"


def consul_url(address: str, key: str) -> str:
    """The URL that names a Consul key or prefix."""
    return f"consul://{address}/{key}"


def config_map_url(namespace: str, name: str) -> str:
    """The URL that names a ConfigMap; without a namespace it is in the program's own. It ends with `/`, as its keys follow."""
    return f"kubernetes:{namespace + '/' if namespace else ''}{name}/"


def lane_groups_url(namespace: str) -> str:
    """The URL that names the LaneGroup objects of a namespace. It ends with `/`, as their names follow."""
    return f"kubernetes:{namespace + '/' if namespace else ''}lanegroups/"


class RemoteSource(Model):
    """Lane rules that a server keeps."""

    @property
    def name(self) -> str:
        """Its name in logs and problems: its location, as a URL."""
        raise NotImplementedError

    @property
    def place(self) -> str:
        """What it is called wherever its server is: that may be moved, and be copied with all it has."""
        raise NotImplementedError

    @property
    def server(self) -> str:
        """Which server that is, as text."""
        raise NotImplementedError

    @property
    def is_folder(self) -> bool:
        """Whether it is several documents."""
        raise NotImplementedError

    @property
    def secrets(self) -> tuple[str, ...]:
        """Passwords and tokens, including empty ones."""
        return ()


class RemoteRules(RemoteSource, ServerSettings):
    """A document of lane rules: a Nacos config, or a key in Consul's key-value store."""

    nacos: str | None = Field(default=None, min_length=1, max_length=256, pattern=r"^[0-9A-Za-z._:\-]+$")
    """The data id of a Nacos config."""
    consul: str | None = Field(default=None, min_length=1, max_length=512, pattern=r"^[^/?#\s][^?#\s]*$")
    """A Consul key. If it ends with `/`: every key below it whose name ends with `.yaml` or `.yml`, like a directory."""
    address: TargetField
    """The server's API."""
    group: NacosName = "DEFAULT_GROUP"
    """*nacos:* the group of the config."""
    namespace: NacosNamespace = ""
    """*nacos:* the namespace id. Default: the public namespace."""
    username: str = ""
    """*nacos:* the user to log in as. Default: no login."""
    password: str = ""
    """*nacos:* the user's password. Take it from the environment."""
    token: Credential = ""
    """A Nacos access token, or a Consul ACL token. Take it from the environment."""
    interval: PositiveDuration = 2.0
    """*nacos:* how often the document is polled, plus or minus a fifth."""

    @model_validator(mode="after")
    def _is_one(self) -> RemoteRules:
        if (self.nacos is None) == (self.consul is None):
            raise ValueError("a remote source has either `nacos` (a data id) or `consul` (a key)")
        if bool(self.username) != bool(self.password):
            raise ValueError("`username` and `password` belong together")
        if self.username and self.token:
            raise ValueError("either a user or a `token` is needed, not both")
        return self

    @property
    def is_folder(self) -> bool:
        """See RemoteSource."""
        return self.consul is not None and self.consul.endswith("/")

    @property
    def secrets(self) -> tuple[str, ...]:
        """See RemoteSource."""
        return self.password, self.token

    @property
    def place(self) -> str:
        """See RemoteSource."""
        return f"nacos:{self.group}/{self.nacos}" if self.nacos is not None else f"consul:{self.consul}"

    @property
    def server(self) -> str:
        """See RemoteSource."""
        return f"{self.address}|{self.namespace}"

    @property
    def name(self) -> str:
        """See RemoteSource."""
        address = str(self.address)
        if self.nacos is None:
            return consul_url(address, self.consul or "")
        return nacos_url(address, self.namespace, self.group, self.nacos)


class KubernetesPlace(Model):
    """Where rules are in a cluster."""

    name: KubernetesObjectName | None = None
    """A ConfigMap's name. Each of its keys that ends with `.yaml` or `.yml` is a file of rules."""
    namespace: KubernetesName = ""
    """The namespace. Default: the context's, or the pod's own."""
    lane_groups: bool = False
    """Instead of a ConfigMap: every LaneGroup object of the namespace."""
    kubeconfig: FileName | None = None
    """A kubeconfig file, relative to this file. Default: the service account of the pod that this program runs in."""
    context: str = ""
    """The context of the kubeconfig. Default: the file's current one."""

    @model_validator(mode="after")
    def _is_one(self) -> KubernetesPlace:
        if (self.name is None) != self.lane_groups:
            raise ValueError("either the `name` of a ConfigMap or `lane_groups: true` is needed")
        return self


class KubernetesRules(RemoteSource):
    """Lane rules in a Kubernetes cluster, read through its API: the files in a ConfigMap, or LaneGroup objects."""

    kubernetes: KubernetesPlace
    """A ConfigMap, or the LaneGroup objects of a namespace."""

    @property
    def name(self) -> str:
        """See RemoteSource."""
        return self.place

    @property
    def place(self) -> str:
        """See RemoteSource."""
        name, namespace = self.kubernetes.name, self.kubernetes.namespace
        return lane_groups_url(namespace) if name is None else config_map_url(namespace, name)

    @property
    def server(self) -> str:
        """See RemoteSource. A pod has one cluster, a kubeconfig one a context."""
        return f"{self.kubernetes.kubeconfig or ''}|{self.kubernetes.context}"

    @property
    def is_folder(self) -> bool:
        """See RemoteSource."""
        return True


def _kind(value: Any) -> str:
    if isinstance(value, KubernetesRules) or (isinstance(value, dict) and "kubernetes" in value):
        return "kubernetes"
    return "remote" if isinstance(value, dict | RemoteRules) else "path"


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


RulesSource = Annotated[
    Annotated[SourceName, Tag("path")]
    | Annotated[RemoteRules, Tag("remote")]
    | Annotated[KubernetesRules, Tag("kubernetes")],
    Discriminator(_kind),
]
RulesSources = Annotated[list[RulesSource], BeforeValidator(_one_or_many)]
"""One source, or a list of them."""
