"""How often the guard of a lane accuses one that is like the baseline, and how soon it sees one that is not.

`python -m benchmarks.guards [WINDOWS]`: no network and no clock; the same figures each time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from random import Random

from gateway.control.guard.judge import WORSE, Pair, Terms, judge
from gateway.control.guard.watch import IN_A_ROW
from gateway.telemetry.counts import Counts
from gateway.telemetry.histogram import BUCKETS

SEED = 20270101
WIDE = (1, 2, 4, 8, 16, 16, 8, 4, 2, 1, 1, 0, 0, 0)
SLOWER = (0, 0, 1, 2, 4, 8, 16, 16, 8, 4, 2, 1, 1, 0)
"""One bucket and a half slower: about x2.5."""
EDGE = (0, 0, 0, 95, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0)
"""Exactly 95 % are fast: whether p95 is fast or slow is chance."""

CASES: Sequence[tuple[str, int, int, float, float, float, Sequence[float], Sequence[float]]] = (
    ("equal, 50 of 500, no errors", 50, 500, 0.02, 0.0, 0.0, WIDE, WIDE),
    ("equal, 50 of 500, 1 % errors", 50, 500, 0.02, 0.01, 0.01, WIDE, WIDE),
    ("equal, 50 of 50, 10 % errors", 50, 50, 0.02, 0.1, 0.1, WIDE, WIDE),
    ("equal, 200 of 2000, 2 % errors, p95 on the edge", 200, 2000, 0.02, 0.02, 0.02, EDGE, EDGE),
    ("equal, 50 of 500, 1 % errors, no margin", 50, 500, 0.0, 0.01, 0.01, WIDE, WIDE),
    ("equal, 500 of 500, 5 % errors, no margin", 500, 500, 0.0, 0.05, 0.05, WIDE, WIDE),
    ("2 points more errors, as allowed, 200 of 2000", 200, 2000, 0.02, 0.03, 0.01, WIDE, WIDE),
    ("10 % errors instead of 1 %, 50 of 500", 50, 500, 0.02, 0.1, 0.01, WIDE, WIDE),
    ("10 % errors instead of 1 %, 200 of 2000", 200, 2000, 0.02, 0.1, 0.01, WIDE, WIDE),
    ("20 % errors instead of 1 %, 50 of 500", 50, 500, 0.02, 0.2, 0.01, WIDE, WIDE),
    ("about x2.5 slower, 100 of 1000", 100, 1000, 0.02, 0.01, 0.01, SLOWER, WIDE),
)
"""What it is, requests of lane and baseline, the margin, errors of lane and baseline, durations of lane and baseline."""


def draw(random: Random, requests: int, errors: float, shape: Sequence[float]) -> Counts:
    """Requests of which each fails, and takes its time, by chance."""
    durations = [0] * (len(BUCKETS) + 1)
    for index in random.choices(range(len(durations)), shape, k=requests):
        durations[index] += 1
    failed = sum(random.random() < errors for _ in range(requests))
    return Counts(requests, failed, tuple(durations))


def main() -> None:
    """Prints, of each case, the windows that were worse, and those with which the guard would have acted."""
    windows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{windows} windows each, seed {SEED}: windows called worse, and how often the guard would have acted")
    for name, lane, base, margin, lane_errors, base_errors, lane_shape, base_shape in CASES:
        random, in_a_row, worse, acted = Random(SEED), 0, 0, 0
        for _ in range(windows):
            pair = Pair(draw(random, lane, lane_errors, lane_shape), draw(random, base, base_errors, base_shape))
            is_worse = judge({"a": pair}, Terms(margin, 1.5, 50)).state == WORSE
            in_a_row = in_a_row + 1 if is_worse else 0
            worse += is_worse
            if in_a_row == IN_A_ROW:
                acted, in_a_row = acted + 1, 0
        print(f"{name:50} {1000 * worse / windows:8.2f} ‰ {1000 * acted / windows:8.2f} ‰")


if __name__ == "__main__":
    main()
