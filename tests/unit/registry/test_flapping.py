"""Instances that come and go."""

from __future__ import annotations

from dataclasses import replace

from gateway.instance import Instance
from gateway.registry.flapping import Flaps

A = Instance("10.0.0.1", 80)
B = Instance("10.0.0.2", 80)
SICK = replace(A, healthy=False)


def after(*lists: tuple[Instance, ...], step: float = 1.0) -> tuple[Flaps, float]:
    flaps = Flaps()
    now = 0.0
    for found in lists:
        now += step
        flaps.take(found, now)
    return flaps, now


def test_once_more_is_no_flapping() -> None:
    flaps, now = after((A, B), (B,), (A, B))
    assert flaps.damped((A, B), now) == (A, B)
    assert flaps.next_release() is None


def test_one_that_is_back_the_second_time_within_a_minute_waits() -> None:
    flaps, now = after((A, B), (B,), (A, B), (B,), (A, B))
    assert flaps.damped((A, B), now) == (SICK, B)
    assert flaps.next_release() == now + 10
    assert flaps.damped((A, B), now + 10) == (A, B)
    assert flaps.count == 1


def test_health_that_changes_is_flapping_too_and_going_is_never_held_back() -> None:
    flaps, now = after((A,), (SICK,), (A,), (SICK,), (A,), (SICK,))
    assert flaps.damped((SICK,), now) == (SICK,)


def test_who_has_nobody_beside_him_is_not_held() -> None:
    """A registry that calls a whole pool sick now and then must not keep it out for longer."""
    sick = replace(B, healthy=False)
    flaps, now = after((A, B), (SICK, sick), (A, B), (SICK, sick), (A, B))
    assert flaps.damped((A, B), now) == (A, B)
    gray = replace(A, tag="gray")
    flaps, now = after((gray, B), (B,), (gray, B), (B,), (gray, B))
    assert flaps.damped((gray, B), now) == (gray, B)


def test_slow_changes_are_none() -> None:
    flaps, now = after((A,), (), (A,), (), (A,), step=25)
    assert flaps.damped((A,), now) == (A,)


def test_nothing_is_remembered_for_ever() -> None:
    flaps = Flaps()
    for number in range(1000):
        flaps.take((Instance(f"10.0.{number // 250}.{number % 250}", 80),), number * 100.0)
    assert len(flaps._usable) + len(flaps._changes) < 10


def test_a_minute_is_just_enough_and_a_moment_more_is_not() -> None:
    """Four changes within it, the first one of them included."""
    for step, held in ((20.0, True), (20.1, False)):
        flaps, now = after((A, B), (B,), (A, B), (B,), (A, B), step=step)
        assert (flaps.damped((A, B), now) == (SICK, B)) is held


def test_who_is_held_comes_back_at_the_very_moment() -> None:
    flaps, now = after((A, B), (B,), (A, B), (B,), (A, B))
    assert flaps.damped((A, B), now + 9.99) == (SICK, B)
    assert flaps.damped((A, B), now + 10.0) == (A, B)
    assert flaps.next_release() is None


def test_each_that_comes_back_too_soon_is_held_and_counted_once() -> None:
    flaps, now = after((A, B), (B,), (A, B), (B,), (A, B))
    flaps.take((A, B), now + 1)
    assert flaps.count == 1
    flaps.take((B,), now + 2)
    flaps.take((A, B), now + 3)
    assert (flaps.count, flaps.next_release()) == (2, now + 13)


def test_the_one_that_is_let_go_first_is_the_next_one() -> None:
    c = Instance("10.0.0.3", 80)
    flaps, now = after((A, B, c), (B, c), (A, B, c), (B, c), (A, B, c))
    for step, found in enumerate(((A, c), (A, B, c), (A, c), (A, B, c)), 1):
        flaps.take(found, now + step)
    assert flaps.next_release() == now + 10
    sick = replace(B, healthy=False)
    assert flaps.damped((A, B, c), now + 4) == (SICK, sick, c)
    assert flaps.damped((A, B, c), now + 10) == (A, sick, c)
    assert flaps.next_release() == now + 14


def test_one_that_was_never_there_before_is_not_flapping() -> None:
    flaps, now = after((B,), (A, B))
    assert flaps.damped((A, B), now) == (A, B)


def test_of_another_tag_those_that_are_held_are_nobodys_replacement() -> None:
    """Gray has only the one that is held; that the baseline is well does not help it."""
    gray = replace(A, tag="gray")
    flaps, now = after((gray, B), (B,), (gray, B), (B,), (gray, B))
    assert flaps.damped((gray, B, Instance("10.0.0.4", 80, "gray")), now)[0] == replace(gray, healthy=False)
