"""Rates, errors and latencies from two looks at the metrics."""

from __future__ import annotations

import pytest

from gateway.live.rates import Picture, Rate, quantile

SERVICES = [
    {"service": "a", "pools": [{"tag": "base", "instances": [{"address": "x:1"}]}, {"tag": "gray", "instances": []}]}
]


def picture(ok: int, bad: int, fast: int, active: int = 0, tag: str = "base") -> Picture:
    labels = f'listener="entry",service="a",tag="{tag}"'
    return Picture(
        "# TYPE gateway_requests counter\n"
        f'gateway_requests_total{{{labels},code="200"}} {ok}\n'
        f'gateway_requests_total{{{labels},code="503"}} {bad}\n'
        "# TYPE gateway_failed_requests counter\n"
        f"gateway_failed_requests_total{{{labels}}} {bad}\n"
        "# TYPE gateway_request_duration_seconds histogram\n"
        f'gateway_request_duration_seconds_bucket{{{labels},le="0.1"}} {fast}\n'
        f'gateway_request_duration_seconds_bucket{{{labels},le="0.2"}} {ok + bad}\n'
        f'gateway_request_duration_seconds_bucket{{{labels},le="+Inf"}} {ok + bad}\n'
        "# TYPE gateway_upstream_requests_in_flight gauge\n"
        f'gateway_upstream_requests_in_flight{{address="x:1"}} {active}\n',
        SERVICES,
    )


def test_what_happened_between_two_looks() -> None:
    found = picture(190, 10, 100, active=3).since(picture(100, 0, 100), 10.0)
    assert found == [Rate("entry", "a", "base", 10.0, 0.1, pytest.approx(0.195), 3)]  # type: ignore[arg-type]


def test_where_nothing_happened_there_is_no_latency() -> None:
    assert picture(5, 1, 2).since(picture(5, 1, 2), 2.0) == [Rate("entry", "a", "base", 0.0, 0.0, None, 0)]


def test_after_a_restart_everything_counts() -> None:
    [found] = picture(10, 0, 10).since(picture(500, 0, 500), 2.0)
    assert found.rate == 5.0
    assert found.p95 == pytest.approx(0.095)


def test_what_was_not_there_before_counts_from_nothing() -> None:
    [found] = picture(4, 0, 4, active=7, tag="gray").since(Picture("", ()), 2.0)
    assert (found.tag, found.rate, found.in_flight) == ("gray", 2.0, 0)


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ({}, None),
        ({0.1: 0.0, float("inf"): 0.0}, None),
        ({0.1: 100.0, 0.2: 100.0, float("inf"): 100.0}, 0.095),
        ({0.1: 90.0, 0.2: 100.0, float("inf"): 100.0}, 0.15),
        ({0.1: 0.0, 0.2: 50.0, float("inf"): 100.0}, 0.2),
    ],
)
def test_the_quantile_is_the_one_of_prometheus(buckets: dict[float, float], expected: float | None) -> None:
    assert quantile(0.95, buckets) == (None if expected is None else pytest.approx(expected))
