"""The retry budget: a share of the requests, some a second besides, and nothing saved up for longer than ten seconds."""

from __future__ import annotations

from gateway.proxy.budget import MOST, RetryBudget
from tests.support import bounds


def taken(budget: RetryBudget, requests: int, now: float, most: int = 10_000) -> int:
    """How many retries it allows at one moment."""
    count = 0
    while count < most and budget.take("a", "base", requests, now):
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
    assert budget.take("a", "base", 500, 1001.0)
    assert taken(budget, 500, 1006.0) == 49  # half of the 99 that were left, and nothing for a part
    assert budget.take("a", "base", 1000, 1007.0)
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
    assert not budget.take("a", "base", 0, 999.0)


def test_each_service_and_tag_has_a_budget_of_its_own() -> None:
    """What a sick version uses up is missing to nobody else."""
    budget = bounds.RetryBudget(share=0.2, minimum=1.0)
    while budget.take("a", "gray", 0, 1000.0):
        pass
    assert not budget.take("a", "gray", 0, 1000.0)
    assert budget.take("a", "base", 0, 1000.0)
    assert budget.take("b", "gray", 0, 1000.0)


def test_made_up_names_are_remembered_only_so_far() -> None:
    """The one that has asked for nothing for the longest time is forgotten: it has its minimum back by then."""
    budget = bounds.RetryBudget(share=0.0, minimum=0.1)
    taken(budget, 0, 1000.0)
    for number in range(MOST):
        budget.take("a", f"n{number}", 0, 1001.0)
    assert len(budget._accounts) == MOST
    assert ("a", "base") not in budget._accounts


def test_a_count_that_is_counted_elsewhere_takes_nothing_away() -> None:
    """Series of made-up names are folded into one: their count begins again."""
    budget = bounds.RetryBudget(share=0.2, minimum=0.0)
    taken(budget, 1000, 1000.0)
    assert taken(budget, 0, 1001.0) == 0
    assert taken(budget, 50, 1002.0) == 10
