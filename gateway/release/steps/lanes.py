"""The steps `lane` and `cleanup`: ready before open, drained before gone."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.release.mesh import LaneRefused, MeshError
from gateway.release.model import CleanupStep, LaneStep
from gateway.release.order import TAKE_BACK
from gateway.release.states import State
from gateway.release.steps.base import Look, Outcome, done, failed, running
from gateway.release.steps.deploy import known_ids, remove
from gateway.release.targets.base import Phase

PATIENCE = 1.0
"""Seconds after which the next gateway is told too: if they read their rules from one place, that is not needed."""


async def lane(look: Look) -> Outcome:
    """The step `lane`."""
    spec = LaneStep.model_validate(look.task.spec)
    name, mesh = f"{spec.group}/{spec.lane}", look.world.mesh
    if not mesh.gateways:
        return failed("no gateway is known whose lane could be changed: `gateways` in config/release.yaml")
    late = look.at_work > spec.timeout
    if spec.action != "close" and (missing := await _not_ready(look)):
        message = f"lane {name} stays closed until its instances are ready: {missing}"
        return failed(f"{message} (waited {spec.timeout:g} s)") if late else running(message)
    try:
        wrong, away = await _wrong(look, spec)
        if away is not None and (spec.action != "close" or not wrong):
            raise away
        if wrong:
            # One after the other: those that share their rules follow the first by themselves.
            told, at = look.task.memory.get("told"), look.task.memory.get("told_at", 0.0)
            if told not in wrong or look.world.now() - at > PATIENCE:
                admin = await _change_next(look, spec, sorted(wrong, key=lambda item: item == told))
                return running(f"changes lane {name} at {admin}", memory={"told": admin, "told_at": look.world.now()})
    except LaneRefused as error:
        return failed(f"lane {name} is not changed: {error}") if late else running(f"{error}", delay=1.0)
    if wrong:
        message = f"lane {name} is not yet in force at {', '.join(wrong)}"
        return failed(message) if late else running(message)
    return done(f"lane {name} is {_wanted(spec)} at every gateway")


async def cleanup(look: Look) -> Outcome:
    """The step `cleanup`."""
    spec = CleanupStep.model_validate(look.task.spec)
    place = look.world.place(spec.environment, look.task.job)
    open_lanes = await _open_lanes(look, spec.environment)
    if open_lanes:
        for admin, group, name in open_lanes:
            await look.world.mesh.switch_lane(admin, group, name, False, look.order.actor)
        names = dict.fromkeys(f"{group}/{name}" for _, group, name in open_lanes)
        return running(f"closes {', '.join(names)} first")
    outcome = await remove(look, place)
    if outcome.state is State.SUCCESS and spec.and_environment:
        last = all(
            task.state is State.SUCCESS or task.name == look.task.name
            for task in look.order.tasks
            if task.place == look.task.place
        )
        if last:
            return Outcome(State.SUCCESS, outcome.message, 1.0, 0.0, None, (), (spec.environment,))
    return outcome


def _wanted(spec: LaneStep) -> str:
    words = [] if spec.action is None else ["open" if spec.action == "open" else "closed"]
    return " and ".join([*words, *([] if spec.percent is None else [f"at {spec.percent:g} %"])])


async def _states(look: Look, group: str, lane: str) -> tuple[dict[str, bool | None], MeshError | None]:
    """Whether each gateway has a lane open, None: it has no such lane; and what is wrong with one that cannot be asked."""
    found: dict[str, bool | None] = {}
    away: MeshError | None = None
    for admin in look.world.mesh.gateways:
        try:
            found[admin] = await look.world.mesh.lane_is(admin, group, lane)
        except MeshError as error:
            away = error
    return found, away


async def _wrong(look: Look, spec: LaneStep) -> tuple[list[str], MeshError | None]:
    """The gateways whose lane is not as it should be, and what is wrong with one that cannot be asked.

    Raises LaneRefused if one has no such lane. To take an order back it need not be there: nothing goes through it.
    """
    mesh, wrong = look.world.mesh, []
    states, away = await _states(look, spec.group, spec.lane)
    for admin, is_open in states.items():
        if is_open is None and look.task.stage == TAKE_BACK:
            continue
        if is_open is None:
            raise LaneRefused(f"{admin} has no lane {spec.group}/{spec.lane}")
        is_right = spec.action is None or is_open is (spec.action == "open")
        if is_right and spec.percent is not None:
            is_right = await mesh.percent_of(admin, spec.group, spec.lane) == spec.percent
        if not is_right:
            wrong.append(admin)
    return wrong, away


async def _change_next(look: Look, spec: LaneStep, admins: Sequence[str]) -> str:
    """Makes the next change, and says where. Raises MeshError.

    A lane opens at one gateway after the other, or not at all. It closes wherever it can: one that is in trouble must not
    keep the traffic of the others in the lane.
    """
    trouble: MeshError | None = None
    for admin in admins if spec.action == "close" else admins[:1]:
        try:
            await _change(look, spec, admin)
        except MeshError as error:
            trouble = trouble or error
        else:
            return admin
    assert trouble is not None
    raise trouble


async def _change(look: Look, spec: LaneStep, admin: str) -> None:
    """The next change at a gateway: the share before the lane opens with it."""
    mesh, author = look.world.mesh, f"{look.order.actor} (order {look.order.id})"
    if spec.percent is not None and await mesh.percent_of(admin, spec.group, spec.lane) != spec.percent:
        await mesh.set_percent(admin, spec.group, spec.lane, spec.percent, author)
    if spec.action is not None:
        await mesh.switch_lane(admin, spec.group, spec.lane, spec.action == "open", author)


async def _not_ready(look: Look) -> str:
    """What a lane must not be opened for yet: an instance that its order has deployed and that is not ready, or not known."""
    for environment, app in dict.fromkeys(look.order.deployed()):
        world = look.world
        revision = _revision_name(look, environment, app)
        replicas = [
            item
            for item in await world.targets[environment].observe(world.place(environment, app))
            if item.revision == revision and item.phase is not Phase.LEAVING
        ]
        known = await known_ids(world, replicas)
        if not replicas or len(known) < len(replicas):
            return f"{app} in {environment}: {len(known)} of {len(replicas)} ready and known to everybody"
    return ""


def _revision_name(look: Look, environment: str, app: str) -> str:
    task = look.task.model_copy(update={"job": app})
    return Look(look.order, task, look.world).revision(environment).name


async def _open_lanes(look: Look, environment: str) -> list[tuple[str, str, str]]:
    """Where lanes of the order are open still that lead to what is to be removed from an environment.

    Gateway, group and lane each. Raises MeshError if there are none, and a gateway cannot be asked.
    """
    if look.task.stage == TAKE_BACK or not look.world.mesh.gateways:
        return []
    tags = {
        item.tag for item in await look.world.targets[environment].observe(look.world.place(environment, look.task.job))
    }
    if tags <= {"base"}:
        return []
    found: list[tuple[str, str, str]] = []
    trouble: MeshError | None = None
    for group, name in look.order.lanes:
        states, away = await _states(look, group, name)
        found += [(admin, group, name) for admin, is_open in states.items() if is_open]
        trouble = trouble or away
    if trouble is not None and not found:
        raise trouble
    return found
