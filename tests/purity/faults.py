"""What happens to the mesh while requests pass through it.

Two hands inflict them at the same time, each fault of one hand after the other: one on instances, one on everything else
(`INSTANCES`, `AROUND`). A fault releases what it makes impossible before it acts, and returns once all is well again.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.tags import BASE
from tests.purity.judge import CLOSED, FOLLOWING, SERVICES
from tests.purity.mesh import GRAY, HAS_GRAY, LANE, Instance, Mesh

Fault = Callable[[Mesh, random.Random], Awaitable[None]]
AFTER_KILL: Final = 1.0
"""Seconds after a `kill -9` in which a request that it hit may still fail."""


async def drain_gray(mesh: Mesh, source: random.Random) -> None:
    """A gray instance is drained, and comes back elsewhere."""
    service = source.choice(HAS_GRAY)
    with mesh.holding(service):
        await mesh.end(mesh.of(service, GRAY)[0], signal.SIGTERM)
        await mesh.run(service, GRAY)
    await mesh.settle(service)


async def kill_gray(mesh: Mesh, source: random.Random) -> None:
    """A gray instance is killed, and comes back, at once or later, at its address or elsewhere."""
    service = source.choice(HAS_GRAY)
    with mesh.holding(service):
        instance = mesh.of(service, GRAY)[0]
        await _kill(mesh, instance)
        await asyncio.sleep(source.choice((0.0, 0.5, 2.0)))
        await mesh.run(service, GRAY, mesh.take_port(instance) if source.random() < 0.5 else 0)
    await mesh.settle(service)


async def roll_base(mesh: Mesh, source: random.Random) -> None:
    """A baseline instance is replaced: the new one comes, the old one is drained."""
    service = source.choice(SERVICES)
    old = mesh.of(service, BASE)[0]
    await mesh.run(service, BASE)
    await mesh.end(old, signal.SIGTERM)


async def kill_base(mesh: Mesh, source: random.Random) -> None:
    """One of two baseline instances is killed."""
    service = source.choice(SERVICES)
    old = mesh.of(service, BASE)[0]
    await mesh.run(service, BASE)
    await _kill(mesh, old)


async def lose_service(mesh: Mesh, source: random.Random) -> None:
    """All of a service is gone for a moment: those who call it fail, and are in nobody's eyes worse for that."""
    service = source.choice(list(FOLLOWING.values()))
    with mesh.judge.trouble(f"{service} is gone"), mesh.holding(service):
        gone = [instance for instance in mesh.instances if instance.service == service]
        for instance in gone:
            await mesh.end(instance, signal.SIGKILL)
        await asyncio.sleep(source.choice((0.5, 1.0, 3.0)))
        for instance in gone:
            await mesh.run(service, instance.tag)
    # Its callers are waited for, too: whoever is in traffic no more shows in the meantime.
    await mesh.settle(*SERVICES[: SERVICES.index(service) + 1])


async def reuse(mesh: Mesh, source: random.Random) -> None:
    """The address of a gray instance is used by the baseline, and by gray again."""
    service = source.choice(HAS_GRAY)
    with mesh.holding(service):
        gray = mesh.of(service, GRAY)[0]
        await _end(mesh, gray, source)
        base = await mesh.run(service, BASE, mesh.take_port(gray))
        await asyncio.sleep(source.choice((0.0, 1.0)))
        await _end(mesh, base, source)
        await mesh.run(service, GRAY, mesh.take_port(base))
    await mesh.settle(service)


async def reuse_base(mesh: Mesh, source: random.Random) -> None:
    """The address of a baseline instance is used by gray, and by the baseline again."""
    service = source.choice(HAS_GRAY)
    base = mesh.of(service, BASE)[0]
    await mesh.run(service, BASE)
    with mesh.holding(service):
        await _end(mesh, base, source)
        gray = await mesh.run(service, GRAY, mesh.take_port(base))
    await mesh.settle(service)
    with mesh.holding(service):
        await _end(mesh, gray, source)
        again = await mesh.run(service, BASE, mesh.take_port(gray))
    await mesh.settle(service)  # the other gray instance is still there
    await mesh.end(again, signal.SIGTERM)


async def exchange_unseen(mesh: Mesh, source: random.Random) -> None:
    """While the registry is away, gray and baseline exchange their addresses: everybody's list is wrong, and nobody can know."""
    service = source.choice(HAS_GRAY)
    base = mesh.of(service, BASE)[0]
    rest = await mesh.run(service, BASE)
    async with mesh.registry_fault:
        await _stop_registry(mesh)
        with mesh.holding(service):
            gray = mesh.of(service, GRAY)[0]
            await _kill(mesh, base)
            await _kill(mesh, gray)
            # Both before anything is launched, which takes other ports of those that have ended.
            grays, bases = mesh.take_port(gray), mesh.take_port(base)
            launched = [await mesh.launch(service, BASE, grays), await mesh.launch(service, GRAY, bases)]
            for instance in launched:
                await mesh.wait_serving(instance)
                mesh.judge.note(f"serving unseen: {instance.name}")
            await asyncio.sleep(source.uniform(1, 4))
            # These two have no list yet of the service that they call.
            touched = (service, FOLLOWING[service]) if service in FOLLOWING else (service,)
            with mesh.judge.trouble("instances that start before the registry is complete"), mesh.holding(*touched):
                await _start_registry(mesh, source)
                for instance in launched:
                    await mesh.wait_known(instance)
        await mesh.settle(*touched)
    await mesh.end(rest, signal.SIGTERM)


async def swap_services(mesh: Mesh, source: random.Random) -> None:
    """The address of a gray instance is used by the baseline of another service."""
    service = source.choice(HAS_GRAY)
    with mesh.holding(service):
        gray = mesh.of(service, GRAY)[0]
        await _end(mesh, gray, source)
        other = source.choice([name for name in SERVICES if name != service])
        base = await mesh.run(other, BASE, mesh.take_port(gray))
        await mesh.run(service, GRAY)
    await mesh.settle(service)
    await mesh.end(base, signal.SIGTERM)


async def retag(mesh: Mesh, source: random.Random) -> None:
    """The registry says that gray is baseline, or the reverse, until somebody corrects it. The instance is what it was."""
    service = source.choice(HAS_GRAY)
    tag, other = source.choice(((GRAY, BASE), (BASE, GRAY)))
    if tag == BASE:
        await mesh.run(service, BASE)
    instance = mesh.of(service, tag)[0]
    async with mesh.registry_fault:  # it is there, and stays
        with mesh.holding(service):
            await mesh.retag(instance, other)
            await asyncio.sleep(source.uniform(0.5, 3))
            await mesh.retag(instance, tag)
    await mesh.settle(service)
    if tag == BASE:
        await mesh.end(instance, signal.SIGTERM)


async def gray_b(mesh: Mesh, source: random.Random) -> None:
    """Gray of a service that usually has none comes, and goes."""
    instance = await mesh.run("b", GRAY)
    await mesh.settle("b")
    await asyncio.sleep(source.uniform(0, 2))
    with mesh.holding("b"):
        await _end(mesh, instance, source)


async def stop_instance(mesh: Mesh, source: random.Random) -> None:
    """An instance stands still for a while, and goes on with what it knew."""
    instance = source.choice(mesh.instances)
    touched = [service for service in (instance.service, FOLLOWING.get(instance.service)) if service is not None]
    with mesh.judge.trouble(f"SIGSTOP of {instance.name}"):
        with mesh.holding(*touched):
            instance.sidecar.send(signal.SIGSTOP)
            await asyncio.sleep(source.uniform(0.2, 4.0))
            instance.sidecar.send(signal.SIGCONT)
            mesh.judge.note(f"SIGCONT to {instance.name}")
        await mesh.settle(*touched)


async def write_rules(mesh: Mesh, source: random.Random) -> None:
    """The rules are written anew, and mean the same."""
    note = f"# {source.getrandbits(32)}\n"
    other = "  - {name: other, lanes: [{name: x, tag: x, match: [{param: group, equals: x}]}]}\n"
    await _reload(mesh, note + LANE + (other if source.random() < 0.5 else ""))


async def break_rules(mesh: Mesh, source: random.Random) -> None:
    """The rules are broken, and mended a moment later."""
    broken = source.choice(("lane_groups: [", "", LANE.replace("equals", "equaIs"), "\x00", LANE[: len(LANE) // 2]))
    failures = (await mesh.get(mesh.admin, "/api/v1/status"))["reloads"]["failure"]
    mesh.judge.note("rules are broken")
    mesh.entry.write("rules/gray.yaml", broken)

    async def is_refused() -> bool:
        return bool((await mesh.get(mesh.admin, "/api/v1/status"))["reloads"]["failure"] > failures)

    await mesh.wait("the broken rules to be refused", is_refused)
    await write_rules(mesh, source)


async def close_lane(mesh: Mesh, source: random.Random) -> None:
    """The lane is closed and opened: in its file, by the API, or by a rollback."""
    with mesh.holding(*SERVICES):
        before = (await mesh.get(mesh.admin, "/api/v1/status"))["revision"]
        if source.random() < 0.5:
            await _reload(mesh, LANE.replace("enabled: true", "enabled: false"))
        else:
            assert await mesh.post("/api/v1/groups/demo/lanes/gray/disable") == 200
        await mesh.settle(CLOSED)
        await asyncio.sleep(source.uniform(0, 2))
        with mesh.holding(CLOSED):
            if source.random() < 0.5:
                await _reload(mesh, LANE)
            else:
                assert await mesh.post(f"/api/v1/history/{before}/rollback") == 200
    await mesh.settle(*SERVICES)


async def storm(mesh: Mesh, source: random.Random) -> None:
    """Reload upon reload."""
    for _ in range(source.randrange(5, 20)):
        mesh.entry.write("rules/gray.yaml", f"# {source.getrandbits(32)}\n{LANE}")
        mesh.entry.send(signal.SIGHUP)
        await asyncio.sleep(source.uniform(0, 0.2))


async def kill_worker(mesh: Mesh, source: random.Random) -> None:
    """A worker of the entry gateway is killed."""
    workers = (await mesh.get(mesh.admin, "/api/v1/status"))["workers"]
    pid = source.choice(workers)["pid"]
    with mesh.judge.trouble(f"kill -9 of worker {pid}"):
        os.kill(pid, signal.SIGKILL)

        async def is_replaced() -> bool:
            found = (await mesh.get(mesh.admin, "/api/v1/status"))["workers"]
            return all(item["serving"] and item["pid"] != pid for item in found)

        await mesh.wait("another worker", is_replaced)


async def lose_registry(mesh: Mesh, source: random.Random) -> None:
    """The registry is away for a while, and returns, with or without what it knew."""
    async with mesh.registry_fault:
        await _stop_registry(mesh)
        await asyncio.sleep(source.uniform(0.5, 8.0))
        await _start_registry(mesh, source)


INSTANCES: Final[tuple[Fault, ...]] = (
    drain_gray,
    kill_gray,
    roll_base,
    kill_base,
    lose_service,
    reuse,
    reuse_base,
    exchange_unseen,
    swap_services,
    retag,
    gray_b,
    stop_instance,
)
AROUND: Final[tuple[Fault, ...]] = (write_rules, break_rules, close_lane, storm, kill_worker, lose_registry)


async def inflict(mesh: Mesh, faults: tuple[Fault, ...], source: random.Random) -> None:
    """One after the other, for ever."""
    while True:
        await inflict_one(mesh, source.choice(faults), source)
        await asyncio.sleep(source.uniform(0, 2))


async def inflict_one(mesh: Mesh, fault: Fault, source: random.Random) -> None:
    """One of them."""
    name = fault.__name__
    mesh.judge.note(f"--- {name}")
    mesh.judge.counts[f"fault: {name}"] += 1
    await fault(mesh, source)
    mesh.judge.note(f"--- {name} is over")


async def _kill(mesh: Mesh, instance: Instance) -> None:
    """SIGKILL. Requests that it breaks are errors of its callers, of whom nobody is ejected for that."""
    with mesh.judge.trouble(f"kill -9 of {instance.name}"):
        await mesh.end(instance, signal.SIGKILL)
        await asyncio.sleep(AFTER_KILL)


async def _end(mesh: Mesh, instance: Instance, source: random.Random) -> None:
    if source.random() < 0.5:
        await mesh.end(instance, signal.SIGTERM)
    else:
        await _kill(mesh, instance)


async def _reload(mesh: Mesh, rules: str) -> None:
    before = (await mesh.get(mesh.admin, "/api/v1/status"))["revision"]
    mesh.judge.note("rules are written")
    mesh.entry.write("rules/gray.yaml", rules)

    async def is_taken() -> bool:
        return bool((await mesh.get(mesh.admin, "/api/v1/status"))["revision"] != before)

    await mesh.wait("the rules to be taken", is_taken)


async def _stop_registry(mesh: Mesh) -> None:
    async with mesh.starting:
        mesh.is_registry_well = False
    mesh.judge.note("the registry is killed")
    await mesh.registry.stop()


async def _start_registry(mesh: Mesh, source: random.Random) -> None:
    await mesh.registry.start(fresh=source.random() < 0.5)
    mesh.judge.note("the registry is back")
    await mesh.wait("everybody to be registered again", mesh.is_complete)
    mesh.is_registry_well = True
    mesh.judge.note("the registry is complete")
