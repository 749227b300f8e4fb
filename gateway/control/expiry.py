"""Lanes that change by the clock, because they expire or grow: when somebody is told, and when the rules are compiled again."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from gateway.errors import ConfigError
from gateway.rules.ruleset import RuleSet

if TYPE_CHECKING:
    from gateway.rules.model import Lane

_log = logging.getLogger("gateway")

LATER: Final = 0.1
"""Seconds after a lane has changed: the clocks of the timer and of the rules are not the same."""
RETRY: Final = 10.0
"""Seconds after which a change that has failed is tried again."""
WARNING = 7 * 86_400.0
"""Seconds before a lane expires from which on it is warned of."""
CLOCK: Final = 60.0
"""Seconds after which the clock is looked at in any case: it may be set, and timers do not run while a machine sleeps."""
LONGEST_WAIT = 86_400.0
"""Seconds after which is looked again at the latest: a warning is repeated once a day."""


class ExpiryTimer:
    """Looks at the rules in force when one of their lanes expires or grows: `compile_again` closes it, or gives it its share."""

    def __init__(self, compile_again: Callable[[], Awaitable[None]]) -> None:
        self._compile_again = compile_again
        self._timer: asyncio.TimerHandle | None = None
        self._due: float = math.inf
        self._seen: float = 0.0
        """When something changes, and when the clock was last looked at, in seconds since the epoch."""
        self._task: asyncio.Task[None] | None = None

    def look(self, rules: RuleSet) -> None:
        """Takes the rules that are in force from now on, warns of those that expire soon, and says what grows."""
        now = time.time()
        for note in expiry_notes(rules, now):
            _log.warning("%s", note)
        for note in schedule_notes(rules, now):
            _log.info("%s", note)
        wait = next_look(rules, now)
        self._due = math.inf if wait is None else now + wait + LATER
        if any(lane.expires or lane.schedule for group in rules.groups for lane in group.lanes):
            self._wait(now)
        else:
            self._set(None)

    def close(self) -> None:
        """Looks no more."""
        self._set(None)
        if self._task is not None:
            self._task.cancel()

    def _set(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self._look_at_clock)

    def _wait(self, now: float) -> None:
        self._seen = now
        self._set(min(max(0.0, self._due - now), CLOCK))

    def _look_at_clock(self) -> None:
        now = time.time()
        if self._seen <= now < self._due:
            self._wait(now)
            return
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._compile_again()
        except Exception as error:  # noqa: BLE001 - whatever it is, a lane must not stay open for it for ever
            is_bug = not isinstance(error, ConfigError)
            _log.error("lanes that have expired or should grow stay as they are for now: %s", error, exc_info=is_bug)
            self._set(RETRY)


def next_look(rules: RuleSet, now: float) -> float | None:
    """Seconds until a lane closes, grows or should be warned of; None if none does."""
    expiries = [lane.expires.timestamp() for group in rules.groups for lane in group.lanes if lane.expires is not None]
    ahead = [moment - now for expiry in expiries for moment in (expiry, expiry - WARNING) if moment > now]
    ahead += [step[0] - now for lane in _growing(rules) if (step := _next_step(lane, now)) is not None]
    return min(*ahead, LONGEST_WAIT) if ahead else None


def expiries(rules: RuleSet) -> dict[tuple[str, str], float]:
    """When lanes expire, in seconds since the epoch, by group and name."""
    return {
        (group.name, lane.name): lane.expires.timestamp()
        for group in rules.groups
        for lane in group.lanes
        if lane.expires is not None
    }


def expiry_notes(rules: RuleSet, now: float) -> list[str]:
    """What to warn of: lanes that are about to expire, or have."""
    notes: list[str] = []
    for group in rules.groups:
        for lane in group.lanes:
            if lane.expires is None or not (group.enabled and lane.enabled):
                continue
            left = lane.expires.timestamp() - now
            owner = f" (owner: {lane.owner})" if lane.owner else ""
            name = f"lane {group.name}/{lane.name}{owner}"
            if left <= 0:
                notes.append(f"{name} expired at {lane.expires.isoformat()} and is closed")
            elif left < WARNING:
                notes.append(f"{name} expires at {lane.expires.isoformat()}, in {_show(left)}")
    return notes


def schedule_notes(rules: RuleSet, now: float) -> list[str]:
    """What open lanes take by their schedules, as long as that changes."""
    return [
        f"lane {group.name}/{lane.name} by its schedule: {lane.schedule.shown_at(now, lane.percent)}"
        for group in rules.groups
        for lane in group.lanes
        if group.enabled and lane.enabled and lane.schedule is not None and lane.percent is not None
        if lane.schedule.next_step(now, lane.percent) is not None
    ]


def _growing(rules: RuleSet) -> list[Lane]:
    return [lane for group in rules.groups for lane in group.lanes if lane.schedule is not None]


def _next_step(lane: Lane, now: float) -> tuple[float, float] | None:
    percent = lane.percent
    return None if lane.schedule is None or percent is None else lane.schedule.next_step(now, percent)


def _show(seconds: float) -> str:
    if seconds >= 172_800:
        return f"{seconds / 86_400:.0f} days"
    return f"{seconds / 3600:.0f} hours" if seconds >= 7200 else f"{seconds / 60:.0f} minutes"
