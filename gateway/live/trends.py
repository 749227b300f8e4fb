"""Requests of late, how many failed and how long they took, by service and tag: counters, looked at time and again."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from itertools import accumulate
from typing import Any, Final

from gateway.live.rates import quantile
from gateway.telemetry.counters import Series
from gateway.telemetry.counts import Counts
from gateway.telemetry.histogram import Histogram

STEP: Final = 10.0
"""Seconds between two looks."""
KEPT: Final = 60
"""Looks that are kept: ten minutes."""

Key = tuple[str, str]
"""Service and tag."""


_BOUNDS: Final = (*Histogram().bounds, float("inf"))
NOTHING: Final = Counts()


class Trends:
    """Those of one program. What had no requests between two looks takes no room."""

    def __init__(self) -> None:
        self._at = 0.0
        self._last: dict[Key, Counts] = {}
        self._steps: deque[tuple[float, float, dict[Key, Counts]]] = deque(maxlen=KEPT)

    def look(self, exchanges: Mapping[str, Mapping[str, Series]], now: float) -> None:
        """Takes what is counted by now, by service and tag; `now` is in seconds since the epoch.

        Does nothing if the last look was only just.
        """
        # Those who call come a little early or late.
        if 0 <= now - self._at < STEP - 1:
            return
        found = {
            (service, tag): Counts.of(series) for service, tags in exchanges.items() for tag, series in tags.items()
        }
        if self._at and now > self._at:
            # All of it if something was counted anew.
            fresh = {key: counted.since(self._last.get(key, NOTHING)) or counted for key, counted in found.items()}
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


def _by_tag(found: Mapping[Key, Counts], services: Collection[str]) -> dict[str, Counts]:
    by_tag: dict[str, Counts] = defaultdict(lambda: NOTHING)
    for (service, tag), counted in found.items():
        if not services or service in services:
            by_tag[tag] = by_tag[tag].plus(counted)
    return dict(by_tag)


def _series(steps: list[tuple[float, Counts]]) -> dict[str, list[float | None]]:
    return {
        "rate": [round(counted.requests / seconds, 3) for seconds, counted in steps],
        "errors": [round(counted.errors / counted.requests, 5) if counted.requests else None for _, counted in steps],
        "p95": [_p95(counted) for _, counted in steps],
    }


def _p95(counted: Counts) -> float | None:
    found = quantile(0.95, dict(zip(_BOUNDS, accumulate(counted.durations), strict=True)))
    return None if found is None else round(found, 6)
