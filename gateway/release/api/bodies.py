"""What the API is told and what it says, as models: they check requests, and are the schemas of its OpenAPI page."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.release.states import State
from gateway.settings.fields import Model


class Why(Model):
    """Who does something says why."""

    reason: str = Field(min_length=1, max_length=1000)
    """For the audit log."""


class NewOrder(Why):
    """An order to begin."""

    apps: dict[str, str | None] = Field(min_length=1, max_length=100)
    """Applications, each with its version; null: the next number."""
    workflow: str | None = None
    """Another workflow than the applications'."""
    images: dict[str, str] = Field(default_factory=dict)
    """Images that are there already: `backend`, or `a.backend` for one application."""
    values: dict[str, str] = Field(default_factory=dict)
    """Values of placeholders."""
    dry_run: bool = False
    """Says what the order would be, and begins none."""


class Abort(Why):
    """How an order is ended."""

    keep: bool = False
    """A failed order ends as it is; else everything is taken back."""


class Promote(Why):
    """How far an order may go on."""

    full: bool = False
    """Through all batches; else to the end of the next."""


class Undo(Why):
    """Which version is to come back."""

    app: str
    environment: str
    version: str | None = None
    """null: the one before."""


class TaskBody(BaseModel):
    """A task, as it is shown."""

    task: str
    job: str
    stage: str
    kind: str
    state: State
    message: str
    progress: float
    started_at: float | None
    ended_at: float | None
    attempts: int
    spec: dict[str, Any]
    approvals: list[dict[str, Any]]


class StageBody(BaseModel):
    """A stage of a job."""

    stage: str
    state: State
    tasks: list[TaskBody]


class JobBody(BaseModel):
    """What an order does for one application, or for all of them at once."""

    job: str
    state: State
    stages: list[StageBody]


class ReleaseBody(BaseModel):
    """An application of an order."""

    service: str
    version: str
    images: dict[str, str]
    before: dict[str, str | None]
    """The version that ran before, by environment."""


class OrderBody(BaseModel):
    """An order, as it is shown."""

    id: int
    revision: int
    kind: Literal["deploy", "rollback"]
    workflow: str
    state: State
    actor: str
    reason: str
    created_at: float
    ended_at: float | None
    environments: list[str]
    releases: dict[str, ReleaseBody]
    next: str
    take_back: list[str]
    """What an abort would do now."""
    jobs: list[JobBody]


class Orders(BaseModel):
    """Several orders."""

    orders: list[OrderBody]


class LockBody(BaseModel):
    """Who has locked an environment."""

    by: str
    reason: str
    at: float


class EnvironmentBody(BaseModel):
    """An environment, as it is."""

    environment: str
    level: str
    state: Literal["NEW", "DEPLOYING", "RUNNING", "ERROR"]
    lock: LockBody | None
    order: int | None
    """The order that it is a part of now."""


class Environments(BaseModel):
    """All of them."""

    environments: list[EnvironmentBody]


class Apps(BaseModel):
    """Every application, and what of it runs where."""

    apps: list[dict[str, Any]]


class VersionBody(BaseModel):
    """A version that ran or runs."""

    environment: str
    application: str
    version: str | None
    """null: everything was removed."""
    order: int
    images: dict[str, str]
    actor: str
    reason: str
    at: float


class History(BaseModel):
    """What ran, the newest first."""

    versions: list[VersionBody]


class LineBody(BaseModel):
    """A line of the audit log."""

    id: int
    at: float
    actor: str
    action: str
    subject: str
    reason: str
    order: int | None


class Audit(BaseModel):
    """Lines, the oldest first."""

    lines: list[LineBody]


class Manifest(BaseModel):
    """What was rendered for what runs."""

    version: str | None
    manifest: str


class Logs(BaseModel):
    """The names of logs."""

    logs: list[str]


class LogBody(BaseModel):
    """A piece of a log."""

    text: str
    next: int
    """The offset of the next piece."""
