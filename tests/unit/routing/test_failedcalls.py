"""For whom a call failed: for the request whose id it carries, or else for all that it may have been made for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from gateway.routing.failedcalls import ANYBODY, LOOK, MOST, FailedCalls, owner_with
from gateway.routing.memory import TraceMemory


def test_a_call_fails_for_the_request_with_its_id_and_only_after_that_began() -> None:
    calls = FailedCalls()
    calls.note(b"1", 10.0)
    assert calls.has_one([b"0", b"1"], "gray", 9.0, 20.0)
    assert not calls.has_one([b"1"], "gray", 11.0, 20.0)
    assert not calls.has_one([b"2"], "gray", 9.0, 20.0)
    assert not calls.has_one([], "gray", 9.0, 20.0)


def test_a_call_with_a_tag_alone_fails_for_all_that_have_it_and_one_with_nothing_for_all() -> None:
    calls = FailedCalls()
    calls.note(owner_with("gray"), 10.0)
    assert calls.has_one([], "gray", 9.0, 20.0)
    assert not calls.has_one([], "base", 9.0, 20.0)
    assert not calls.has_one([], "gray", 11.0, 20.0)
    calls.note(ANYBODY, 12.0)
    assert calls.has_one([b"1"], "base", 11.0, 20.0)
    assert not calls.has_one([b"1"], "base", 13.0, 20.0)


@pytest.mark.parametrize("count", [MOST, 2 * MOST, 5 * MOST])
def test_what_is_known_is_bounded_and_the_latest_half_stays(count: int) -> None:
    calls = FailedCalls()
    for number in range(count):
        calls.note(b"%d" % number, 10.0)
    known = [number for number in range(count) if calls.has_one([b"%d" % number], "", 1.0, 20.0)]
    assert MOST <= len(known) <= 2 * MOST
    assert known == list(range(count - len(known), count))


def test_a_visit_asks_by_its_ids_and_its_tag() -> None:
    memory = TraceMemory()
    visit, other = memory.enter([b"1", b"2"], "gray", 0.0), memory.enter([b"3"], "blue", 0.0)
    assert memory.is_inside(b"2")
    memory.failed_calls.note(b"2", 10.0)
    assert (visit.has_failed_call(9.0, 20.0), other.has_failed_call(9.0, 20.0)) == (True, False)
    memory.failed_calls.note(owner_with("blue"), 10.0)
    assert other.has_failed_call(9.0, 20.0)
    visit.leave()
    assert not memory.is_inside(b"2")


def test_a_call_that_waits_in_vain_counts_until_it_has_its_response() -> None:
    """The look at those that wait is good for a moment; what has become of them since is asked."""
    calls = FailedCalls()
    looks: list[float] = []
    waiting = ["first of 1", "second of 1", "of gray"]

    def find(now: float) -> dict[bytes, list[Callable[[], bool]]]:
        looks.append(now)
        owners = {b"1": waiting[:2], owner_with("gray"): waiting[2:]}
        return {owner: [partial(waiting.__contains__, name) for name in names] for owner, names in owners.items()}

    calls.find_waiting = find
    at = 20.0 + LOOK / 2
    assert calls.has_one([b"1"], "base", 1.0, 20.0)
    assert calls.has_one([b"2"], "gray", 1.0, at)
    assert not calls.has_one([b"2"], "base", 1.0, at)
    waiting.remove("second of 1")
    assert calls.has_one([b"1"], "base", 1.0, at), "the first one waits still"
    waiting.remove("first of 1")
    assert not calls.has_one([b"1"], "base", 1.0, at)
    assert looks == [20.0]
    waiting.clear()
    assert not calls.has_one([b"2"], "gray", 1.0, 20.0 + 2 * LOOK)
    assert looks == [20.0, 20.0 + 2 * LOOK]
