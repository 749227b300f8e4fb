"""The retry budget: a share of the requests, some a second besides, and nothing saved up for longer than ten seconds."""

from __future__ import annotations

from gateway.proxy.budget import RetryBudget
from tests.support import bounds


def taken(budget: RetryBudget, requests: int, now: float, most: int = 10_000) -> int:
    """How many retries it allows at one moment."""
    count = 0
    while count < most and budget.take(requests, now):
        count += 1
    return count


def test_a_quiet_gateway_may_retry_ten_seconds_worth() -> None:
    assert taken(bounds.RetryBudget(share=0.0, minimum=10.0), 0, 1000.0) == 100


def test_the_minimum_comes_back_with_time() -> None:
    budget = bounds.RetryBudget(share=0.0, minimum=10.0)
    taken(budget, 0, 1000.0)
    assert taken(budget, 0, 1000.5) == 5


def test_a_share_of_the_requests_may_be_retried() -> None:
    budget = bounds.RetryBudget(share=0.2, minimum=0.0)
    taken(budget, 0, 1000.0)
    assert taken(budget, 500, 1001.0) == 100


def test_a_busy_hour_saves_up_ten_seconds() -> None:
    budget = bounds.RetryBudget(share=0.2, minimum=0.0)
    taken(budget, 0, 0.0)
    assert taken(budget, 3600 * 500, 3600.0) == 1000


def test_what_requests_have_earned_is_forgotten_in_ten_seconds() -> None:
    """Evenly: after five of them half is left."""
    budget = bounds.RetryBudget(share=0.2, minimum=0.0)
    taken(budget, 0, 1000.0)
    assert budget.take(500, 1001.0)
    assert taken(budget, 500, 1006.0) == 49  # half of the 99 that were left, and nothing for a part
    assert budget.take(1000, 1007.0)
    assert taken(budget, 1000, 1017.0) == 0


def test_the_minimum_is_saved_up_for_ten_seconds_and_no_longer() -> None:
    budget = bounds.RetryBudget(share=0.0, minimum=10.0)
    taken(budget, 0, 1000.0)
    assert taken(budget, 0, 2000.0) == 100


def test_the_minimum_is_spent_when_requests_have_earned_nothing() -> None:
    budget = bounds.RetryBudget(share=0.5, minimum=0.1)
    assert taken(budget, 0, 1000.0) == 1
    assert taken(budget, 4, 1000.0) == 2
    assert taken(budget, 5, 1010.0) == 1  # a second's worth of requests at ten seconds' distance, and the minimum


def test_a_clock_that_goes_back_earns_nothing() -> None:
    budget = bounds.RetryBudget(share=0.0, minimum=10.0)
    taken(budget, 0, 1000.0)
    assert not budget.take(0, 999.0)
