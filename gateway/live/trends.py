"""Requests of late, how many failed and how long they took, by service and tag: counters, looked at time and again."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from gateway.live.rates import quantile
from gateway.telemetry.counters import Series
from gateway.telemetry.histogram import Histogram

STEP: Final = 10.0
"""Seconds between two looks."""
KEPT: Final = 60
"""Looks that are kept: ten minutes."""

Key = tuple[str, str]
"""Service and tag."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests, those that failed, and durations by bucket."""

    requests: int
    errors: int
    buckets: tuple[int, ...]

    def since(self, before: Counted) -> Counted:
        """What came since another look; all of it if something was counted anew."""
        if before.requests > self.requests:
            return self
        buckets = tuple(now - then for now, then in zip(self.buckets, before.buckets, strict=True))
        return Counted(self.requests - before.requests, self.errors - before.errors, buckets)

    def plus(self, other: Counted) -> Counted:
        """Both together."""
        buckets = tuple(one + another for one, another in zip(self.buckets, other.buckets, strict=True))
        return Counted(self.requests + other.requests, self.errors + other.errors, buckets)


_BOUNDS: Final = (*Histogram().bounds, float("inf"))
NOTHING: Final = Counted(0, 0, (0,) * len(_BOUNDS))


class Trends:
    """Those of one program. What had no requests between two looks takes no room."""

    def __init__(self) -> None:
        self._at = 0.0
        self._last: dict[Key, Counted] = {}
        self._steps: deque[tuple[float, float, dict[Key, Counted]]] = deque(maxlen=KEPT)

    def look(self, exchanges: Mapping[str, Mapping[str, Series]], now: float) -> None:
        """Takes what is counted by now, by service and tag; `now` is in seconds since the epoch.

        Does nothing if the last look was only just.
        """
        # Those who call come a little early or late.
        if 0 <= now - self._at < STEP - 1:
            return
        found = {
            (service, tag): _counted(series) for service, tags in exchanges.items() for tag, series in tags.items()
        }
        if self._at and now > self._at:
            fresh = {key: counted.since(self._last.get(key, NOTHING)) for key, counted in found.items()}
            busy = {key: counted for key, counted in fresh.items() if counted.requests}
            self._steps.append((now, now - self._at, busy))
        self._at, self._last = now, found

    def describe(self, services: Collection[str] = ()) -> dict[str, Any]:
        """Each tag that had requests, step by step, of some services or of all, as plain values."""
        steps = [(at, seconds, _by_tag(found, services)) for at, seconds, found in self._steps]
        tags = sorted({tag for _, _, by_tag in steps for tag in by_tag})
        return {
            "step": STEP,
            "times": [at for at, _, _ in steps],
            "tags": [
                {"tag": tag, **_series([(seconds, by_tag.get(tag, NOTHING)) for _, seconds, by_tag in steps])}
                for tag in tags
            ],
        }


def _counted(series: Series) -> Counted:
    return Counted(sum(series.statuses.values()), series.errors, tuple(series.durations.counts))


def _by_tag(found: Mapping[Key, Counted], services: Collection[str]) -> dict[str, Counted]:
    by_tag: dict[str, Counted] = defaultdict(lambda: NOTHING)
    for (service, tag), counted in found.items():
        if not services or service in services:
            by_tag[tag] = by_tag[tag].plus(counted)
    return dict(by_tag)


def _series(steps: list[tuple[float, Counted]]) -> dict[str, list[float | None]]:
    return {
        "rate": [round(counted.requests / seconds, 3) for seconds, counted in steps],
        "errors": [round(counted.errors / counted.requests, 5) if counted.requests else None for _, counted in steps],
        "p95": [_p95(counted) for _, counted in steps],
    }


def _p95(counted: Counted) -> float | None:
    found = quantile(0.95, dict(zip(_BOUNDS, accumulate(counted.buckets), strict=True)))
    return None if found is None else round(found, 6)
