"""Watches the application beside a sidecar, so that nobody is sent to one that is not there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gateway.daemons import keep_running
from gateway.health.probing import responds_well
from gateway.instance import Instance
from gateway.settings import AppCheckSettings
from gateway.tls.contexts import Spoken

_log = logging.getLogger("gateway")


class ApplicationWatch:
    """Finds out again and again whether the application accepts requests, and calls `on_change(is_up)` when that changes.

    `spoken` says how it is spoken to now. Before the first check `is_up` is False: an application that has yet to start is not
    to get traffic either. `reason` says for people why it is not up.
    """

    def __init__(
        self,
        service: str,
        app: Instance,
        settings: AppCheckSettings,
        spoken: Callable[[], Spoken],
        on_change: Callable[[bool], None],
    ) -> None:
        self._service = service
        self._app = app
        self._settings = settings
        self._spoken = spoken
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        # One that is not to be checked is taken for up: a service that only calls others listens nowhere.
        self.is_up = self.was_checked = not settings.enabled
        self.reason = "" if self.is_up else f"the application at {app.address} has not been checked yet"

    def start(self) -> None:
        """Begins, in the background."""
        if self._settings.enabled:
            self._task = keep_running("watching the application", self._run)

    async def close(self) -> None:
        """Ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        while True:
            trouble, is_certain = await self._check()
            self.was_checked = True
            failures = failures + 1 if trouble else 0
            # One slow response takes nobody out; a closed port is not a matter of patience.
            if not trouble:
                self._found(True, "")
            elif is_certain or failures >= self._settings.failures or not self.is_up:
                self._found(False, f"the application at {self._app.address} {trouble}")
            await asyncio.sleep(self._settings.interval)

    def _found(self, is_up: bool, reason: str) -> None:
        is_news = is_up is not self.is_up or (not is_up and reason != self.reason)
        self.reason = reason
        if not is_news:
            return
        if is_up:
            _log.info("the application at %s accepts requests", self._app.address)
        else:
            _log.warning("%s; this instance gets no traffic until it does", reason)
        if is_up is not self.is_up:
            self.is_up = is_up
            self._on_change(is_up)

    async def _check(self) -> tuple[str, bool]:
        """What is wrong with it, empty if nothing is; and whether that is beyond doubt."""
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout):
                _, writer = await asyncio.open_connection(self._app.host, self._app.port)
                writer.close()
        except TimeoutError:
            return "does not accept connections in time", False
        except (OSError, ValueError):  # ValueError: a host that cannot even be looked up (`a..b`)
            return "does not accept connections", True
        if settings.path is not None:
            spoken, timeout = self._spoken(), settings.timeout
            if not await responds_well(
                self._service, self._app, settings.path, timeout=timeout, spoken=spoken, fields={}
            ):
                return f"fails the check of {settings.path}", False
        return "", False
