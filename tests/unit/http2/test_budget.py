"""What a peer may make this program do for nothing."""

from __future__ import annotations

from gateway.http2.budget import REGAIN, Budget


def test_so_many_at_once_and_all_of_them_again_after_a_while() -> None:
    budget = Budget(10, 100.0)
    assert [budget.spend(100.0) for _ in range(11)] == [True] * 10 + [False]
    assert budget.spend(100.0 + REGAIN)
    assert [budget.spend(100.0 + 2 * REGAIN) for _ in range(11)] == [True] * 10 + [False]


def test_some_come_back_with_time() -> None:
    budget = Budget(10, 0.0)
    for _ in range(10):
        budget.spend(0.0)
    assert budget.spend(REGAIN / 10)
    assert not budget.spend(REGAIN / 10)


def test_what_is_earned_is_never_more_than_all() -> None:
    budget = Budget(10, 0.0)
    assert [budget.spend(0.0, 5) for _ in range(100)] == [True] * 100
    assert [budget.spend(0.0, 1000), *[budget.spend(0.0) for _ in range(10)]] == [True] * 10 + [False]
