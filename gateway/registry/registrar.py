"""Keeps one instance registered: registers, heartbeats, registers again when forgotten, suspends, withdraws, deregisters."""

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


class Registrar:
    """Announces `registration` through `registrar` until stopped. Its failures are logged, never raised.

    `is_usable`: the instance takes requests. For as long as it does not, it is registered as unusable, or not at all.
    """

    def __init__(
        self, registrar: RegistrarAdapter, registration: Registration, is_usable: bool = True, registry: str = ""
    ) -> None:
        """`registry` is its name where there are several."""
        self._where = f" in registry {registry}" if registry else ""
        self._registrar = registrar
        self._registration = registration
        self._task: asyncio.Task[None] | None = None
        self._is_usable = is_usable
        self._is_suspended = False
        self._said: Registration | None = None
        """What the registry was told last."""
        self._has_news = asyncio.Event()
        self.registered = False
        """Whether the registry knew the instance at the last check."""

    def start(self) -> None:
        """Begins, in the background."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def set_usable(self, is_usable: bool) -> None:
        """Says whether the instance takes requests now."""
        if is_usable is not self._is_usable:
            self._is_usable = is_usable
            self._has_news.set()

    def change(self, registration: Registration) -> None:
        """Registers something else of the same instance from now on."""
        if registration != self._registration:
            self._registration = registration
            self._has_news.set()

    async def withdraw(self) -> None:
        """Requests no new traffic, and ends the heartbeat."""
        await self._leave(self._registrar.withdraw, "withdrawn")

    async def stop(self) -> None:
        """Deregisters."""
        await self._leave(self._registrar.deregister, "deregistered")

    async def hand_over(self) -> None:
        """Ends the heartbeat, and leaves the instance registered: somebody else takes it over."""
        await self._fall_silent()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._registrar.release(self._registration)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other process is waiting
            _log.warning("%s may be missing for a moment: %s", self._shown(), str(error) or "no response")

    async def _fall_silent(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _leave(self, step: Callable[[Registration], Awaitable[None]], done: str) -> None:
        # The heartbeat first, lest it register the instance again.
        await self._fall_silent()
        self.registered = False
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await step(self._registration)
            _log.info("%s %s", done, self._shown())
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest of the stop has to go on
            _log.warning("%s is not %s: %s; it will expire", self._shown(), done, str(error) or "no response")

    async def _run(self) -> None:
        failures = 0
        while True:
            self._has_news.clear()
            try:
                if self._is_usable:
                    await self._keep(is_whole=failures == 0)
                elif not self._is_suspended:
                    await self._suspend()
                failures = 0
                wait = self._registration.interval
            except Exception as error:  # noqa: BLE001 - a registrar's bug must not end the heartbeat
                if not isinstance(error, RegistryError):
                    _log.exception("registering %s failed unexpectedly", self._shown())
                # The registration itself may still stand, so it counts until the registry says otherwise.
                if failures == 0:
                    _log.warning("cannot reach the registry for %s: %s", self._shown(), error)
                longest = min(LONGEST_RETRY, self._registration.interval, FIRST_RETRY * 2**failures)
                failures = min(failures + 1, 16)
                wait = random.uniform(longest / 2, longest)
            try:
                async with asyncio.timeout(wait):
                    await self._has_news.wait()
            except TimeoutError:
                pass

    async def _keep(self, is_whole: bool) -> None:
        """Renews the lease of what is registered whole, and registers what is not."""
        self._is_suspended = False
        registration = self._registration
        if self.registered and is_whole and registration == self._said:
            self.registered = await self._registrar.heartbeat(registration)
            if self.registered:
                return
            _log.warning("the registry no longer knows %s", self._shown())
        # Whole after it was away, too: it may have restarted, and what a heartbeat recreates does not have all of it (in
        # r-nacos no weight). Not else: that would undo what an operator has set there, as to take it out of service.
        await self._registrar.register(registration)
        self._said = registration
        if not self.registered:
            self.registered = True
            _log.info("registered %s", self._shown())

    async def _suspend(self) -> None:
        """Also what an earlier process may have left there."""
        await self._registrar.suspend(self._registration)
        self._is_suspended = True
        if self.registered:
            self.registered = False
            _log.info("suspended %s", self._shown())

    def _shown(self) -> str:
        registration = self._registration
        return f"{registration.service} {registration.host}:{registration.port} (tag {registration.tag}){self._where}"
