"""`config/release.yaml`: the settings of `gateway release serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gateway.errors import ConfigError
from gateway.release.words import ReleaseName
from gateway.settings.fields import (
    Address,
    AddressField,
    AllowedHost,
    FileName,
    KubernetesName,
    Model,
    Secret,
    TargetField,
)
from gateway.settings.plane import SidecarDrainSettings
from gateway.settings.registry import SidecarRegistrySettings
from gateway.validation import validate
from gateway.yaml.reading import load


class ProcessesTargetSettings(Model):
    """Instances are processes on this machine, each with its sidecar."""

    kind: Literal["processes"]
    registry: SidecarRegistrySettings
    """Where the sidecars register them and find others."""
    host: str = Field(default="127.0.0.1", pattern=r"^[0-9A-Za-z.:-]+$")
    """The address of this machine that they listen on and are registered with."""
    drain: SidecarDrainSettings = SidecarDrainSettings()
    """How an instance leaves: as in `config/sidecar.yaml`."""
    keep_running: bool = True
    """Whether instances go on when the release server ends; with `false` they leave first, and are back when it is. After a
    kill -9 they go on in any case."""
    sidecar: dict[str, Any] = Field(default_factory=dict)
    """Further settings for each sidecar, as in `config/sidecar.yaml`."""
    ready_path: str | None = Field(default=None, pattern=r"^/[!-~]*$")
    """What is asked of an instance to find out whether it is ready, if its orchestration has no `readinessProbe`. Left
    out: a connection is enough."""


class KubernetesTargetSettings(Model):
    """Instances are pods of a Kubernetes cluster: each revision is a Deployment of its own."""

    kind: Literal["kubernetes"]
    kubeconfig: FileName | None = None
    """A kubeconfig file, relative to this file; left out: the service account of the pod that the release server runs in."""
    context: str = ""
    """The context of the kubeconfig; left out: the file's current one."""
    namespaces: list[KubernetesName] = Field(default_factory=list)
    """Where sidecars are looked for, beside the namespaces of environments that an order was about."""


TargetSettings = Annotated[ProcessesTargetSettings | KubernetesTargetSettings, Field(discriminator="kind")]


class ReleaseSettings(Model):
    """`config/release.yaml`."""

    listen: AddressField = Address(host="127.0.0.1", port=9910)
    """Where the API listens. Without `users` it asks nobody who they are, so keep it on loopback."""
    users: dict[str, Secret] = Field(default_factory=dict)
    """Who may use it: names and tokens, `Authorization: Bearer TOKEN`. The name is the actor of what they do."""
    allowed_hosts: list[AllowedHost] = Field(default_factory=list)
    """Names by which it is called, beside addresses, `localhost` and this machine's own."""
    state: FileName = "state"
    """The directory of its database, images, instances and logs, relative to this file."""
    database: str | None = Field(default=None, pattern=r"^postgresql://[!-~]+$")
    """A PostgreSQL database; left out: an SQLite file in `state`."""
    files: FileName = "release"
    """The directory of applications, environments and the rest, relative to this file."""
    entry: str = Field(default="http://127.0.0.1:8080", pattern=r"^https?://[0-9A-Za-z.:\[\]-]+$")
    """Where probes are sent: an entry gateway."""
    gateways: list[TargetField] = Field(default_factory=list)
    """The admin API of every entry gateway: lanes are changed and counters read there."""
    sidecars: list[TargetField] = Field(default_factory=list)
    """The admin API of sidecars that no target runs: they are asked what they know, too."""
    admin_token: Secret | None = None
    """The `admin_token` of the gateways."""
    targets: Annotated[dict[ReleaseName, TargetSettings], Field(min_length=1)]
    """Where environments are, by names of your own."""

    @model_validator(mode="after")
    def _has_different_tokens(self) -> ReleaseSettings:
        if len(set(self.users.values())) < len(self.users):
            raise ValueError("users: two of them have the same token")
        return self


@dataclass(frozen=True, slots=True)
class ReleaseConfig:
    """The settings, and the folders that they name."""

    settings: ReleaseSettings
    path: Path
    state: Path
    files: Path


def load_release(path: Path) -> ReleaseConfig:
    """Reads a configuration. Raises ConfigError with every problem."""
    try:
        document = load(path)
    except ConfigError as error:
        raise ConfigError(list(error.problems), [path]) from error
    folder = path.absolute().parent
    settings = validate(ReleaseSettings, document, document.data, context={"folder": folder})
    return ReleaseConfig(settings, path, folder / settings.state, folder / settings.files)
