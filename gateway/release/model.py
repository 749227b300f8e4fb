"""What operators write under `config/release/`: the pydantic models of each kind of file.

The docstring of each field is its reference; `docs/release.md` lists them, and a test compares the two.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from gateway.release.words import Command, Key, ReleaseName
from gateway.settings.fields import Duration, FileName, Model, PositiveDuration, RuleName, ServiceName, Tag

VALUE_TYPES = ("string", "number", "boolean", "float", "object")


class Source(Model):
    """Where the sources of an application are."""

    folder: FileName | None = None
    """A folder, relative to the folder of the release's files."""
    git: str | None = Field(default=None, pattern=r"^[!-~]+$")
    """A repository's URL; `build` clones it."""
    revision: str = Field(default="HEAD", pattern=r"^[0-9A-Za-z][0-9A-Za-z._/-]*$")
    """The branch, tag or commit of `git`."""

    @model_validator(mode="after")
    def _is_one(self) -> Source:
        if (self.folder is None) == (self.git is None):
            raise ValueError("either 'folder' or 'git' says where the sources are")
        return self


class Image(Model):
    """An image of an application."""

    repository: str | None = Field(default=None, pattern=r"^[0-9A-Za-z][0-9A-Za-z._:/-]*$")
    """What stands before its version, `registry.example/shop/a`; left out: the application's and the image's name."""
    command: Command = Field(default_factory=list)
    """What an instance runs if the orchestration does not say: the entry point, which the target `processes` needs."""


class AppEnvironment(Model):
    """What an application says of one of its environments."""

    values: dict[Key, Any] = Field(default_factory=dict)
    """Values of placeholders, for this environment alone."""


class Application(Model):
    """`apps/NAME.yaml`."""

    service: ServiceName
    """Its name in the registry."""
    calls: list[ServiceName] = Field(default_factory=list)
    """The services that it calls: production is released from the end of this chain."""
    source: Source | None = None
    """Where its sources are; left out: it is not built here."""
    images: dict[Key, Image] = Field(default_factory=lambda: {"backend": Image()})
    """Its images, by the names that `.AppStack.image.NAME` uses."""
    environments: dict[ReleaseName, AppEnvironment | None]
    """Where it is deployed."""
    orchestration: ReleaseName
    """The file in `orchestrations/`."""
    workflow: ReleaseName
    """The file in `workflows/`."""
    values: dict[Key, Any] = Field(default_factory=dict)
    """Values of placeholders, for every environment."""


class Environment(Model):
    """`environments/NAME.yaml`."""

    level: Literal["test", "pre", "gray", "prod"]
    """What it is for."""
    target: ReleaseName = "local"
    """The target of `config/release.yaml` that it is on."""
    namespace: ReleaseName = "default"
    """What its instances are kept apart by, if the target has namespaces."""
    variable_groups: list[ReleaseName] = Field(default_factory=list)
    """Files in `variables/`: values of placeholders; a later one wins."""
    values: dict[Key, Any] = Field(default_factory=dict)
    """Values of placeholders, for every application here."""


class Variables(Model):
    """`variables/NAME.yaml`: a group of variables."""

    values: dict[Key, Any]
    """Values of placeholders."""


class Placeholder(Model):
    """A value that an orchestration asks for as `.Values.NAME`."""

    name: Key
    """How it is called."""
    type: Literal["string", "number", "boolean", "float", "object"] = "string"
    """What its value is: a number is whole, a float has a fraction."""
    value: Any = None
    """Its value if nothing else gives one. Left out: something must."""
    rule: str | None = None
    """A regular expression (RE2) that the whole of its value, as text, must match."""
    overridable: bool = True
    """Whether applications, environments and orders may give another value."""


class Orchestration(Model):
    """`orchestrations/NAME.yaml`."""

    template: FileName
    """The file with the Go template of Kubernetes documents, relative to this one."""
    placeholders: list[Placeholder] = Field(default_factory=list)
    """The values that it asks for."""


class Parameter(Model):
    """The parameters that `gateway release new` takes with `--set`."""

    name: Key
    """How it is called."""
    value: str | None = None
    """Its value if `--set` gives none. Left out: `--set` must."""


class ApplicationTemplate(Model):
    """`templates/NAME.yaml`: the files of a new application."""

    extends: ReleaseName | None = None
    """Another template, whose parameters and files this one has too; its own win."""
    parameters: list[Parameter] = Field(default_factory=list)
    """What is asked for, `.Values.NAME` in the files. `.App.name` is the application's name."""
    files: dict[str, str] = Field(default_factory=dict)
    """The files: path, below the folder of the release, and content, both Go templates."""


class Batch(Model):
    """How much of the new version runs after a batch."""

    weight: int | None = Field(default=None, ge=1, le=100)
    """Per cent of the instances."""
    replicas: int | None = Field(default=None, ge=1)
    """So many instances."""

    @model_validator(mode="after")
    def _is_one(self) -> Batch:
        if (self.weight is None) == (self.replicas is None):
            raise ValueError("a batch ends at a 'weight' or at a number of 'replicas'")
        return self


class Strategy(Model):
    """How a new version takes the place of the old one."""

    type: Literal["rolling", "batch", "recreate"] = "rolling"
    """`rolling`: instance by instance. `batch`: in `batches` or `steps`. `recreate`: the old ones go first; requests fail."""
    batches: int = Field(default=1, ge=1, le=50)
    """So many batches of the same size."""
    steps: list[Batch] = Field(default_factory=list, max_length=50)
    """Instead of `batches`: where each ends. After the last of them everything is new."""
    confirm: Literal["first", "each", "none"] = "none"
    """After which batches a person is asked whether to go on."""
    timeout: PositiveDuration = 600.0
    """How long a batch may take."""
    on_timeout: Literal["keep", "rollback"] = "keep"
    """What happens then: the order fails and everything stays as it is, or the old version comes back first."""
    max_unavailable: int = Field(default=0, ge=0)
    """How many instances may be missing meanwhile. With 0 a new one is ready before an old one goes."""

    @model_validator(mode="after")
    def _fits(self) -> Strategy:
        if self.steps and self.batches != 1:
            raise ValueError("either 'batches' or 'steps' says where batches end")
        if self.type != "batch" and (self.steps or self.batches != 1):
            raise ValueError(f"'batches' and 'steps' are for type batch, not {self.type}")
        return self


class BuildStep(Model):
    """Makes the images of the application's sources."""

    command: Command = Field(default_factory=list)
    """What builds, in the folder of the sources; `IMAGE`, `IMAGE_NAME`, `VERSION` and `APPLICATION` are in its environment.
    Left out: nothing is to be built, and the sources are the image."""
    dockerfile: FileName | None = None
    """A Dockerfile in the sources, built by `docker` or `podman`."""
    timeout: PositiveDuration = 3600.0
    """How long it may take."""

    @model_validator(mode="after")
    def _is_one(self) -> BuildStep:
        if self.command and self.dockerfile is not None:
            raise ValueError("either 'command' or 'dockerfile' says how to build")
        return self


class ApproveStep(Model):
    """Waits until people agree."""

    by: list[str] = Field(default_factory=list)
    """Who may; left out: everybody but nobody without a name."""
    count: int = Field(default=1, ge=1, le=20)
    """How many of them have to."""
    expires: PositiveDuration = 86_400.0
    """How long they have."""

    @model_validator(mode="after")
    def _is_possible(self) -> ApproveStep:
        if self.by and self.count > len(set(self.by)):
            raise ValueError(f"{self.count} people have to approve, and only {len(set(self.by))} may")
        return self


class DeployStep(Model):
    """Has the order's version run in an environment."""

    environment: ReleaseName
    """Where."""
    strategy: Strategy = Strategy()
    """How."""
    together: bool = False
    """Whether the applications of an order go at once in production, too; left out: one after the other, from the end of the
    call chain."""


class LaneStep(Model):
    """Changes a lane in every gateway."""

    group: RuleName
    """The lane's group."""
    lane: RuleName
    """The lane."""
    action: Literal["open", "close"] | None = None
    """Opens or closes it. It opens when its instances are ready and known to everybody who calls them."""
    percent: float | None = Field(default=None, ge=0, le=100)
    """The share of its first `percent` condition from now on."""
    timeout: PositiveDuration = 120.0
    """How long that may take."""

    @model_validator(mode="after")
    def _does_something(self) -> LaneStep:
        if self.action is None and self.percent is None:
            raise ValueError("'action' or 'percent' says what to change")
        return self


class Probe(Model):
    """Requests to the entry, and what has to come of them."""

    path: str = Field(pattern=r"^/[!-~]*$")
    """Path and query."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Further fields, of requests that a header or a cookie marks."""
    count: int = Field(default=20, ge=1, le=1000)
    """How many."""
    status: int = Field(default=200, ge=100, le=599)
    """The status that each has to have."""
    body: str | None = None
    """A regular expression (RE2) that is to be found in each response's body: the path that it took, say."""
    share: float = Field(default=1.0, gt=0, le=1)
    """How many of them have to be so, as a part of 1."""


class Analysis(Model):
    """Compares the lane's requests with the baseline's, as the gateways count them."""

    duration: PositiveDuration
    """For how long."""
    tag: Tag = "gray"
    """The tag of the instances that are judged."""
    services: list[ServiceName] = Field(default_factory=list)
    """Which services; left out: those of the order."""
    min_requests: int = Field(default=10, ge=0)
    """Fewer are no sample: then nothing is decided by them, and the step fails."""
    max_errors: float = Field(default=0.01, ge=0, le=1)
    """How many more of the lane's requests than of the baseline's may fail (5xx, and such of gRPC), as a part of 1."""
    max_p95_ratio: float = Field(default=2.0, gt=0)
    """How many times the baseline's 95th percentile the lane's may be."""


class PrometheusCheck(Model):
    """A query whose value must not be above a threshold."""

    url: str = Field(pattern=r"^https?://[!-~]+$")
    """The Prometheus server."""
    query: str
    """PromQL with one value."""
    max: float
    """The largest value that is fine."""


class VerifyStep(Model):
    """Looks whether the new version does what it should."""

    probes: list[Probe] = Field(default_factory=list)
    """Requests."""
    analysis: Analysis | None = None
    """Statistics."""
    prometheus: PrometheusCheck | None = None
    """A query, asked at the end."""
    guard: PositiveDuration | None = None
    """How long it waits, at the end, for the guards of the order's lanes to find them good twice; left out: it does not."""
    on_failure: Literal["ask", "abort"] = "ask"
    """What happens then: the order stops, and a person decides, or it takes everything back."""
    timeout: PositiveDuration = 600.0
    """How long it may take."""

    @model_validator(mode="after")
    def _verifies(self) -> VerifyStep:
        if not self.probes and self.analysis is None and self.prometheus is None and self.guard is None:
            raise ValueError("'probes', 'analysis', 'prometheus' or 'guard' says what to look at")
        return self


class PauseStep(Model):
    """Waits."""

    duration: Duration | None = None
    """For how long; left out: until a person says `promote`."""


class CleanupStep(Model):
    """Removes what runs in an environment: closed lane, nothing in flight, deregistered, stopped."""

    environment: ReleaseName
    """Where."""
    and_environment: bool = False
    """Whether the environment itself is forgotten too: its state and its versions."""
    timeout: PositiveDuration = 600.0
    """How long it may take."""


class RunStep(Model):
    """Runs any command, once an order."""

    command: Annotated[Command, Field(min_length=1)]
    """What is run, in the folder of the release's files. `ORDER` is in its environment, and `VERSION` and `APPLICATION`,
    which are empty in an order of several applications."""
    timeout: PositiveDuration = 600.0
    """How long it may take."""


class Step(Model):
    """One step: exactly one of these."""

    build: BuildStep | None = None
    approve: ApproveStep | None = None
    deploy: DeployStep | None = None
    lane: LaneStep | None = None
    verify: VerifyStep | None = None
    pause: PauseStep | None = None
    cleanup: CleanupStep | None = None
    run: RunStep | None = None

    @field_validator("build", "approve", "pause", mode="before")
    @classmethod
    def _may_be_empty(cls, value: Any) -> Any:
        return {} if value is None else value  # `- approve:` says it all

    @model_validator(mode="after")
    def _is_one(self) -> Step:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a step is exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """Which one it is."""
        return next(iter(self.model_fields_set))

    @property
    def spec(self) -> Any:
        """What it says."""
        return getattr(self, self.kind)


class Stage(Model):
    """A part of a workflow."""

    name: ReleaseName
    """How it is called."""
    steps: Annotated[list[Step], Field(min_length=1)]
    """What is done, in this order."""


class Workflow(Model):
    """`workflows/NAME.yaml`."""

    stages: Annotated[list[Stage], Field(min_length=1)]
    """What is done, in this order."""
