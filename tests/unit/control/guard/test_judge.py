"""The verdict on a lane: what is worse, what is not, how little is enough, and how often an equal lane is accused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import pytest

from gateway.control.guard.judge import CRITICAL, GOOD, UNDECIDED, WORSE, Pair, Stratum, Terms, excess, judge
from gateway.telemetry.counters import Series
from gateway.telemetry.counts import Counts
from gateway.telemetry.histogram import BUCKETS

BOUNDS = len(BUCKETS) + 1
TERMS = Terms(errors=0.02, p95=1.5, min_requests=50)


def counts(requests: int, errors: int = 0, *, slow: int = 0, fast_in: int = 3, slow_in: int = 6) -> Counts:
    """Requests in one bucket of durations, some in another one."""
    durations = [0] * BOUNDS
    durations[fast_in] += requests - slow
    durations[slow_in] += slow
    return Counts(requests, errors, tuple(durations))


def test_what_a_process_counts_is_read_with_every_5xx_its_class_and_failed_calls() -> None:
    series = Series()
    series.add({200: 7, 404: 2, 500: 3, 599: 1, 5: 2, 4: 9}, [24, *[0] * (BOUNDS - 1)], 1.0, 0, 0, 3)
    assert Counts.of(series) == Counts(24, 9, (24, *[0] * (BOUNDS - 1)))
    assert Counts.of(None) == Counts()


def test_what_is_fewer_than_before_was_counted_anew() -> None:
    assert counts(9, 2).since(counts(4, 1)) == counts(5, 1)
    assert counts(4, 1).since(counts(9, 2)) is None
    assert counts(9, 1).since(counts(4, 2)) is None


@pytest.mark.parametrize(
    ("lane", "base", "state"),
    [
        # No verdict from ten requests, be they as bad as they are, nor without anything to compare with.
        (counts(10, 10), counts(1000), UNDECIDED),
        (counts(49, 49), counts(1000), UNDECIDED),
        (counts(1000, 1000), counts(49), UNDECIDED),
        (counts(50), counts(50), GOOD),
        # Errors: above the baseline's share and the margin, and not by chance.
        (counts(50, 50), counts(1000), WORSE),
        (counts(50, 3), counts(1000), GOOD),
        (counts(50, 8), counts(1000), WORSE),
        (counts(1000, 20), counts(1000), GOOD),
        (counts(1000, 40), counts(1000), WORSE),
        (counts(1000, 40), counts(1000, 20), GOOD),
        (counts(1000, 500), counts(1000, 500), GOOD),
        (counts(1000, 0), counts(1000, 500), GOOD),
        # The baseline's p95 is in the bucket up to 10 ms; x1.5 of that is counted up to 25 ms.
        (counts(100, slow=4), counts(1000), GOOD),
        (counts(100, slow=6), counts(1000), WORSE),
        (counts(100, slow=100, slow_in=4), counts(1000), GOOD),
        (counts(100, slow=100, slow_in=5), counts(1000), WORSE),
        # The same tail as the baseline's is not slower.
        (counts(100, slow=6), counts(1000, slow=45), GOOD),
        # Beyond the last bucket nobody can say by how much.
        (counts(100, slow=100, slow_in=13), counts(1000, slow=1000, slow_in=12), GOOD),
    ],
)
def test_the_verdict(lane: Counts, base: Counts, state: str) -> None:
    assert judge({"a": Pair(lane, base)}, TERMS).state == state


def test_the_reason_has_the_figures() -> None:
    verdict = judge({"a": Pair(counts(200, 20, slow=100), counts(1000, 10))}, TERMS)
    assert verdict.reason == (
        "too many errors: 10.00% of 200 requests, of the baseline's 1.00% of 1000, failed; "
        "too slow: 50.00% of 200 requests, of the baseline's 0.00% of 1000, took more than 25 ms, "
        "which is x1.5 the baseline's p95"
    )


def test_another_mix_of_services_is_no_difference() -> None:
    """The baseline calls mostly a service without errors, the lane mostly one with many: in sum 18 % beside 2 %."""
    mixed = {
        "sound": Pair(counts(100), counts(9000)),
        "sick": Pair(counts(900, 180, slow=900), counts(1000, 200, slow=1000)),
    }
    assert judge(mixed, TERMS).state == GOOD
    assert judge({**mixed, "sound": Pair(counts(300, 90), counts(9000))}, TERMS).state == WORSE


def test_a_service_without_a_baseline_is_not_compared() -> None:
    assert judge({"a": Pair(counts(60), counts(60)), "new": Pair(counts(90, 90), counts(3))}, TERMS).state == GOOD


def test_only_what_is_asked_for_is_looked_at() -> None:
    bad = {"a": Pair(counts(100, 100, slow=100), counts(1000))}
    assert judge(bad, Terms(0.02, None, 50)).reason.startswith("too many errors")
    assert judge(bad, Terms(None, 1.5, 50)).reason.startswith("too slow")


def test_without_any_spread_a_surplus_is_infinitely_significant() -> None:
    assert excess([Stratum(0, 50, 0, 50)], 0.0) == -math.inf
    assert excess([Stratum(50, 50, 0, 50)], 1.0) < 0


def draw(random: Random, requests: int, errors: float, shape: Sequence[float]) -> Counts:
    """Requests of which each fails, and takes its time, by chance."""
    durations = [0] * BOUNDS
    for index in random.choices(range(BOUNDS), shape, k=requests):
        durations[index] += 1
    return Counts(requests, sum(random.random() < errors for _ in range(requests)), tuple(durations))


WIDE = (1, 2, 4, 8, 16, 16, 8, 4, 2, 1, 1, 0, 0, 0)
ON_THE_EDGE = (0, 0, 0, 95, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0)
"""Exactly 95 % are fast: whether p95 is fast or slow is chance."""


def accused(windows: int, lane: int, base: int, errors: float, shape: Sequence[float], terms: Terms) -> int:
    """How many windows of a lane that is like the baseline are called worse."""
    random = Random(20270101)
    return sum(
        judge({"a": Pair(draw(random, lane, errors, shape), draw(random, base, errors, shape))}, terms).state == WORSE
        for _ in range(windows)
    )


@pytest.mark.parametrize(
    ("lane", "base", "errors", "shape"),
    [(50, 500, 0.0, WIDE), (50, 500, 0.02, ON_THE_EDGE), (60, 60, 0.1, WIDE), (200, 400, 0.01, ON_THE_EDGE)],
)
def test_an_equal_lane_is_accused_in_less_than_three_windows_of_a_hundred(
    lane: int, base: int, errors: float, shape: Sequence[float]
) -> None:
    """So in less than 1 of 1,000 pairs of windows: two in a row are needed. Seeded; the docs have figures of more windows."""
    assert accused(300, lane, base, errors, shape, TERMS) <= 9


def test_the_level_of_the_test_is_one_percent() -> None:
    assert 0.5 * math.erfc(CRITICAL / math.sqrt(2)) == pytest.approx(0.01, abs=1e-4)
