"""Orders made: from applications and their workflow to tasks, and from what an order did to the tasks that take it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import GatewayError
from gateway.release.catalog import Catalog
from gateway.release.model import Step, Strategy, Workflow
from gateway.release.orchestration import render_app
from gateway.release.order import TAKE_BACK, Order, Release, Task
from gateway.release.store import VersionRecord
from gateway.release.words import is_version

ONCE = frozenset({"approve", "lane", "verify", "pause", "run"})
"""Steps that are done once for all applications of an order; the others are done for each."""

Current = Mapping[tuple[str, str], VersionRecord]
"""What runs, by environment and application."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to be released."""

    apps: Mapping[str, str | None]
    """Applications, each with its version; None: the next number."""
    actor: str
    reason: str
    workflow: str | None = None
    """Another workflow than the applications'."""
    images: Mapping[tuple[str | None, str], str] = field(default_factory=dict)
    """Images that are there already, by application (None: each) and image."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Values of placeholders."""


def plan_release(
    catalog: Catalog, wish: Wish, current: Current, given: Mapping[str, Sequence[str]], now: float
) -> Order:
    """The order that a wish comes to. Raises GatewayError, ConfigError if it cannot be.

    `given` are versions that there were already, by application: the next number is above them.
    """
    if not wish.apps:
        raise GatewayError("an order releases one application at least")
    for app in wish.apps:
        if app not in catalog.apps:
            known = ", ".join(sorted(catalog.apps)) or "none"
            raise GatewayError(f"there is no application '{app}' (there are: {known})")
    name, workflow = _workflow(catalog, wish)
    steps = [step for stage in workflow.stages for step in stage.steps]
    environments = list(dict.fromkeys(step.spec.environment for step in steps if step.kind in ("deploy", "cleanup")))
    builds = any(step.kind == "build" for step in steps)
    unknown = sorted({app for app, _ in wish.images if app is not None} - set(wish.apps))
    if unknown:
        raise GatewayError(f"an image is given for '{unknown[0]}', which this order does not release")
    releases = {
        app: _release(catalog, wish, app, environments, builds=builds, current=current, given=given.get(app, ()))
        for app in catalog.call_chain(wish.apps)
    }
    order = Order(
        workflow=name,
        actor=wish.actor,
        reason=wish.reason,
        created_at=now,
        releases=releases,
        environments=environments,
        tasks=_tasks(catalog, workflow, list(releases)),
    )
    order.lanes = list(dict.fromkeys((step.spec.group, step.spec.lane) for step in steps if step.kind == "lane"))
    return order


def plan_deploy(
    app: str,
    environment: str,
    record: VersionRecord,
    service: str,
    *,
    before: VersionRecord | None,
    actor: str,
    reason: str,
    now: float,
    strategy: Strategy | None = None,
) -> Order:
    """The order that brings a version back that was there before."""
    release = _of_record(service, record, environment, before)
    spec = {"environment": environment, "strategy": (strategy or Strategy()).model_dump()}
    task = Task(stage="rollback", step=0, kind="deploy", job=app, spec=spec)
    return Order(
        kind="rollback",
        workflow="rollback",
        actor=actor,
        reason=reason,
        created_at=now,
        releases={app: release},
        environments=[environment],
        tasks=[task],
    )


def plan_take_back(order: Order) -> list[Task]:
    """The tasks that undo what an order has done: traffic first, then what it deployed, the last first."""
    tasks: list[Task] = []
    for group, lane in dict.fromkeys(order.opened()):
        spec = {"group": group, "lane": lane, "action": "close", "percent": None, "timeout": 120.0}
        tasks.append(Task(stage=TAKE_BACK, step=len(tasks), kind="lane", spec=spec))
    for environment, app in dict.fromkeys(order.deployed()):
        task = Task(stage=TAKE_BACK, step=len(tasks), kind="restore", job=app)
        task.spec = {"environment": environment, "timeout": 600.0}
        tasks.append(task)
    return tasks


def _workflow(catalog: Catalog, wish: Wish) -> tuple[str, Workflow]:
    names = {wish.workflow} if wish.workflow is not None else {catalog.apps[app].value.workflow for app in wish.apps}
    if len(names) > 1:
        raise GatewayError(
            f"the applications have different workflows ({', '.join(sorted(map(str, names)))}): say which one with --workflow"
        )
    name = str(names.pop())
    if name not in catalog.workflows:
        known = ", ".join(sorted(catalog.workflows)) or "none"
        raise GatewayError(f"there is no workflow '{name}' (there are: {known})")
    return name, catalog.workflows[name].value


def _release(
    catalog: Catalog,
    wish: Wish,
    app: str,
    environments: Sequence[str],
    *,
    builds: bool,
    current: Current,
    given: Sequence[str],
) -> Release:
    value = catalog.apps[app].value
    version = wish.apps[app] or _next_version(given)
    if not is_version(version):
        raise GatewayError(f"a version is 1 to 63 letters, digits, '.', '_' or '-'; found {version!r}")
    images: dict[str, str] = {}
    for name, image in value.images.items():
        there = wish.images.get((app, name)) or wish.images.get((None, name))
        if there is not None:
            images[name] = there
        elif builds:
            images[name] = f"{image.repository or f'{app}-{name}'}:{version}"
    release = Release(service=value.service, version=version, images=images)
    release.commands = {name: image.command for name, image in value.images.items() if image.command}
    for environment in environments:
        release.manifests[environment] = render_app(catalog, app, environment, images, wish.values).text
        record = current.get((environment, app))
        release.before[environment] = None if record is None else record.version
    return release


def _next_version(versions: Sequence[str]) -> str:
    numbers = [int(version) for version in versions if version.isascii() and version.isdigit()]
    return str(max(numbers, default=0) + 1)


def _of_record(service: str, record: VersionRecord, environment: str, before: VersionRecord | None) -> Release:
    assert record.version is not None
    return Release(
        service=service,
        version=record.version,
        images=record.images,
        commands=record.commands,
        manifests={environment: record.manifest},
        before={environment: None if before is None else before.version},
    )


def _tasks(catalog: Catalog, workflow: Workflow, apps: Sequence[str]) -> list[Task]:
    tasks: list[Task] = []
    for stage in workflow.stages:
        for number, step in enumerate(stage.steps):
            jobs = [""] if step.kind in ONCE and len(apps) > 1 else apps[:1] if step.kind in ONCE else apps
            for rank, job in enumerate(jobs):
                task = Task(stage=stage.name, step=number, kind=step.kind, job=job, spec=_spec(step))
                # Production from the end of the call chain, one after the other; everything else at once.
                task.rank = rank if _is_production(catalog, step) else 0
                tasks.append(task)
    return tasks


def _spec(step: Step) -> dict[str, Any]:
    spec: dict[str, Any] = step.spec.model_dump(mode="json")
    return spec


def _is_production(catalog: Catalog, step: Step) -> bool:
    return (
        step.kind == "deploy"
        and not step.spec.together
        and catalog.environments[step.spec.environment].value.level == "prod"
    )
