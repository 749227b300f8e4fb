"""The sources of lane rules."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from gateway.settings.fields import (
    Credential,
    Model,
    NacosName,
    NacosNamespace,
    PositiveDuration,
    SourceName,
    TargetField,
)


def nacos_url(address: str, namespace: str, group: str, data_id: str) -> str:
    """The URL that names a Nacos config."""
    return f"nacos://{address}/{namespace + '/' if namespace else ''}{group}/{data_id}"


def consul_url(address: str, key: str) -> str:
    """The URL that names a Consul key or prefix."""
    return f"consul://{address}/{key}"


class RemoteRules(Model):
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
        """Whether it is several documents."""
        return self.consul is not None and self.consul.endswith("/")

    @property
    def name(self) -> str:
        """Its name in logs and problems: its location, as a URL."""
        address = str(self.address)
        if self.nacos is None:
            return consul_url(address, self.consul or "")
        return nacos_url(address, self.namespace, self.group, self.nacos)


def _kind(value: Any) -> str:
    return "remote" if isinstance(value, dict | RemoteRules) else "path"


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


RulesSource = Annotated[
    Annotated[SourceName, Tag("path")] | Annotated[RemoteRules, Tag("remote")], Discriminator(_kind)
]
RulesSources = Annotated[list[RulesSource], BeforeValidator(_one_or_many)]
"""One source, or a list of them."""
