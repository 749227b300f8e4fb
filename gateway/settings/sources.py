"""Where lane rules are kept."""

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
    """What a Nacos config is called."""
    return f"nacos://{address}/{namespace + '/' if namespace else ''}{group}/{data_id}"


def consul_url(address: str, key: str) -> str:
    """What a key of Consul's store is called, or a prefix."""
    return f"consul://{address}/{key}"


class RemoteRules(Model):
    """A document of lane rules in a Nacos server's configuration, or a key of Consul's key-value store."""

    nacos: str | None = Field(default=None, min_length=1, max_length=256, pattern=r"^[0-9A-Za-z._:\-]+$")
    """The data id of a Nacos config."""
    consul: str | None = Field(default=None, min_length=1, max_length=512, pattern=r"^[^/?#\s][^?#\s]*$")
    """A key of Consul. With a `/` at its end every key below it whose name ends with `.yaml` or `.yml`, like a directory."""
    address: TargetField
    """The server's API."""
    group: NacosName = "DEFAULT_GROUP"
    """*nacos:* the config's group."""
    namespace: NacosNamespace = ""
    """*nacos:* the namespace's id; left out: the public one."""
    username: str = ""
    """*nacos:* the user to log in as; left out: nobody."""
    password: str = ""
    """*nacos:* the user's password. Take it from the environment."""
    token: Credential = ""
    """An access token of Nacos, the ACL token of Consul. Take it from the environment."""
    interval: PositiveDuration = 2.0
    """*nacos:* how often is asked."""

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
        """Whether it is more than one document."""
        return self.consul is not None and self.consul.endswith("/")

    @property
    def name(self) -> str:
        """What it is called in logs and problems: its place, as a URL."""
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
