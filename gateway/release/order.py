"""An order (部署单): what is released, its tasks, and how far they are.

Order → jobs → stages → tasks. The tasks are kept as one list, in the order in which they are done. A *job* is what is done
for one application, or for the train as a whole; a *stage* is that of the workflow. Both are views of the list.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.release.states import PASSED, SETTLED, State, summary

TRAIN = ""
"""The job of what is done once for all applications of an order."""
TAKE_BACK = "take-back"
"""The stage that undoes what an order did."""


class Approval(BaseModel):
    """What one person said to a task that asks."""

    by: str
    agrees: bool
    reason: str
    at: float


class Task(BaseModel):
    """One step of a workflow, for one application or for the train."""

    stage: str
    step: int
    """Its place in the stage."""
    kind: str
    job: str = TRAIN
    """The application; empty: the train."""
    rank: int = 0
    """Tasks of one step and a lower rank are done first."""
    spec: dict[str, Any] = Field(default_factory=dict)
    """What the workflow says."""
    state: State = State.INIT
    started_at: float | None = None
    ended_at: float | None = None
    message: str = ""
    """What it does or waits for now, or why it failed."""
    progress: float = 0.0
    """From 0 to 1."""
    attempts: int = 0
    """How often it was begun: once, and once more for each retry."""
    approvals: list[Approval] = Field(default_factory=list)
    promoted: int = 0
    """How often a person said that it may go on."""
    memory: dict[str, Any] = Field(default_factory=dict)
    """What the step keeps for itself."""

    @property
    def name(self) -> str:
        """How people and the API call it: `gray.1.a`, unique in an order."""
        return f"{self.stage}.{self.step + 1}{f'.{self.job}' if self.job else ''}"

    @property
    def place(self) -> tuple[str, int]:
        """The step that it is a part of."""
        return self.stage, self.step


class Release(BaseModel):
    """One application of an order."""

    service: str
    version: str
    images: dict[str, str]
    commands: dict[str, list[str]] = Field(default_factory=dict)
    """What instances run, by image, if the manifest does not say."""
    manifests: dict[str, str] = Field(default_factory=dict)
    """The rendered orchestration, by environment."""
    before: dict[str, str | None] = Field(default_factory=dict)
    """The version that ran before, by environment; None: there was none."""


class Order(BaseModel):
    """What is released, and how far it is. Times are seconds since 1970."""

    id: int = 0
    """Given by the database."""
    revision: int = 0
    """Counts its changes."""
    kind: Literal["deploy", "rollback"] = "deploy"
    workflow: str
    state: State = State.INIT
    actor: str
    reason: str
    created_at: float
    ended_at: float | None = None
    resumed_at: float = 0.0
    """When it last went on after a pause."""
    releases: dict[str, Release]
    """By application."""
    environments: list[str]
    """Those that are its own until it ends."""
    lanes: list[tuple[str, str]] = Field(default_factory=list)
    """Group and lane of those that it opens."""
    tasks: list[Task]

    def current(self) -> list[Task]:
        """The tasks that something is to be done for now: those of the first step that is not through, of the lowest rank."""
        stopping = self.state is State.STOPPING
        left = [task for task in self.tasks if task.state not in PASSED and (not stopping or task.stage == TAKE_BACK)]
        if not left:
            return []
        first = left[0]
        rank = min(task.rank for task in left if task.place == first.place)
        return [task for task in left if task.place == first.place and task.rank == rank and task.state not in SETTLED]

    def is_through(self) -> bool:
        """Whether every task that counts is done."""
        stopping = self.state is State.STOPPING
        return all(task.state in PASSED for task in self.tasks if not stopping or task.stage == TAKE_BACK)

    def find(self, name: str) -> Task | None:
        """The task of a name."""
        return next((task for task in self.tasks if task.name == name), None)

    def deployed(self) -> list[tuple[str, str]]:
        """Environment and application of what it has begun to deploy, the last first."""
        return [
            (task.spec["environment"], task.job)
            for task in reversed(self.tasks)
            if task.kind == "deploy" and task.stage != TAKE_BACK and task.started_at is not None
        ]

    def opened(self) -> list[tuple[str, str]]:
        """The lanes that it has begun to open."""
        return [
            (task.spec["group"], task.spec["lane"])
            for task in self.tasks
            if task.kind == "lane" and task.spec.get("action") != "close" and task.started_at is not None
        ]

    def view(self) -> dict[str, Any]:
        """The order as jobs, their stages, and the tasks of those: plain values for people and programs."""
        jobs = list(dict.fromkeys(task.job for task in self.tasks))
        body = self.model_dump(mode="json", exclude={"tasks", "releases", "resumed_at"})
        body["releases"] = {
            name: release.model_dump(exclude={"manifests", "commands"}) for name, release in self.releases.items()
        }
        body["next"] = self._next()
        body["take_back"] = self._take_back()
        body["jobs"] = [
            {
                "job": job or "train",
                "state": summary(task.state for task in self.tasks if task.job == job),
                "stages": [
                    {
                        "stage": stage,
                        "state": summary(task.state for task in self._of(job, stage)),
                        "tasks": [_task_view(task) for task in self._of(job, stage)],
                    }
                    for stage in dict.fromkeys(task.stage for task in self.tasks if task.job == job)
                ],
            }
            for job in jobs
        ]
        return body

    def _of(self, job: str, stage: str) -> list[Task]:
        return [task for task in self.tasks if task.job == job and task.stage == stage]

    def _next(self) -> str:
        """What comes after what is done now."""
        now = {task.place for task in self.current()}
        left = [task for task in self.tasks if task.state is State.INIT and task.place not in now]
        return "" if not left else f"{left[0].kind} (stage {left[0].stage})"

    def _take_back(self) -> list[str]:
        """What an abort would do now."""
        said = [f"close lane {group}/{lane}" for group, lane in dict.fromkeys(self.opened())]
        for environment, app in dict.fromkeys(self.deployed()):
            before = self.releases[app].before.get(environment)
            said.append(f"{app} in {environment}: " + (f"back to {before}" if before else "remove"))
        return said


def _task_view(task: Task) -> dict[str, Any]:
    return {"task": task.name, "job": task.job or "train", **task.model_dump(mode="json", exclude={"memory", "job"})}
