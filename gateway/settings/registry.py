"""Where the instances of services are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gateway.routing.instance import BASE, Instance, sorted_instances
from gateway.settings.fields import Address, AddressField, Duration, Model, PositiveDuration, ServiceName, Tag, Weight


class StaticInstance(Model):
    """One address of a service in a static registry."""

    address: AddressField
    """Where it serves."""
    tag: Tag = BASE
    """What it is marked with; left out: baseline."""
    weight: Weight = 1.0
    """Its share of the pool's traffic; 0: none."""
    enabled: bool = True
    """false: no traffic."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Shown to people."""


class StaticRegistrySettings(Model):
    """Instances listed in the configuration; reloaded with it."""

    kind: Literal["static"]
    services: dict[ServiceName, list[StaticInstance]] = Field(default_factory=dict)
    """Instances by service name."""

    def instances(self) -> dict[str, tuple[Instance, ...]]:
        """The instances as routing knows them."""
        return {
            service: sorted_instances(
                Instance(item.address.host, item.address.port, item.tag, item.weight, True, item.enabled, item.metadata)
                for item in items
            )
            for service, items in self.services.items()
        }


class EmbeddedRegistrySettings(Model):
    """The registry that this program brings along, in the same process."""

    kind: Literal["embedded"]
    listen: AddressField = Address(host="127.0.0.1", port=8848)
    """Where sidecars and other Nacos clients reach it."""
    warmup: Duration = 15.0
    """How long lists answer 503 after a start while instances register again; 0 for a first start."""
    data: Path | None = None
    """Directory that keeps published configs; left out: they are gone after a restart."""


class NacosRegistrySettings(Model):
    """A Nacos server, or `gateway registry`, over HTTP."""

    kind: Literal["nacos"]
    address: AddressField
    """The server's API port, 8848 as a rule."""
    namespace: str = ""
    """The namespace's id; left out: the public one."""
    group: str = "DEFAULT_GROUP"
    """The group of all services."""
    interval: PositiveDuration = 2.0
    """How often each service is asked for, give or take a fifth."""


RegistrySettings = Annotated[
    StaticRegistrySettings | EmbeddedRegistrySettings | NacosRegistrySettings, Field(discriminator="kind")
]
SidecarRegistrySettings = Annotated[StaticRegistrySettings | NacosRegistrySettings, Field(discriminator="kind")]
