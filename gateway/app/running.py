"""Running a role until a signal."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Protocol

from gateway.app.exposure import warn_of_registry
from gateway.registry.embedded.server import EmbeddedRegistry

_log = logging.getLogger("gateway")


class Program(Protocol):
    """A role that can be run."""

    async def start(self) -> None:
        """Begins to serve. Raises GatewayError where it cannot."""

    async def stop(self) -> None:
        """Winds down and closes."""

    def reload(self) -> None:
        """Reads the configuration again."""


async def run(program: Program) -> None:
    """Runs a program until SIGTERM or SIGINT, then winds it down; a second signal ends it at once. SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    forced = asyncio.Event()

    def stop() -> None:
        (forced if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, program.reload)
    await program.start()
    await stopping.wait()
    _log.info("draining; a second signal ends at once")
    winding_down = loop.create_task(program.stop())
    at_once = loop.create_task(forced.wait())
    await asyncio.wait((winding_down, at_once), return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if winding_down.done():
        await winding_down
    else:
        winding_down.cancel()
        await asyncio.gather(winding_down, return_exceptions=True)


class RegistryProgram:
    """`gateway registry serve`."""

    def __init__(self, registry: EmbeddedRegistry) -> None:
        self._registry = registry

    async def start(self) -> None:
        """Raises StartError where it cannot."""
        await self._registry.start()
        warn_of_registry(self._registry.address)
        _log.info("registry on %s", self._registry.address)

    async def stop(self) -> None:
        """Closes."""
        await self._registry.stop()

    def reload(self) -> None:
        """There is nothing to reload."""
