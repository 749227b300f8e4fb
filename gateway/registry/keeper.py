"""The one keeper of what registries say: it survives what they do to their clients, the same way for each.

* A registry that fails, or cannot be reached, changes nothing: what is known stays, marked `stale`.
* What goes from a list is not always accepted at once (`listguard.py`): the service is `protected` until it is.
* An instance that comes and goes too often gets no traffic for a while (`flapping.py`).
* What was known outlives a restart on disk (`disk.py`), for a gateway that starts while its registry is down.
* A watch never ends silently: whatever it raises is counted, logged once per streak and followed by another try, with
  full-jitter back-off (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.daemons import keep_running
from gateway.errors import RegistryError
from gateway.instance import Instance
from gateway.registry.base import Listing, RegistryAdapter
from gateway.registry.disk import Disk
from gateway.registry.flapping import Flaps
from gateway.registry.listguard import DOUBTS, ListGuard, Patience
from gateway.tags import BASE, INVALID

_log = logging.getLogger("gateway.registry")

FRESH: Final = "fresh"
STALE: Final = "stale"
PROTECTED: Final = "protected"
UNKNOWN: Final = "unknown"

FIRST_RETRY: Final = 0.2
LONGEST_RETRY: Final = 10.0
"""Seconds: bounds of the back-off."""
GRACE: Final = 3.0
"""Seconds that a registry has to respond for the first time before the disk copy is used."""
RECHECK: Final = 2.0
"""Seconds after which a registry whose response is doubted is queried again: a blocking query may have nothing to report."""
SAVE_AGAIN: Final = 3600.0
"""Seconds after which the disk copy is written again though nothing has changed: its age says how far it can be trusted."""
_AWAY: Final = frozenset({"unreachable", "timeout", "warming"})
"""Reasons of failures after which the registry may be another process than before."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What is known of one service. `age` is seconds since the registry last responded (0 if it never did)."""

    service: str
    registry: str
    state: str
    instances: tuple[Instance, ...]
    age: float
    reason: str
    errors: int
    skipped: dict[str, int]
    """Records of the last response that were left out, by reason."""
    is_forced: bool
    """Whether the registry called everybody healthy, as too few were."""
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Which records those are, by reason."""
    kept: frozenset[str] = frozenset()
    """Addresses that are used though the registry does not say so now: it is unreachable, or its list is doubted."""


class _Watch:
    """One watched service."""

    def __init__(self, service: str, patience: Patience) -> None:
        self.service = service
        self.state = UNKNOWN
        self.guard = ListGuard(patience)
        self.flaps = Flaps()
        self.instances: tuple[Instance, ...] = ()
        self.listing = Listing(())
        self.responded_at: float | None = None
        self.saved_at = 0.0
        self.reason = ""
        self.errors = 0
        self.failures = 0
        """In a row."""
        self.known = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.release: asyncio.TimerHandle | None = None
        self.grace: asyncio.TimerHandle | None = None


class Keeper:
    """Watches services through an adapter and calls `on_change(service, instances)` when the accepted list changed.

    `is_one_of_many`: what is logged says which registry it is about. `clock` gives seconds on a steady clock, `rng` the
    jitter. `own` are addresses of this gateway itself: an instance there would be a loop. `recheck` is seconds between two
    looks at a doubtful response.
    """

    def __init__(
        self,
        adapter: RegistryAdapter,
        on_change: Callable[[str, tuple[Instance, ...]], None],
        *,
        name: str = "",
        is_one_of_many: bool = False,
        disk: Disk | None = None,
        own: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        patience: Patience | None = None,
        recheck: float = RECHECK,
    ) -> None:
        self.adapter = adapter
        self.name = name or adapter.kind
        self._where = f" in registry {self.name}" if is_one_of_many else ""
        self._on_change = on_change
        self._disk = disk
        self._own = frozenset(own)
        self._clock = clock
        self._rng = rng or random.Random()
        self._patience = patience or Patience()
        self._recheck = recheck
        self._watches: dict[str, _Watch] = {}
        self.errors: dict[str, int] = {}
        self.protected: dict[str, int] = dict.fromkeys(DOUBTS, 0)
        """How often a list was not accepted, by what made it doubtful."""
        self.flapped = 0
        self.skipped: dict[str, int] = {}
        """Records that were left out, by reason, each counted when it was first seen."""

    def watch(self, service: str) -> None:
        """Begins to watch a service; nothing happens where it is watched already."""
        if service not in self._watches:
            watch = self._watches[service] = _Watch(service, self._patience)
            watch.task = keep_running("watching a service", partial(self._run, watch))
            if self._disk is not None:
                watch.grace = asyncio.get_running_loop().call_later(
                    GRACE, self._use_copy, watch, "the registry has not responded yet"
                )

    def unwatch(self, service: str) -> None:
        """Stops watching a service and forgets it."""
        watch = self._watches.pop(service, None)
        if watch is not None:
            _cancel(watch)

    def states(self) -> list[ServiceState]:
        """What is known of every watched service."""
        now = self._clock()
        return [
            ServiceState(
                watch.service,
                self.name,
                watch.state,
                watch.instances,
                0.0 if watch.responded_at is None else now - watch.responded_at,
                watch.reason,
                watch.errors,
                dict(watch.listing.skipped),
                watch.listing.is_forced,
                watch.listing.left_out,
                _kept(watch),
            )
            for watch in self._watches.values()
        ]

    async def wait_known(self, service: str, timeout: float) -> bool:
        """Waits up to `timeout` seconds for the first response about a watched service; returns whether there is one."""
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
        """Stops watching everything, and closes the adapter."""
        for watch in self._watches.values():
            _cancel(watch)
        tasks = [watch.task for watch in self._watches.values() if watch.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._disk is not None:
            await self._disk.close()
        await self.adapter.close()

    async def _run(self, watch: _Watch) -> None:
        while True:
            try:
                await self._follow(watch)
                continue
            except RegistryError as raised:
                error = raised
            except Exception as raised:  # noqa: BLE001 - an adapter's bug must not freeze what is known for ever
                _log.exception("watching service %s failed unexpectedly", self._shown(watch))
                error = RegistryError("bad_response", f"{type(raised).__name__}: {raised}")
            self._failed(watch, error, is_first=watch.failures == 0)
            if error.reason == "warming":
                watch.failures = 2  # it is there again, and says that it will know soon
            longest = min(LONGEST_RETRY, FIRST_RETRY * 2**watch.failures)
            watch.failures = min(watch.failures + 1, 16)
            await asyncio.sleep(self._rng.uniform(FIRST_RETRY / 2, longest))

    async def _follow(self, watch: _Watch) -> None:
        """Takes lists as they come; returns when one that is doubted has to be queried again. Raises RegistryError."""
        async with aclosing(self.adapter.watch(watch.service)) as listings:
            listing = await anext(listings, None)
            while listing is not None:
                watch.failures = 0
                self._responded(watch, listing)
                patience = asyncio.timeout(self._recheck if watch.state == PROTECTED else None)
                try:
                    async with patience:
                        listing = await anext(listings, None)
                except TimeoutError:
                    if patience.expired():
                        return
                    raise
        raise RegistryError("bad_response", "the watch ended")

    def _responded(self, watch: _Watch, listing: Listing) -> None:
        now = self._clock()
        self._look_at_records(watch, listing)
        if watch.responded_at is not None and listing.node != watch.listing.node:
            watch.guard.interrupted(was_away=True)
        watch.listing = listing
        watch.responded_at = now
        found = listing.instances
        if self._own:
            found = tuple(instance for instance in found if instance.address not in self._own)
        doubted = watch.guard.doubt
        if self.adapter.is_authoritative:
            watch.guard.accept(found)
        else:
            if watch.state == UNKNOWN and not any(instance.tag == BASE for instance in found):
                self._restore(watch)  # a registry that restarts with this gateway knows nobody yet, or only some
            watch.guard.take(found, now, listing.is_gone)
        doubt = watch.guard.doubt
        is_news = bool(doubt) and (watch.state != PROTECTED or doubt != doubted)
        has_changed = self._publish(watch)
        watch.reason = f"{_EXPLAINED[doubt]}; {len(watch.instances)} instances remain in use" if doubt else ""
        if is_news:
            self.protected[doubt] += 1
        self._enter(watch, PROTECTED if doubt else FRESH, is_news)
        if self._disk is not None and not doubt and (has_changed or now - watch.saved_at >= SAVE_AGAIN):
            watch.saved_at = now
            self._disk.save(watch.service, watch.guard.instances)

    def _look_at_records(self, watch: _Watch, listing: Listing) -> None:
        for reason, count in listing.skipped.items():
            more = count - watch.listing.skipped.get(reason, 0)
            named, known = listing.left_out.get(reason, ()), watch.listing.left_out.get(reason, ())
            if more > 0:
                self.skipped[reason] = self.skipped.get(reason, 0) + more
            if more > 0 or not set(named) <= set(known):
                names = f": {', '.join(named)}{', …' if count > len(named) else ''}" if named else ""
                _log.warning("service %s: %d records left out: %s%s", self._shown(watch), count, reason, names)
        if listing.is_forced and not watch.listing.is_forced:
            _log.warning(
                "service %s: the registry reports all instances as healthy, because too few are", self._shown(watch)
            )

    def _publish(self, watch: _Watch) -> bool:
        """Publishes the accepted list if it is news; returns whether it was."""
        now = self._clock()
        before = watch.flaps.count
        watch.flaps.take(watch.guard.instances, now)
        if watch.flaps.count > before:
            self.flapped += watch.flaps.count - before
            _log.warning("service %s: instances are flapping and get no traffic for a while", self._shown(watch))
        instances = watch.flaps.damped(watch.guard.instances, now)
        self._schedule_release(watch, now)
        is_first = not watch.known.is_set()
        if not is_first and instances == watch.instances:
            return False
        _log.info("service %s: %s", self._shown(watch), _counted(instances))
        invalid = [instance.address for instance in instances if instance.tag == INVALID]
        if invalid:
            addresses = ", ".join(invalid)
            _log.warning("service %s: no traffic for %s: their tags cannot be read", self._shown(watch), addresses)
        self._on_change(watch.service, instances)
        watch.instances = instances
        watch.known.set()
        return True

    def _schedule_release(self, watch: _Watch, now: float) -> None:
        if watch.release is not None:
            watch.release.cancel()
            watch.release = None
        when = watch.flaps.next_release()
        if when is not None:
            watch.release = asyncio.get_running_loop().call_later(max(0.0, when - now), self._publish, watch)

    def _restore(self, watch: _Watch) -> bool:
        """Takes the disk copy for what is known; returns whether there is one."""
        known = () if self._disk is None else self._disk.load(watch.service)
        if known:
            watch.guard.restore(known)
        return bool(known)

    def _use_copy(self, watch: _Watch, reason: str) -> bool:
        """Routes by the disk copy, where nothing better is known and there is one; returns whether that is so."""
        if watch.state != UNKNOWN or not self._restore(watch):
            return False
        self._publish(watch)
        watch.reason = f"{reason}; {len(watch.instances)} instances from before the restart are used"
        self._enter(watch, STALE)
        return True

    def _failed(self, watch: _Watch, error: RegistryError, is_first: bool) -> None:
        watch.errors += 1
        watch.guard.interrupted(error.reason in _AWAY)
        kept = f"; {len(watch.instances)} instances remain in use" if watch.known.is_set() else ""
        watch.reason = f"{error.reason}: {error}{kept}"
        self.errors[error.reason] = self.errors.get(error.reason, 0) + 1
        if watch.state == UNKNOWN and is_first and self._use_copy(watch, watch.reason):
            return
        if is_first and watch.state in (UNKNOWN, STALE):
            _log.warning("service %s: %s", self._shown(watch), watch.reason)
        if watch.state in (FRESH, PROTECTED):
            self._enter(watch, STALE)

    def _enter(self, watch: _Watch, state: str, is_news: bool = False) -> None:
        """Enters a state; `is_news`: for another reason than before, though it be the same state."""
        if watch.state != state or is_news:
            previous, watch.state = watch.state, state
            if state in (STALE, PROTECTED):
                _log.warning("service %s is %s: %s", self._shown(watch), state, watch.reason)
            elif previous in (STALE, PROTECTED):
                _log.info("service %s is fresh again", self._shown(watch))

    def _shown(self, watch: _Watch) -> str:
        return watch.service + self._where


_EXPLAINED: Final = {
    "empty": "an empty list is not confirmed yet",
    "returned": "the registry was unreachable; instances that have not come back yet are kept",
    "drop": "most of a tag's instances disappeared at once, which is not confirmed yet",
}


def _kept(watch: _Watch) -> frozenset[str]:
    """Who is used though the registry does not say so now."""
    if watch.state == STALE:
        return frozenset(instance.address for instance in watch.instances)
    if watch.state == PROTECTED:
        said = {instance.address for instance in watch.listing.instances}
        return frozenset(instance.address for instance in watch.instances if instance.address not in said)
    return frozenset()


def _counted(instances: Collection[Instance]) -> str:
    """How many instances each tag has, and how many of them may be used where that is not all."""
    tags: dict[str, list[bool]] = {}
    for instance in instances:
        tags.setdefault(instance.tag, []).append(instance.is_usable)
    return ", ".join(
        f"{len(usable)} {tag}" if all(usable) else f"{len(usable)} {tag} ({sum(usable)} usable)"
        for tag, usable in sorted(tags.items())
    ) or "no instances"  # fmt: skip


def _cancel(watch: _Watch) -> None:
    if watch.task is not None:
        watch.task.cancel()
    for timer in (watch.release, watch.grace):
        if timer is not None:
            timer.cancel()
