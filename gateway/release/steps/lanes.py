"""The steps `lane` and `cleanup`: ready before open, drained before gone."""

from __future__ import annotations

from gateway.release.mesh import LaneRefused
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
        wrong = await _wrong(look, spec)
        if wrong:
            # One after the other: those that share their rules follow the first by themselves.
            told, at = look.task.memory.get("told"), look.task.memory.get("told_at", 0.0)
            if told not in wrong or look.world.now() - at > PATIENCE:
                admin = next((item for item in wrong if item != told), wrong[0])
                await _change(look, spec, admin)
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
        for group, name in open_lanes:
            for admin, is_open in (await look.world.mesh.lane_is(group, name)).items():
                if is_open:
                    await look.world.mesh.switch_lane(admin, group, name, False, look.order.actor)
        return running(f"closes {', '.join(f'{group}/{name}' for group, name in open_lanes)} first")
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


async def _wrong(look: Look, spec: LaneStep) -> list[str]:
    """The gateways whose lane is not as it should be. Raises LaneRefused if one has no such lane."""
    mesh, wrong = look.world.mesh, []
    for admin, is_open in (await mesh.lane_is(spec.group, spec.lane)).items():
        if is_open is None:
            raise LaneRefused(f"{admin} has no lane {spec.group}/{spec.lane}")
        is_right = spec.action is None or is_open is (spec.action == "open")
        if is_right and spec.percent is not None:
            is_right = await mesh.percent_of(admin, spec.group, spec.lane) == spec.percent
        if not is_right:
            wrong.append(admin)
    return wrong


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


async def _open_lanes(look: Look, environment: str) -> list[tuple[str, str]]:
    """Lanes of the order that are open still, and lead to what is to be removed from an environment."""
    if look.task.stage == TAKE_BACK or not look.world.mesh.gateways:
        return []
    tags = {
        item.tag for item in await look.world.targets[environment].observe(look.world.place(environment, look.task.job))
    }
    if tags <= {"base"}:
        return []
    found = []
    for group, name in look.order.lanes:
        if any((await look.world.mesh.lane_is(group, name)).values()):
            found.append((group, name))
    return found
