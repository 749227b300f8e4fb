"""Running a role until a signal: the one lifecycle of all of them."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final, Protocol

from gateway.app.signals import obey_signals
from gateway.app.sockets import Sockets
from gateway.app.systemd import notify, watchdog_interval
from gateway.app.takeover import State

_log = logging.getLogger("gateway")

PATIENCE: Final = 1.0
"""Seconds that each part has to close after a second signal."""


class Program(Protocol):
    """A role that can be run. `reload` and `reopen_logs` may be called while it starts.

    A part that `start` opens goes onto `parts` at once, with the way to close it. So a start that fails or is interrupted
    closes what it has opened, the last part first; and so does a stop, which is nothing else.
    """

    async def start(self, parts: AsyncExitStack, sockets: Sockets) -> None:
        """Begins to serve. Raises GatewayError if it cannot."""

    def state(self) -> State:
        """What a process in the place of this one has to know."""

    async def hand_over(self) -> State:
        """The same, after giving up what two processes cannot have at once; the parts are closed next."""

    async def reload(self) -> None:
        """Reads the configuration again."""

    def reopen_logs(self) -> None:
        """Reopens log files that somebody has moved."""


async def run(program: Program, sockets: Sockets) -> None:
    """Runs a program until SIGTERM or SIGINT, or until another process has taken its place; then closes its parts.

    A second signal ends it at once. SIGHUP reloads, SIGUSR1 reopens logs, SIGUSR2 is ignored. A program that is signaled while
    it starts just ends. Raises what `start` raises, after what it had opened is closed.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    forced = asyncio.Event()
    beside: set[asyncio.Task[None]] = set()

    def stop() -> None:
        (forced if stopping.is_set() else stopping).set()

    def keep(work: Coroutine[Any, Any, None]) -> None:
        task = loop.create_task(work)
        beside.add(task)
        task.add_done_callback(beside.discard)

    obey_signals(
        loop,
        {
            signal.SIGTERM: stop,
            signal.SIGINT: stop,
            signal.SIGHUP: lambda: keep(_reload(program)),
            signal.SIGUSR1: program.reopen_logs,
        },
    )
    parts = AsyncExitStack()
    try:
        if await _finishes(program.start(parts, sockets), stopping):
            await sockets.offer(program.state, program.hand_over, stopping.set)
            notify("READY=1")
            keep(_show_life())
            await stopping.wait()
            notify("STOPPING=1")
            _log.info("draining; a second signal stops the process at once")
        else:
            _log.info("received a signal to stop while starting")
    finally:
        sockets.close()
        await _finishes(parts.aclose(), forced)
        for task in beside:
            task.cancel()


async def _reload(program: Program) -> None:
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    await program.reload()
    notify("READY=1")


async def _show_life() -> None:
    """Shows the supervisor that the loop goes round, if it wants to know."""
    interval = watchdog_interval()
    while interval:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)


async def _finishes(work: Coroutine[Any, Any, None], interrupted: asyncio.Event) -> bool:
    """Does some work; False if it was interrupted, which cancels it. Raises what it raises."""
    loop = asyncio.get_running_loop()
    working = loop.create_task(work)
    waiting = loop.create_task(interrupted.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
            return True
        while not working.done():
            # Again and again: what closes one part after another may wait in each of them.
            working.cancel()
            await asyncio.wait((working,), timeout=PATIENCE)
        return False
    finally:
        waiting.cancel()
