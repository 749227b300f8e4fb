"""When each lane last took a request: seen from counters that have grown, since a request leaves no time behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

INTERVAL: Final = 5.0
"""Seconds between two looks: how exact a time is."""


@dataclass(frozen=True, slots=True)
class Hits:
    """How many requests a lane took since the start, and about when the last one came, in seconds since the epoch."""

    count: int = 0
    last: float | None = None


NONE: Final = Hits()


class LaneHits:
    """What is known of every lane that has taken a request."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Hits] = {}

    def look(self, decisions: Mapping[str, Mapping[str, int]], now: float) -> None:
        """Takes how often each lane has decided, by group and name. A lane that is not there is forgotten."""
        found: dict[tuple[str, str], Hits] = {}
        for group, by_lane in decisions.items():
            for lane, count in by_lane.items():
                known = self._known.get((group, lane), NONE)
                found[group, lane] = known if known.count == count else Hits(count, now)
        self._known = found

    def of(self, group: str, lane: str) -> Hits:
        """Of one lane."""
        return self._known.get((group, lane), NONE)
