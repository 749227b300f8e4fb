"""Comparisons as intervals of places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from gateway.rules.conditions import Test
from gateway.rules.numbers import HIGHEST, LOWEST, place_of_number, show_place

_ONE: Final = place_of_number(Decimal(1))


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers whose places are from `low` to `high`, both included."""

    low: int = LOWEST
    high: int = HIGHEST

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
        low = other.high + 1 if other.low <= self.low <= other.high else self.low
        high = other.low - 1 if other.low <= self.high <= other.high else self.high
        return Interval(low, high)

    def samples(self) -> Iterator[str]:
        """Some of its numbers, as they are written; round ones first."""
        low, high = self.low, self.high
        if low == LOWEST and high == HIGHEST:
            yield "0"
        elif high == HIGHEST:
            yield from map(show_place, (_up(low), _up(low + 1), low, low + _ONE))
        elif low == LOWEST:
            yield from map(show_place, (_down(high), _down(high - 1), high, high - _ONE))
        else:
            yield from map(show_place, (_up(low), (low + high) // 2, low, high))


def interval_of(test: Test) -> Interval | None:
    """The numbers that a comparison takes; None for what compares no numbers."""
    given = test.given()
    places = None if given is None else given[0].interval(given[1])
    if places is None:
        return None
    low, beyond = places
    return Interval(low, beyond if beyond == HIGHEST else beyond - 1)


def _up(place: int) -> int:
    """The next whole number, upward."""
    return -(-place // _ONE) * _ONE


def _down(place: int) -> int:
    return place // _ONE * _ONE
