"""Running a role until a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from gateway.app.exposure import warn_of_registry
from gateway.app.signals import obey_signals
from gateway.app.sockets import Sockets
from gateway.app.systemd import notify, watchdog_interval
from gateway.app.takeover import State
from gateway.registry.embedded.handover import dump
from gateway.registry.embedded.server import EmbeddedRegistry

_log = logging.getLogger("gateway")


class Program(Protocol):
    """A role that can be run. `reload` and `reopen_logs` may be called while it starts."""

    async def start(self, sockets: Sockets) -> None:
        """Begins to serve. Raises GatewayError where it cannot."""

    def state(self) -> State:
        """What a process in the place of this one has to know."""

    async def hand_over(self) -> State:
        """The same, after giving up what two processes cannot have at once; `stop` is called next."""

    async def stop(self) -> None:
        """Winds down and closes."""

    async def reload(self) -> None:
        """Reads the configuration again."""

    def reopen_logs(self) -> None:
        """Opens log files anew, which somebody has moved."""


async def run(program: Program, sockets: Sockets) -> None:
    """Runs a program until SIGTERM or SIGINT, or until another process has taken its place; then winds it down.

    A second signal ends it at once. SIGHUP reloads, SIGUSR1 opens logs anew, SIGUSR2 is ignored. A program that is told to
    end while it starts just ends.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    forced = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    def stop() -> None:
        (forced if stopping.is_set() else stopping).set()

    def reload() -> None:
        task = loop.create_task(_reload(program))
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
    try:
        if not await _finishes(program.start(sockets), stopping):
            _log.info("told to end while starting")
            return
        await sockets.offer(program.state, program.hand_over, stopping.set)
        notify("READY=1")
        alive = loop.create_task(_show_life())
        await stopping.wait()
    finally:
        sockets.close()
    notify("STOPPING=1")
    _log.info("draining; a second signal ends at once")
    await _finishes(program.stop(), forced)
    alive.cancel()


async def _reload(program: Program) -> None:
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    await program.reload()
    notify("READY=1")


async def _show_life() -> None:
    """Shows the supervisor, where it wants to know, that the loop goes round."""
    interval = watchdog_interval()
    while interval:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)


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

    def __init__(self, registry: EmbeddedRegistry, host: str, port: int) -> None:
        self._registry = registry
        self._host = host
        self._port = port

    async def start(self, sockets: Sockets) -> None:
        """Raises StartError where it cannot."""
        await sockets.open("registry serve", ("listen", "grpc"))
        sock = sockets.one_of("listen", self._host, self._port)
        grpc = sockets.beside("grpc", sock, self._host, "a registry")
        self._registry.open()
        self._know(await sockets.known())
        await sockets.wait_ready(list)
        self._know(await sockets.take_over())
        await self._registry.listen(sock, grpc)
        warn_of_registry(self._host, self._registry.address, self._registry.has_users)
        _log.info("registry on %s", self._registry.address)

    def _know(self, state: State) -> None:
        if state:
            self._registry.know(state)

    def state(self) -> State:
        """What is registered."""
        return dump(self._registry.store)

    async def hand_over(self) -> State:
        """See Program."""
        await self._registry.stop_listening()
        return self.state()

    async def stop(self) -> None:
        """Closes."""
        await self._registry.stop()

    async def reload(self) -> None:
        """There is nothing to reload."""

    def reopen_logs(self) -> None:
        """There is no file to open."""
