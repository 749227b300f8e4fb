"""Comparisons as intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.rules.conditions import Test


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers from `low` to `high`, both included."""

    low: float
    high: float

    @property
    def is_empty(self) -> bool:
        """Whether there is no number in it."""
        return self.low > self.high

    def common(self, other: Interval) -> Interval:
        """The numbers in both."""
        return Interval(max(self.low, other.low), min(self.high, other.high))

    def holds(self, other: Interval) -> bool:
        """Whether all of the other's numbers are in it."""
        return self.low <= other.low and other.high <= self.high

    def without(self, other: Interval) -> Interval:
        """The numbers that are not in the other, where those are at an end of these, or all; else all of these."""
        low = math.nextafter(other.high, math.inf) if other.low <= self.low <= other.high else self.low
        high = math.nextafter(other.low, -math.inf) if other.low <= self.high <= other.high else self.high
        return Interval(low, high)

    def samples(self) -> Iterator[str]:
        """Some of its numbers, as they are written."""
        low, high = self.low, self.high
        if math.isinf(low) and math.isinf(high):
            yield "0"
        elif math.isinf(high):
            yield from (_show(math.ceil(low)), _show(math.floor(low) + 1), _show(low), _show(low + 1))
        elif math.isinf(low):
            yield from (_show(math.floor(high)), _show(math.ceil(high) - 1), _show(high), _show(high - 1))
        else:
            yield from (_show(math.ceil(low)), _show((low + high) / 2), _show(low), _show(high))


def interval_of(test: Test) -> Interval | None:
    """The numbers that a comparison takes; None for what is none."""
    if test.range is not None:
        return Interval(test.range[0], test.range[1])
    if test.gt is not None:
        return Interval(math.nextafter(test.gt, math.inf), math.inf)
    if test.gte is not None:
        return Interval(test.gte, math.inf)
    if test.lt is not None:
        return Interval(-math.inf, math.nextafter(test.lt, -math.inf))
    if test.lte is not None:
        return Interval(-math.inf, test.lte)
    return None


def _show(number: float) -> str:
    return f"{number:.15f}".rstrip("0").rstrip(".") if abs(number) < 1e15 else "0"
