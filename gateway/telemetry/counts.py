"""What was counted of some requests at a moment, to be compared with what was counted at another."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.telemetry.counters import Series
from gateway.telemetry.histogram import BUCKETS


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests that were counted: how many, how many of them failed, and how many in each bucket of durations."""

    requests: int = 0
    errors: int = 0
    durations: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)

    @staticmethod
    def of(series: Series | None) -> Counts:
        """Those since the start of a process."""
        if series is None:
            return Counts()
        return Counts(sum(series.statuses.values()), series.errors, tuple(series.durations.counts))

    def since(self, before: Counts) -> Counts | None:
        """Those since an earlier look; None if there are fewer now: a process has started anew."""
        durations = tuple(now - then for now, then in zip(self.durations, before.durations, strict=True))
        found = Counts(self.requests - before.requests, self.errors - before.errors, durations)
        return None if min(found.requests, found.errors, *durations) < 0 else found

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        durations = tuple(one + another for one, another in zip(self.durations, other.durations, strict=True))
        return Counts(self.requests + other.requests, self.errors + other.errors, durations)

    def above(self, bound: int) -> int:
        """Requests that took longer than the bucket's upper bound."""
        return sum(self.durations[bound + 1 :])
