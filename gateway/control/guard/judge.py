"""The verdict on a lane: what was counted of its requests beside what was counted of the baseline's, service by service.

Both questions (more errors? slower?) are one: is the share of bad requests larger than the baseline's, by more than a
margin? A one-sided score test of two proportions answers it, with a margin (Farrington and Manning, Statistics in Medicine
9, 1990; the share under the hypothesis is the pooled one), summed over the services as strata, so that another mix of
services is not taken for a difference, and with a continuity correction. `tests/unit/control/guard/test_judge.py` measures
how often equal lanes are called worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.telemetry.counts import Counts
from gateway.telemetry.histogram import BUCKETS

CRITICAL: Final = 2.326
"""The standard normal deviate that 1 % exceed."""
SLOW: Final = 0.05
"""The part of requests that may take longer than the 95th percentile."""

GOOD: Final = "good"
WORSE: Final = "worse"
UNDECIDED: Final = "undecided"


@dataclass(frozen=True, slots=True)
class Pair:
    """What was counted of one service: the lane's requests, and the baseline's."""

    lane: Counts
    base: Counts


Looked = Mapping[str, Pair]
"""By service."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is too bad. `errors` is a margin (0.02: two percentage points), `p95` a factor; None: not looked at."""

    errors: float | None
    p95: float | None
    min_requests: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a window says: `good`, `worse` or `undecided`, why, and of how many requests of the lane."""

    state: str
    reason: str
    requests: int


@dataclass(frozen=True, slots=True)
class Stratum:
    """Bad requests among all, of the lane and of the baseline."""

    bad: int
    of: int
    base_bad: int
    base_of: int


def judge(window: Looked, terms: Terms) -> Verdict:
    """Says whether the lane was worse than the baseline in a window."""
    compared = {
        service: pair
        for service, pair in window.items()
        if pair.lane.requests and pair.base.requests >= terms.min_requests
    }
    requests = sum(pair.lane.requests for pair in compared.values())
    if requests < terms.min_requests:
        few = f"{requests} requests to services of which the baseline had enough; {terms.min_requests} are needed"
        return Verdict(UNDECIDED, few, requests)
    reasons = [
        _errors(compared, terms.errors) if terms.errors is not None else "",
        _slowness(compared, terms.p95) if terms.p95 is not None else "",
    ]
    reason = "; ".join(filter(None, reasons))
    return Verdict(WORSE if reason else GOOD, reason or f"{requests} requests, no worse than the baseline", requests)


def excess(strata: Iterable[Stratum], margin: float) -> float:
    """By how many standard deviations the bad requests of the lane exceed what the baseline's share plus a margin allows."""
    surplus, variance = -0.5, 0.0
    for item in strata:
        surplus += item.bad - item.of * (item.base_bad / item.base_of + margin)
        share = max(0.0, (item.bad + item.base_bad - margin * item.of) / (item.of + item.base_of))
        allowed = min(1.0, share + margin)
        variance += item.of * allowed * (1 - allowed) + item.of**2 * share * (1 - share) / item.base_of
    if not variance:
        return math.inf if surplus > 0 else -math.inf
    return surplus / math.sqrt(variance)


def _errors(compared: Looked, margin: float) -> str:
    strata = [
        Stratum(pair.lane.errors, pair.lane.requests, pair.base.errors, pair.base.requests)
        for pair in compared.values()
    ]
    return f"too many errors: {_show(strata)} failed" if excess(strata, margin) > CRITICAL else ""


def _slowness(compared: Looked, factor: float) -> str:
    strata: list[Stratum] = []
    limits: set[float] = set()
    for pair in compared.values():
        bound = _limit(pair.base, factor)
        if bound is not None:
            limits.add(BUCKETS[bound])
            strata.append(
                Stratum(
                    pair.lane.above(bound), sum(pair.lane.durations), pair.base.above(bound), sum(pair.base.durations)
                )
            )
    slow, of = sum(item.bad for item in strata), sum(item.of for item in strata)
    if not of or slow <= SLOW * of or excess(strata, 0.0) <= CRITICAL:
        return ""
    limit = " or ".join(f"{limit * 1000:g} ms" for limit in sorted(limits))
    return f"too slow: {_show(strata)} took more than {limit}, which is x{factor:g} the baseline's p95"


def _limit(base: Counts, factor: float) -> int | None:
    """The bucket whose upper bound the lane's p95 may reach; None: there is no such bucket."""
    total, below = sum(base.durations), 0
    for index, bound in enumerate(BUCKETS):
        below += base.durations[index]
        if total and below >= (1 - SLOW) * total:
            return next((at for at, limit in enumerate(BUCKETS) if limit >= bound * factor * (1 - 1e-9)), None)
    return None


def _show(strata: Iterable[Stratum]) -> str:
    several = list(strata)
    bad, of = sum(item.bad for item in several), sum(item.of for item in several)
    base_bad, base_of = sum(item.base_bad for item in several), sum(item.base_of for item in several)
    return f"{bad / of:.2%} of {of} requests, of the baseline's {base_bad / base_of:.2%} of {base_of},"
