"""Brings a version into an environment, batch by batch, and back.

What to do next is worked out from what runs (`next_batch`, without any I/O), and done: an instance of the old version goes only
when as many of the new one are ready and known to everybody who calls them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.release.model import Strategy
from gateway.release.steps.base import Look, Outcome, World, done, failed, running, waiting
from gateway.release.store import VersionRecord
from gateway.release.targets.base import Phase, Place, Replica, Revision


@dataclass(frozen=True, slots=True)
class Batch:
    """What should be there now."""

    new: int
    """Instances of the new version."""
    old: int
    """Of the old one."""
    is_over: bool
    """Whether this batch has come to its end."""


def ends_of(strategy: Strategy, wanted: int) -> list[int]:
    """How many new instances there are at the end of each batch; the last is all of them."""
    if strategy.type == "recreate" or wanted == 0:
        return [wanted]
    if strategy.type == "rolling":
        return list(range(1, wanted + 1))
    if strategy.steps:
        ends = [
            min(wanted, item.replicas if item.replicas is not None else math.ceil(wanted * (item.weight or 0) / 100))
            for item in strategy.steps
        ]
    else:
        ends = [math.ceil(wanted * (number + 1) / strategy.batches) for number in range(strategy.batches)]
    return sorted({*ends, wanted} - {0})


def next_batch(
    strategy: Strategy,
    end: int,
    wanted: int,
    had: int,
    *,
    new: Sequence[Replica],
    old: Sequence[Replica],
    known: Collection[str],
) -> Batch:
    """What should be there so that a batch comes to its `end`.

    `had` instances were there at the beginning, of either version; `known` are the ids of new ones that everybody knows.
    New ones that are there already, of a deployment that came to half of its way, stay.
    """
    usable = sum(item.phase is Phase.READY and item.id in known for item in new)
    if strategy.type == "recreate":
        if old:
            return Batch(0, 0, False)
        return Batch(wanted, 0, usable >= wanted)
    ready = min(end, usable + strategy.max_unavailable)
    old_end = _share(had, wanted - end, wanted)
    keep = max(old_end, _share(had, wanted - ready, wanted))
    return Batch(max(end, min(len(new), wanted)), keep, usable >= end and len(old) <= old_end)


def _share(had: int, part: int, whole: int) -> int:
    return 0 if whole <= 0 else math.ceil(had * max(0, part) / whole)


async def deploy(look: Look) -> Outcome:
    """The step `deploy`."""
    environment = look.task.spec["environment"]
    world, place = look.world, look.world.place(environment, look.task.job)
    strategy = Strategy.model_validate(look.task.spec["strategy"])
    revision = look.revision(environment)
    target = world.targets[environment]
    wanted = await target.replicas_wanted(revision)
    replicas = await target.observe(place)
    new = [item for item in replicas if item.revision == revision.name and item.phase is not Phase.LEAVING]
    old = [item for item in replicas if item.revision != revision.name]
    memory = dict(look.task.memory)
    if "had" not in memory:
        staying = [item.revision for item in old if item.phase is not Phase.LEAVING]
        memory |= {"had": {name: staying.count(name) for name in staying}, "batch": 0}
        memory["there"] = sum(item.phase is Phase.READY for item in new)
        return running("begins", memory=memory, delay=0.0)
    if memory.get("goes_back"):
        return await _go_back(look, place, revision, memory)
    ends = ends_of(strategy, wanted)
    number = min(memory["batch"], len(ends) - 1)
    known = await known_ids(world, new)
    had = sum(memory["had"].values()) + memory.get("there", 0)
    batch = next_batch(strategy, ends[number], wanted, had, new=new, old=old, known=known)
    progress = 0.0 if not wanted else round(len(known) / wanted, 2)
    if batch.is_over:
        return await _end_batch(look, strategy, ends, number, memory)
    began = memory.setdefault("batch_at", world.now())
    if world.now() - max(began, look.order.resumed_at) > strategy.timeout:
        trouble = _trouble(new) or "it is not ready"
        message = f"batch {number + 1} of {len(ends)} was not done within {strategy.timeout:g} s: {trouble}"
        if strategy.on_timeout == "rollback":
            return running(message, memory=memory | {"goes_back": message})
        return failed(message)
    await target.apply(place, revision, batch.new)
    await _keep_old(world, place, memory["had"], batch.old)
    return running(_said(number, ends, new, known, batch, old), progress, memory)


async def restore(look: Look) -> Outcome:
    """The step that takes a deployment back: what ran before runs again, then the new version goes."""
    environment = look.task.spec["environment"]
    world, place = look.world, look.world.place(environment, look.task.job)
    record = world.versions.get((environment, look.task.job))
    if record is None or record.version is None:
        return await remove(look, place)
    revision = revision_of(look.release.service, record)
    target = world.targets[environment]
    wanted = await target.replicas_wanted(revision)
    replicas = await target.observe(place)
    old = [item for item in replicas if item.revision == revision.name and item.phase is not Phase.LEAVING]
    await target.apply(place, revision, wanted)
    known = await known_ids(world, old)
    if len(known) < wanted:
        message = f"{len(known)} of {wanted} instances of {record.version} are back"
        limit = look.task.spec["timeout"]
        if look.at_work > limit:
            return failed(f"{message} after {limit:g} s: {_trouble(old) or 'the others are not ready'}")
        return running(message)
    left = [item for item in replicas if item.revision != revision.name]
    for name in {item.revision for item in left}:
        await target.scale(place, name, 0)
    if left:
        return running(f"{record.version} is back; {len(left)} others leave", 0.5)
    again = replace(record, order=look.order.id, reason=f"order {look.order.id} was taken back", at=world.now())
    return replace(done(f"{record.version} runs again"), versions=(again,))


async def remove(look: Look, place: Place) -> Outcome:
    """Waits until nothing is in flight to an application's instances, and removes them all."""
    world = look.world
    target = world.targets[place.environment]
    replicas = await target.observe(place)
    if not replicas:
        await target.remove(place)
        order = look.order
        gone = VersionRecord(
            place.environment, place.application, order.id, None, {}, {}, "", order.actor, order.reason, world.now()
        )
        return replace(done("nothing runs there now"), versions=(gone,))
    staying = [item for item in replicas if item.phase is Phase.READY and item.admin]
    busy = 0
    for item in staying:
        busy += await world.mesh.in_flight(item.admin)
    # What never ends, as a tunnel, is left to the sidecar's own drain after a while.
    if busy and not look.task.memory.get("drained") and look.at_work <= look.task.spec["timeout"]:
        return running(f"waits for {busy} requests in flight")
    await target.remove(place)
    leaving = sum(item.phase is Phase.LEAVING for item in replicas)
    return running(f"{len(replicas)} instances leave ({leaving} drain)", 0.5, {**look.task.memory, "drained": True})


async def known_ids(world: World, replicas: Sequence[Replica]) -> set[str]:
    """Those that are ready, and known to every gateway and sidecar that routes to them."""
    ready = {item.address: item for item in replicas if item.phase is Phase.READY}
    wanted = {address: item.service for address, item in ready.items()}
    unknown = await world.mesh.not_knowing(wanted, await world.sidecars() if ready else ())
    return {item.id for address, item in ready.items() if not unknown[address]}


def revision_of(service: str, record: VersionRecord) -> Revision:
    """The revision of a version that ran."""
    assert record.version is not None
    return Revision.of(record.version, service, record.manifest, record.images, record.commands)


async def _end_batch(look: Look, strategy: Strategy, ends: list[int], number: int, memory: dict[str, Any]) -> Outcome:
    environment = look.task.spec["environment"]
    if number + 1 == len(ends):
        release = look.release
        record = VersionRecord(
            environment,
            look.task.job,
            look.order.id,
            release.version,
            release.images,
            release.commands,
            release.manifests[environment],
            look.order.actor,
            look.order.reason,
            look.world.now(),
        )
        outcome = done(f"{release.version} runs in {environment}: {ends[-1]} of {ends[-1]}", memory)
        return replace(outcome, versions=(record,))
    asks = strategy.confirm == "each" or (strategy.confirm == "first" and number == 0)
    if asks and look.task.promoted <= memory.get("used", 0):
        message = f"batch {number + 1} of {len(ends)} is done: promote to go on"
        memory.pop("batch_at", None)  # a person may take longer than a batch
        return waiting(message, round(ends[number] / ends[-1], 2), memory)
    if asks and look.task.promoted < 1000:
        memory["used"] = memory.get("used", 0) + 1
    memory |= {"batch": number + 1, "batch_at": look.world.now()}
    return running(f"batch {number + 2} of {len(ends)} begins", round(ends[number] / ends[-1], 2), memory, 0.0)


async def _keep_old(world: World, place: Place, had: Mapping[str, int], keep: int) -> None:
    """Scales the old revisions down to so many together, as they were."""
    target = world.targets[place.environment]
    whole = sum(had.values())
    left = keep = min(keep, whole)
    there = {item.revision for item in await target.observe(place)}
    for name, count in sorted(had.items()):
        mine = min(left, count) if len(had) == 1 else min(left, math.ceil(count * keep / max(1, whole)))
        left -= mine
        if name in there:
            await target.scale(place, name, mine)


async def _go_back(look: Look, place: Place, revision: Revision, memory: dict[str, Any]) -> Outcome:
    """The old version comes back first, then the new one goes, and the task has failed."""
    world, environment = look.world, look.task.spec["environment"]
    target = world.targets[environment]
    record = world.versions.get((environment, look.task.job))
    replicas = await target.observe(place)
    if memory["had"] and record is not None and record.version is not None:
        before = revision_of(look.release.service, record)
        wanted = await target.replicas_wanted(before)
        await target.apply(place, before, wanted)
        known = await known_ids(world, [item for item in replicas if item.revision == before.name])
        if len(known) < wanted:
            return running(f"goes back: {memory['goes_back']}", memory=memory)
    new = [item for item in replicas if item.revision == revision.name]
    if new:
        await target.scale(place, revision.name, 0)
        return running(f"goes back: {memory['goes_back']}", memory=memory)
    return failed(f"rolled back: {memory['goes_back']}", memory)


def _trouble(replicas: Sequence[Replica]) -> str:
    broken = [item for item in replicas if item.message]
    broken.sort(key=lambda item: -item.restarts)
    return "" if not broken else f"instance {broken[0].id} ({broken[0].restarts} restarts): {broken[0].message}"


def _said(
    number: int, ends: list[int], new: Sequence[Replica], known: Collection[str], batch: Batch, old: Sequence[Replica]
) -> str:
    ready = sum(item.phase is Phase.READY for item in new)
    text = f"batch {number + 1} of {len(ends)}: {ready} of {batch.new} ready, {len(known)} known to everybody, {len(old)} old"
    trouble = _trouble(new)
    return f"{text}; {trouble}" if trouble and ready < batch.new else text
