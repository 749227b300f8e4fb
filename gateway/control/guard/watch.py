"""One lane under watch: windows one after the other, and two in a row that must be worse. No clock: the time is passed in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.control.guard.judge import GOOD, UNDECIDED, WORSE, Looked, Pair, Terms, Verdict, judge
from gateway.tags import BASE
from gateway.telemetry.counters import Series
from gateway.telemetry.counts import Counts

if TYPE_CHECKING:
    from gateway.rules.guard import Guard

IN_A_ROW: Final = 2
"""Windows that must be worse before anything happens, and good before a warning is over."""
LONGEST: Final = 10
"""A window with too few requests goes on for up to so many times its length."""


def looked(exchanges: Mapping[str, Mapping[str, Series]], services: Collection[str], tag: str) -> Looked:
    """What is counted by now of a tag and of the baseline, by service; of all services if none are named."""
    return {
        service: Pair(Counts.of(by_tag.get(tag)), Counts.of(by_tag.get(BASE)))
        for service, by_tag in exchanges.items()
        if not services or service in services
    }


def between(before: Looked, now: Looked) -> Looked | None:
    """What was counted between two looks; None if something was counted anew."""
    found: dict[str, Pair] = {}
    nothing = Pair(Counts(), Counts())
    for service, pair in now.items():
        then = before.get(service, nothing)
        lane, base = pair.lane.since(then.lane), pair.base.since(then.base)
        if lane is None or base is None:
            return None
        found[service] = Pair(lane, base)
    return found


def terms_of(guard: Guard) -> Terms:
    """What a guard calls too bad."""
    return Terms(None if guard.errors is None else guard.errors / 100, guard.p95, guard.min_requests)


NONE_YET: Final = Verdict(UNDECIDED, "no window is complete yet", 0)


@dataclass(slots=True)
class LaneWatch:
    """What is known of one lane since it is watched. `in_a_row` are the last windows that had the verdict's state.

    `verdicts` counts windows by their state.
    """

    terms: Terms
    window: float
    began: float
    first: Looked
    verdict: Verdict = NONE_YET
    in_a_row: int = 0
    at: float = 0.0

    def take(self, now: float, counted: Looked, count: Callable[[str], None] = lambda _: None) -> bool:
        """Takes what is counted by now, in seconds since the epoch. Returns whether two windows in a row were worse.

        `count` is called with the state of a window that is complete. If the clock was put back, the window begins anew.
        """
        if now < self.began:
            self._begin(now, counted)
        if now - self.began < self.window:
            return False
        window = between(self.first, counted)
        if window is None:
            self._begin(now, counted)
            return False
        verdict = judge(window, self.terms)
        if verdict.state == UNDECIDED and now - self.began < LONGEST * self.window:
            return False
        self.in_a_row = self.in_a_row + 1 if verdict.state == self.verdict.state else 1
        self.verdict, self.at = verdict, now
        self._begin(now, counted)
        count(verdict.state)
        return verdict.state == WORSE and self.in_a_row >= IN_A_ROW

    @property
    def is_good(self) -> bool:
        """Whether the last windows were good."""
        return self.verdict.state == GOOD and self.in_a_row >= IN_A_ROW

    def _begin(self, now: float, counted: Looked) -> None:
        self.began, self.first = now, counted
