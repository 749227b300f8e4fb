"""Running a role until a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any, Protocol

from gateway.app.signals import obey_signals
from gateway.registry.embedded.server import EmbeddedRegistry

_log = logging.getLogger("gateway")


class Program(Protocol):
    """A role that can be run. All but `stop` may be called while it starts."""

    async def start(self) -> None:
        """Begins to serve. Raises GatewayError where it cannot."""

    async def stop(self) -> None:
        """Winds down and closes."""

    async def reload(self) -> None:
        """Reads the configuration again."""

    def reopen_logs(self) -> None:
        """Opens log files anew, which somebody has moved."""


async def run(program: Program) -> None:
    """Runs a program until SIGTERM or SIGINT, then winds it down; a second signal ends it at once.

    SIGHUP reloads, SIGUSR1 opens logs anew, SIGUSR2 is ignored. A program that is told to end while it starts just ends.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    forced = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    def stop() -> None:
        (forced if stopping.is_set() else stopping).set()

    def reload() -> None:
        task = loop.create_task(program.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    obey_signals(
        loop,
        {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGHUP: reload,
            signal.SIGUSR1: program.reopen_logs,
        },
    )
    if not await _finishes(program.start(), stopping):
        _log.info("told to end while starting")
        return
    await stopping.wait()
    _log.info("draining; a second signal ends at once")
    await _finishes(program.stop(), forced)


async def _finishes(work: Coroutine[Any, Any, None], interrupted: asyncio.Event) -> bool:
    """Does some work; False where it was interrupted, which cancels it. Raises what it raises."""
    loop = asyncio.get_running_loop()
    working = loop.create_task(work)
    waiting = loop.create_task(interrupted.wait())
    await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if working.done():
        await working
        return True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return False


class RegistryProgram:
    """`gateway registry serve`."""

    def __init__(self, registry: EmbeddedRegistry) -> None:
        self._registry = registry

    async def start(self) -> None:
        """Raises StartError where it cannot."""
        await self._registry.start()
        _log.info("registry on %s", self._registry.address)

    async def stop(self) -> None:
        """Closes."""
        await self._registry.stop()

    async def reload(self) -> None:
        """There is nothing to reload."""

    def reopen_logs(self) -> None:
        """There is no file to open."""
