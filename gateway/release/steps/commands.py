"""The steps that run a program: `build` and `run`. Each runs once, however often the release server is started anew."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import GatewayError
from gateway.release.detached import Detached, clean_environment
from gateway.release.model import BuildStep, RunStep, Source
from gateway.release.order import Order, Task
from gateway.release.steps.base import Look, Outcome, done, failed, running
from gateway.release.targets.instance import folder_of

GRACE = 5.0
"""Seconds that a program has to end after SIGTERM."""
PATIENCE = 10.0
"""Seconds after which nobody waits for the end of a program any more."""
ENGINES = ("docker", "podman")
"""What builds a Dockerfile, the first that is there."""


def command_of(runs: Path, order: Order, task: Task) -> Detached:
    """The program of a task. Each attempt has its own: a retry runs it again."""
    return Detached(runs / str(order.id), f"{task.name}.{task.attempts}")


async def run(look: Look) -> Outcome:
    """The step `run`."""
    spec = RunStep.model_validate(look.task.spec)
    return _follow(look, spec.command, look.world.folder, {}, spec.timeout)


async def build(look: Look) -> Outcome:
    """The step `build`."""
    spec = BuildStep.model_validate(look.task.spec)
    release, world = look.release, look.world
    source = world.sources.get(look.task.job)
    if source is None:
        if spec.command or spec.dockerfile is not None:
            return failed(f"application '{look.task.job}' has no source to build: give its file a `source`")
        return done("there is nothing to build")
    folder = await _sources(look, source)
    if isinstance(folder, Outcome):
        return folder
    name, image = next(iter(release.images.items()))
    if spec.command:
        command = list(spec.command)
    elif spec.dockerfile is not None:
        engine = next(filter(shutil.which, ENGINES), None)
        if engine is None:
            return failed(
                f"a Dockerfile is built by {' or '.join(ENGINES)}, and neither is here; `command` builds without"
            )
        command = [engine, "build", "-t", image, "-f", spec.dockerfile, "."]
    else:
        command = []
    if command:
        outcome = _follow(look, command, folder, {"IMAGE": image, "IMAGE_NAME": name}, spec.timeout)
        if outcome.state != "SUCCESS":
            return outcome
    if spec.dockerfile is None:
        for built in release.images.values():
            # A large one takes a while, in which everything else has to go on.
            await asyncio.to_thread(_keep_image, folder, world.images / folder_of(built))
    return done(f"built {', '.join(release.images.values())}")


def abandon(runs: Path, order: Order, task: Task, now: float) -> bool:
    """Ends the program of a task that was cancelled, if it has one. Returns whether that is over.

    What even SIGKILL does not reach, because it has left the program's session, holds nothing up for longer than `PATIENCE`.
    """
    if task.kind not in ("build", "run"):
        return True
    since = now - (task.ended_at or now)
    return _end(command_of(runs, order, task), since) or since > PATIENCE


def _end(program: Detached, since: float) -> bool:
    """Ends a program that was first told so some seconds ago. Returns whether it is gone."""
    program.signal(signal.SIGTERM if since < GRACE else signal.SIGKILL)
    return not program.is_running


def _follow(look: Look, command: list[str], folder: Path, more: Mapping[str, str], timeout: float) -> Outcome:
    program = command_of(look.world.runs, look.order, look.task)
    code = program.exit_code
    if code == 0:
        return done(f"{command[0]} ended well")
    if code is not None:
        return failed(f"{command[0]} ended with {code}; its log ends: {program.tail(3)}")
    if program.is_running:
        late = look.elapsed - timeout
        if late > 0:
            message = f"{command[0]} took more than {timeout:g} s"
            is_over = _end(program, late) or late > PATIENCE
            return failed(message) if is_over else running(f"{message}, and is being stopped")
        return running(f"{command[0]} runs; its log ends: {program.tail(1)}")
    if program.was_started and look.elapsed > timeout:
        return failed(f"{command[0]} took more than {timeout:g} s")
    if program.was_started:
        return failed(f"{command[0]} ended without an exit code: it was killed, or this machine was restarted")
    version = look.order.releases[look.task.job].version if look.task.job else ""
    known = {"ORDER": str(look.order.id), "VERSION": version, "APPLICATION": look.task.job, **more}
    program.start(command, folder, {**clean_environment(), **known}, finishes=True)
    return running(f"{command[0]} begins")


async def _sources(look: Look, source: Source) -> Path | Outcome:
    """The folder of an application's sources, cloned first if they are in git."""
    if source.folder is not None:
        folder = look.world.folder / source.folder
        if not folder.is_dir():
            return failed(f"the folder of the sources is not there: {folder}")
        return folder
    clone = look.world.runs / str(look.order.id) / f"{look.task.name}.{look.task.attempts}.source"
    program = Detached(clone.parent, f"{clone.name}.git")
    if program.exit_code == 0:
        return clone
    if program.exit_code is not None:
        return failed(f"git ended with {program.exit_code}: {program.tail(3)}")
    if not program.is_running:
        if program.was_started:
            return failed("git ended without an exit code: it was killed, or this machine was restarted")
        script = 'git clone --quiet -- "$1" "$2" && git -C "$2" checkout --quiet --detach "$3"'
        words = ["sh", "-c", script, "sh", str(source.git), str(clone), source.revision]
        program.start(words, look.world.folder, {**clean_environment(), "GIT_TERMINAL_PROMPT": "0"}, finishes=True)
    return running(f"git fetches {source.git}")


def _keep_image(folder: Path, image: Path) -> None:
    """Copies a folder to where images are, whole or not at all. Raises GatewayError."""
    if image.exists():
        return
    half = image.with_name(f"{image.name}.half")
    try:
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(folder, half, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        half.replace(image)
    except OSError as error:
        shutil.rmtree(half, ignore_errors=True)
        raise GatewayError(f"cannot keep the image {image.name}: {error.strerror or error}") from error
