"""Keeps one instance registered: registers, heartbeats, registers again when forgotten, withdraws and deregisters it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from gateway.errors import RegistryError
from gateway.registry.base import RegistrarAdapter, Registration
from gateway.registry.keeper import FIRST_RETRY

_log = logging.getLogger("gateway.registry")

LONGEST_RETRY = 5.0
STOP_TIMEOUT = 3.0
"""Seconds that deregistering may take: the process wants to end."""


class Announcer:
    """Announces `registration` through `registrar` until stopped. Its failures are logged, never raised."""

    def __init__(self, registrar: RegistrarAdapter, registration: Registration) -> None:
        self._registrar = registrar
        self._registration = registration
        self._task: asyncio.Task[None] | None = None
        self.registered = False
        """Whether the registry knew the instance when it was last asked."""

    def start(self) -> None:
        """Begins, in the background."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def withdraw(self) -> None:
        """Asks for no new traffic, and ends the heartbeat."""
        await self._leave(self._registrar.withdraw, "withdrawn")

    async def stop(self) -> None:
        """Deregisters."""
        await self._leave(self._registrar.deregister, "deregistered")

    async def _leave(self, step: Callable[[Registration], Awaitable[None]], done: str) -> None:
        # The heartbeat first, lest it register the instance again.
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self.registered = False
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await step(self._registration)
            _log.info("%s %s", done, self._shown())
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest of the stop has to go on
            _log.warning("%s is not %s: %s; it will expire", self._shown(), done, str(error) or "no answer")

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                # Whole after it was away, too: it may have restarted, and what a heartbeat makes anew has not all of it (in
                # r-nacos no weight). Not else: that would undo what an operator has set there, as to take it out of service.
                if not self.registered or failures:
                    await self._registrar.register(self._registration)
                    if not self.registered:
                        self.registered = True
                        _log.info("registered %s", self._shown())
                else:
                    self.registered = await self._registrar.heartbeat(self._registration)
                    if not self.registered:
                        _log.warning("the registry has forgotten %s", self._shown())
                        continue
                failures = 0
                await asyncio.sleep(self._registration.interval)
            except Exception as error:  # noqa: BLE001 - a registrar's bug must not end the heartbeat
                if not isinstance(error, RegistryError):
                    _log.exception("registering %s failed unexpectedly", self._shown())
                # The registration itself may still stand, so it counts until the registry says otherwise.
                if failures == 0:
                    _log.warning("cannot reach the registry for %s: %s", self._shown(), error)
                longest = min(LONGEST_RETRY, self._registration.interval, FIRST_RETRY * 2**failures)
                failures = min(failures + 1, 16)
                await asyncio.sleep(random.uniform(longest / 2, longest))

    def _shown(self) -> str:
        registration = self._registration
        return f"{registration.service} {registration.host}:{registration.port} (tag {registration.tag})"
