"""The one keeper of what registries say: it survives what they do to their clients, the same way for each.

* A registry that fails, or cannot be reached, changes nothing: what is known stays, marked `stale`.
* An empty list after a non-empty one is not believed at once: a restarted Nacos answers 200 with an empty list until its
  clients have registered again. It is `protected` until equal answers have confirmed it for a while. A *tag* that goes
  while its service stays is believed at once: closing a gray environment looks just like that.
* A watch never ends silently: whatever it raises is counted, logged once per streak and followed by another try, with
  full-jitter back-off (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.errors import RegistryError
from gateway.registry.base import RegistryAdapter
from gateway.routing.instance import Instance

_log = logging.getLogger("gateway.registry")

FRESH: Final = "fresh"
STALE: Final = "stale"
PROTECTED: Final = "protected"
UNKNOWN: Final = "unknown"

FIRST_RETRY: Final = 0.2
LONGEST_RETRY: Final = 10.0
"""Seconds: bounds of the back-off."""
CONFIRMATIONS: Final = 3
"""Consecutive empty answers that make an empty list believable …"""
CONFIRM_SECONDS: Final = 15.0
"""… and the time they must span: a Nacos client's heartbeat time-out, within which a living instance registers again."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What is known of one service. `age` is seconds since the registry last answered (0 where it never did)."""

    service: str
    state: str
    instances: tuple[Instance, ...]
    age: float
    reason: str
    errors: int


class _Watch:
    """One watched service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.state = UNKNOWN
        self.instances: tuple[Instance, ...] = ()
        self.answered_at: float | None = None
        self.reason = ""
        self.errors = 0
        self.empties = 0
        self.empty_since = 0.0
        self.known = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Keeper:
    """Watches services through an adapter and calls `on_change(service, instances)` when what is believed changed.

    `clock` gives seconds on a steady clock, `rng` the jitter.
    """

    def __init__(
        self,
        adapter: RegistryAdapter,
        on_change: Callable[[str, tuple[Instance, ...]], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        confirm_seconds: float = CONFIRM_SECONDS,
    ) -> None:
        self._adapter = adapter
        self._on_change = on_change
        self._clock = clock
        self._rng = rng or random.Random()
        self._confirm_seconds = confirm_seconds
        self._watches: dict[str, _Watch] = {}
        self.errors: dict[str, int] = {}
        self.empty_protected = 0

    def watch(self, service: str) -> None:
        """Begins to watch a service; nothing happens where it is watched already."""
        if service not in self._watches:
            watch = self._watches[service] = _Watch(service)
            watch.task = asyncio.get_running_loop().create_task(self._run(watch))

    def unwatch(self, service: str) -> None:
        """Stops watching a service and forgets it."""
        watch = self._watches.pop(service, None)
        if watch is not None and watch.task is not None:
            watch.task.cancel()

    def states(self) -> list[ServiceState]:
        """What is known of every watched service."""
        now = self._clock()
        return [
            ServiceState(
                watch.service,
                watch.state,
                watch.instances,
                0.0 if watch.answered_at is None else now - watch.answered_at,
                watch.reason,
                watch.errors,
            )
            for watch in self._watches.values()
        ]

    async def wait_known(self, service: str, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the first answer about a watched service; returns whether there is one."""
        watch = self._watches.get(service)
        if watch is None:
            return False
        try:
            async with asyncio.timeout(timeout):
                await watch.known.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Stops watching everything."""
        tasks = [watch.task for watch in self._watches.values() if watch.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, watch: _Watch) -> None:
        failures = 0
        while True:
            try:
                async for instances in self._adapter.watch(watch.service):
                    failures = 0
                    self._answered(watch, instances)
                error = RegistryError("bad_answer", "the watch ended")
            except RegistryError as raised:
                error = raised
            except Exception as raised:  # noqa: BLE001 - an adapter's bug must not freeze what is known for ever
                _log.exception("watching service %s failed unexpectedly", watch.service)
                error = RegistryError("bad_answer", f"{type(raised).__name__}: {raised}")
            self._failed(watch, error, is_first=failures == 0)
            if error.reason == "warming":
                failures = 2  # it is there again, and says that it will know soon
            longest = min(LONGEST_RETRY, FIRST_RETRY * 2**failures)
            failures = min(failures + 1, 16)
            await asyncio.sleep(self._rng.uniform(FIRST_RETRY / 2, longest))

    def _answered(self, watch: _Watch, instances: tuple[Instance, ...]) -> None:
        now = self._clock()
        watch.answered_at = now
        if instances or not watch.instances or self._adapter.is_authoritative or self._is_confirmed(watch, now):
            watch.empties = 0
            self._believe(watch, instances)
        elif watch.state != PROTECTED:
            self.empty_protected += 1
            count = len(watch.instances)
            watch.reason = f"an empty list is not believed yet; {count} instances kept"
            self._enter(watch, PROTECTED)

    def _is_confirmed(self, watch: _Watch, now: float) -> bool:
        """Counts one more empty answer; whether there were enough of them for long enough."""
        if not watch.empties:
            watch.empty_since = now
        watch.empties += 1
        return watch.empties >= CONFIRMATIONS and now - watch.empty_since >= self._confirm_seconds

    def _believe(self, watch: _Watch, instances: tuple[Instance, ...]) -> None:
        is_first = not watch.known.is_set()
        changed = is_first or instances != watch.instances
        watch.instances = instances
        watch.reason = ""
        self._enter(watch, FRESH)
        if changed:
            tags: dict[str, int] = {}
            for instance in instances:
                tags[instance.tag] = tags.get(instance.tag, 0) + 1
            shown = ", ".join(f"{count} {tag}" for tag, count in sorted(tags.items())) or "no instances"
            _log.info("service %s: %s", watch.service, shown)
            self._on_change(watch.service, instances)
            watch.known.set()

    def _failed(self, watch: _Watch, error: RegistryError, is_first: bool) -> None:
        watch.errors += 1
        watch.empties = 0
        watch.reason = f"{error.reason}: {error}"
        self.errors[error.reason] = self.errors.get(error.reason, 0) + 1
        if is_first and watch.state in (UNKNOWN, STALE):
            _log.warning("service %s: %s", watch.service, watch.reason)
        if watch.state in (FRESH, PROTECTED):
            self._enter(watch, STALE)

    def _enter(self, watch: _Watch, state: str) -> None:
        if watch.state != state:
            previous, watch.state = watch.state, state
            if state in (STALE, PROTECTED):
                _log.warning("service %s is %s: %s", watch.service, state, watch.reason)
            elif previous in (STALE, PROTECTED):
                _log.info("service %s is fresh again", watch.service)
