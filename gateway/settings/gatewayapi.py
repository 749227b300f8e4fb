"""The Kubernetes Gateway API as a source of routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from gateway.settings.fields import AdvertisedHost, KubernetesName, KubernetesObjectName, Model, Parameter
from gateway.settings.registry import KubernetesRegistrySettings, RegistrySettings

_Token = Annotated[str, Field(pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$", max_length=256)]


class SplitBySettings(Model):
    """What keeps a client with its backend."""

    cookie: _Token | None = None
    """The cookie of this name."""
    header: _Token | None = None
    """The header field of this name."""
    param: Parameter | None = None
    """The query parameter of this name."""
    client_ip: bool = False
    """The client's address."""

    @model_validator(mode="after")
    def _is_one(self) -> SplitBySettings:
        if sum((bool(self.cookie), bool(self.header), bool(self.param), self.client_ip)) != 1:
            raise ValueError("exactly one of `cookie`, `header`, `param` and `client_ip: true` is needed")
        return self

    @property
    def key(self) -> tuple[str, str]:
        """The source of conditions, and its name."""
        for source in ("cookie", "header", "param"):
            name = getattr(self, source)
            if name:
                return source, name
        return "client_ip", ""


class GatewayApiSettings(Model):
    """Routes from the cluster of the registry of `kind: kubernetes`."""

    gateway: KubernetesObjectName
    """The Gateway object whose HTTPRoutes are served."""
    namespace: KubernetesName = ""
    """Its namespace. Default: that of the registry."""
    all_namespaces: bool = False
    """Whether routes of other namespaces are seen, and Services there."""
    addresses: list[AdvertisedHost] = Field(default_factory=list)
    """Where clients reach this gateway: addresses or host names, for the Gateway's status."""
    split_by: SplitBySettings | None = None
    """What keeps a client with its backend if a route divides requests by weight. Default: each request is drawn anew."""


def cluster_of(registries: Iterable[RegistrySettings]) -> KubernetesRegistrySettings | None:
    """The first cluster among registries: the one whose Gateway API is read."""
    return next((item for item in registries if isinstance(item, KubernetesRegistrySettings)), None)
