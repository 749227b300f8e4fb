"""What the engine and the steps say to each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gateway.release.mesh import Mesh
from gateway.release.order import Order, Release, Task
from gateway.release.states import State
from gateway.release.store import VersionRecord
from gateway.release.targets.base import Place, Revision, Target

LOOK = 0.1
"""Seconds between two looks at what is under way."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a task is after a look."""

    state: State
    message: str
    progress: float = 0.0
    delay: float = LOOK
    """Seconds until the next look, of a task that goes on."""
    memory: dict[str, Any] | None = None
    """What the step keeps from now on; None: what it kept."""
    versions: tuple[VersionRecord, ...] = ()
    """What runs since then."""
    forgotten: tuple[str, ...] = ()
    """Environments that are no more."""


def running(message: str, progress: float = 0.0, memory: dict[str, Any] | None = None, delay: float = LOOK) -> Outcome:
    """It goes on by itself."""
    return Outcome(State.RUNNING, message, progress, delay, memory)


def waiting(message: str, progress: float = 0.0, memory: dict[str, Any] | None = None) -> Outcome:
    """It waits for a person."""
    return Outcome(State.SUSPENDED, message, progress, 1.0, memory)


def done(message: str = "", memory: dict[str, Any] | None = None) -> Outcome:
    """It is done."""
    return Outcome(State.SUCCESS, message, 1.0, 0.0, memory)


def failed(message: str, memory: dict[str, Any] | None = None) -> Outcome:
    """It has failed; a person decides what comes next."""
    return Outcome(State.FAILED, message, 0.0, 0.0, memory)


@dataclass(frozen=True, slots=True)
class World:
    """What steps look at and change."""

    targets: Mapping[str, Target]
    """By environment."""
    mesh: Mesh
    sidecars: Callable[[], Awaitable[list[str]]]
    """The admin API of every sidecar that a target runs."""
    namespace: Mapping[str, str]
    """The namespace of each environment."""
    folder: Path
    """Where commands run, relative to which sources are."""
    runs: Path
    """Where commands that run leave their output and their exit code."""
    images: Path
    """Where images are that were built here."""
    entry: str
    """Where probes are sent."""
    sources: Mapping[str, Any]
    """The source of each application, None if it has none."""
    now: Callable[[], float]
    versions: Mapping[tuple[str, str], VersionRecord] = field(default_factory=dict)
    """What ran before this order, by environment and application: what taking back comes to."""

    def place(self, environment: str, app: str) -> Place:
        """Where an application is in an environment."""
        return Place(environment, self.namespace.get(environment, "default"), app)


@dataclass(frozen=True, slots=True)
class Look:
    """What a step is told of its task."""

    order: Order
    task: Task
    world: World

    @property
    def release(self) -> Release:
        """The application of the task."""
        return self.order.releases[self.task.job]

    @property
    def elapsed(self) -> float:
        """Seconds since the task was begun."""
        return self.world.now() - (self.task.started_at or self.world.now())

    @property
    def at_work(self) -> float:
        """Seconds since it was begun, or since the order was resumed: what a time-out counts, for a pause is nobody's delay."""
        return min(self.elapsed, self.world.now() - self.order.resumed_at)

    def revision(self, environment: str) -> Revision:
        """What is to run in an environment."""
        release = self.release
        return Revision.of(
            release.version, release.service, release.manifests[environment], release.images, release.commands
        )


class StepRunner(Protocol):
    """One kind of step."""

    async def __call__(self, look: Look) -> Outcome:
        """Does the next thing. Raises GatewayError for what may be over the next time: it is asked again."""
        ...
