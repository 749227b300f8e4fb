"""Histograms: how often what was observed lay within which bounds."""

from __future__ import annotations

from typing import Final

BUCKETS: Final[tuple[float, ...]] = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the duration histogram, in seconds."""


class Histogram:
    """Counts per bucket (not cumulative; the last is beyond all bounds) and the sum of what was observed."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = BUCKETS) -> None:
        self.bounds = bounds
        self.counts: list[int] = [0] * (len(bounds) + 1)
        self.total: float = 0.0

    def add(self, counts: list[int], total: float) -> None:
        """Adds another process's observations."""
        self.total += total
        for index, count in enumerate(counts):
            self.counts[index] += count
