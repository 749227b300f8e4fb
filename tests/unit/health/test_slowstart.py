"""Newcomers get a growing share, and nobody else is throttled."""

from __future__ import annotations

import pytest

from gateway.health.slowstart import REMEMBERED, SlowStart
from gateway.instance import UID_KEY, Instance
from gateway.tags import BASE


def instance(port: int, tag: str = BASE) -> Instance:
    return Instance("10.0.0.1", port, tag)


OLD, NEW, GRAY = instance(1), instance(2), instance(3, "gray")


def test_a_newcomers_share_grows_with_its_age() -> None:
    start = SlowStart()
    assert start.shares((OLD,), 100.0, 0.0) == {}
    seen = [start.shares((OLD, NEW), 100.0, now) for now in (50.0, 60.0, 75.0, 149.0)]
    assert seen == [{NEW.address: pytest.approx(share)} for share in (0.1, 0.1, 0.2, 0.9)]
    assert start.shares((OLD, NEW), 100.0, 150.0) == {}


def test_who_was_there_first_is_not_new_and_a_pool_of_newcomers_is_not_throttled() -> None:
    start = SlowStart()
    assert start.shares((OLD, NEW), 100.0, 0.0) == {}
    assert start.shares((OLD, NEW, GRAY), 100.0, 1.0) == {}


def test_an_empty_list_at_first_is_no_knowledge() -> None:
    start = SlowStart()
    start.shares((), 100.0, 0.0)
    assert start.shares((OLD,), 100.0, 1.0) == {}
    assert start.shares((OLD, NEW), 100.0, 2.0) == {NEW.address: 0.1}


def test_who_comes_back_soon_is_not_new() -> None:
    start = SlowStart()
    start.shares((OLD, NEW), 10.0, 0.0)
    start.shares((OLD,), 10.0, 20.0)
    assert start.shares((OLD, NEW), 10.0, 20.0 + REMEMBERED) == {}
    start.shares((OLD,), 10.0, 100.0)
    start.shares((OLD,), 10.0, 101.0 + REMEMBERED)
    assert start.shares((OLD, NEW), 10.0, 102.0 + REMEMBERED) == {NEW.address: 0.1}


def test_another_pod_at_the_address_of_one_that_went_is_new() -> None:
    start = SlowStart()
    before, after = (Instance(NEW.host, NEW.port, metadata={UID_KEY: uid}) for uid in ("one", "other"))
    start.shares((OLD, before), 100.0, 0.0)
    assert start.shares((OLD, after), 100.0, 1.0) == {NEW.address: 0.1}


def test_one_that_was_away_for_long_is_new_though_nothing_changed_meanwhile() -> None:
    slow = SlowStart()
    a, b = Instance("10.0.0.1", 80), Instance("10.0.0.2", 80)
    slow.shares((a, b), 30, 0)
    slow.shares((a,), 30, 10)
    assert slow.shares((a, b), 30, 3600) == {b.address: 0.1}
