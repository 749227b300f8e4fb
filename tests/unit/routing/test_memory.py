"""What a sidecar remembers: bounded, expiring, never one request's tag for another's calls."""

from __future__ import annotations

import itertools

import pytest

from gateway.routing.memory import AMBIGUOUS, TraceMemory


def note(memory: TraceMemory, name: bytes, tag: str, now: float) -> None:
    """A request that came and went."""
    memory.enter([name], tag, now).leave()


def test_remembers_marked_requests_only() -> None:
    memory = TraceMemory()
    note(memory, b"1", "gray", 0.0)
    note(memory, b"2", "base", 0.0)
    assert memory.recall(b"1", 1.0) == "gray"
    assert memory.recall(b"2", 1.0) is None
    assert len(memory) == 1


def test_a_request_without_an_id_leaves_nothing_but_is_inside() -> None:
    memory = TraceMemory()
    visit = memory.enter([], "gray", 0.0)
    assert memory.recall(b"", 0.0) is None
    assert dict(memory.inside) == {"gray": 1}
    visit.leave()
    assert dict(memory.inside) == {}


def test_who_is_inside_is_counted_by_tag() -> None:
    memory = TraceMemory()
    visits = [memory.enter([b"1"], tag, 0.0) for tag in ("gray", "base", "gray")]
    assert dict(memory.inside) == {"gray": 2, "base": 1}
    visits[0].leave()
    assert dict(memory.inside) == {"gray": 1, "base": 1}
    visits[2].leave()
    assert dict(memory.inside) == {"base": 1}


def test_who_waits_for_a_connection_is_outside() -> None:
    memory = TraceMemory()
    first, second = memory.enter([b"1"], "gray", 0.0), memory.enter([b"2"], "base", 0.0)
    assert memory.common_tag(0.0) == "base"
    second.leave()
    second.leave()
    assert (memory.common_tag(0.0), memory.recall(b"2", 0.0)) == ("gray", None)
    first.leave()
    second.come_back()
    second.come_back()
    assert dict(memory.inside) == {"base": 1}
    assert memory.recall(b"2", 0.0) == "base"
    second.leave()
    assert dict(memory.inside) == {}


def test_a_request_that_was_given_up_may_still_be_calling() -> None:
    """An application does not notice at once, and nothing says when: as long as ids are remembered."""
    memory = TraceMemory(ttl=60.0)
    given_up = memory.enter([], "base", 0.0)
    given_up.abandon(1.0)
    given_up.leave()
    memory.enter([], "gray", 1.0)
    assert (memory.common_tag(60.9), memory.common_tag(61.1)) == ("base", "gray")
    memory.abandon("gray", 70.0)
    assert memory.common_tag(70.0) == "gray"


def test_a_request_that_waited_is_given_up_without_a_trace() -> None:
    memory = TraceMemory()
    given_up = memory.enter([], "base", 0.0)
    given_up.leave()
    given_up.abandon(1.0)
    memory.enter([], "gray", 1.0)
    assert memory.common_tag(1.0) == "gray"


def test_of_those_given_up_the_latest_with_another_tag_counts() -> None:
    memory = TraceMemory(ttl=10.0)
    memory.enter([], "gray", 0.0)
    for tag, now in (("base", 1.0), ("gray", 2.0), ("gray", 3.0)):
        memory.abandon(tag, now)
    assert (memory.common_tag(10.9), memory.common_tag(11.1)) == ("base", "gray")
    memory.abandon("blue", 20.0)
    memory.abandon("gray", 21.0)
    memory.abandon("base", 22.0)
    assert (memory.common_tag(31.9), memory.common_tag(32.1)) == ("base", "gray")


def test_unmarked_requests_are_remembered_where_a_call_without_a_tag_may_be_given_one() -> None:
    memory = TraceMemory(keeps_unmarked=True)
    note(memory, b"1", "base", 0.0)
    assert memory.recall(b"1", 1.0) == "base"


def test_of_requests_one_after_the_other_the_latest_counts() -> None:
    memory = TraceMemory()
    note(memory, b"1", "gray", 0.0)
    note(memory, b"1", "base", 0.1)
    assert memory.recall(b"1", 0.2) == "base"
    note(memory, b"1", "gray", 0.3)
    assert memory.recall(b"1", 0.4) == "gray"


@pytest.mark.parametrize("order", sorted(set(itertools.permutations(["base", "gray", "gray"]))))
@pytest.mark.parametrize("leaving", list(itertools.permutations(range(3))))
def test_requests_with_one_id_and_different_tags_are_told_apart_by_nothing(
    order: tuple[str, ...], leaving: tuple[int, ...]
) -> None:
    """Whoever came first and whoever leaves first: calls may follow an answer, so that there is no tag afterwards either."""
    memory = TraceMemory()
    visits = [memory.enter([b"1"], tag, 0.0) for tag in order]
    assert memory.recall(b"1", 0.1) == AMBIGUOUS
    for index in leaving:
        visits[index].leave()
        assert memory.recall(b"1", 0.1) == AMBIGUOUS


def test_an_id_that_was_ambiguous_is_one_requests_own_again_if_that_one_comes_alone() -> None:
    memory = TraceMemory(ttl=60.0)
    first, second = memory.enter([b"1"], "base", 0.0), memory.enter([b"1"], "gray", 0.0)
    assert first is not None
    assert second is not None
    first.leave()
    third = memory.enter([b"1"], "gray", 0.0)
    assert third is not None
    assert memory.recall(b"1", 0.1) == AMBIGUOUS  # the second is still there, and the first may still call
    second.leave()
    third.leave()
    note(memory, b"1", "gray", 0.2)
    assert memory.recall(b"1", 0.3) == "gray"


def test_two_marked_requests_of_different_lanes_are_ambiguous_too() -> None:
    memory = TraceMemory()
    memory.enter([b"1"], "gray", 0.0)
    memory.enter([b"1", b"2"], "blue", 0.0)
    assert (memory.recall(b"1", 0.0), memory.recall(b"2", 0.0)) == (AMBIGUOUS, "blue")


def test_an_unmarked_request_under_way_is_known_to_be_unmarked() -> None:
    memory = TraceMemory()
    visit = memory.enter([b"1"], "base", 0.0)
    assert visit is not None
    assert memory.recall(b"1", 0.0) == "base"
    visit.leave()
    assert memory.recall(b"1", 0.0) is None


def test_what_is_under_way_does_not_expire() -> None:
    memory = TraceMemory(ttl=60.0)
    memory.enter([b"1"], "gray", 0.0)
    assert memory.recall(b"1", 1000.0) == "gray"


def test_expires() -> None:
    memory = TraceMemory(ttl=60.0)
    note(memory, b"1", "gray", 0.0)
    assert memory.recall(b"1", 29.0) == "gray"
    assert memory.recall(b"1", 31.0) == "gray"
    assert memory.recall(b"1", 61.5) is None


def test_expires_after_a_long_silence() -> None:
    memory = TraceMemory(ttl=60.0)
    note(memory, b"1", "gray", 0.0)
    assert memory.recall(b"1", 1000.0) is None


def test_another_memory_knows_the_same_and_no_more_than_it_can_hold() -> None:
    """For a process that takes the place of this one: requests under way here are over there, and their calls may come."""
    memory = TraceMemory(entries=8)
    note(memory, b"old", "gray", 0.0)
    note(memory, b"over", "gray", 0.0)
    memory.enter([b"mixed"], "gray", 0.0)
    memory.enter([b"mixed"], "base", 0.0)
    memory.enter([b"unmarked"], "base", 0.0)
    other = TraceMemory(entries=8)
    other.know(memory.known(), 1000.0)
    assert [other.recall(name, 1000.0) for name in (b"old", b"over", b"mixed", b"unmarked")] == [
        "gray", "gray", AMBIGUOUS, "base",
    ]  # fmt: skip
    small = TraceMemory(entries=2)
    small.know(memory.known(), 1000.0)
    assert (len(small), small.recall(b"unmarked", 1000.0)) == (1, "base")
    empty = TraceMemory()
    empty.know({}, 0.0)
    assert len(empty) == 0


def test_is_bounded() -> None:
    memory = TraceMemory(entries=1000)
    for number in range(100_000):
        note(memory, b"%d" % number, "gray", 0.0)
        assert len(memory) <= 1000
    assert memory.recall(b"99999", 0.0) == "gray"


def test_an_entry_lives_between_half_and_the_whole_of_its_time() -> None:
    """A minute unless it is said otherwise."""
    for arguments, ttl in (({}, 60.0), ({"ttl": 10.0}, 10.0)):
        memory = TraceMemory(**arguments)  # type: ignore[arg-type]
        note(memory, b"1", "gray", 0.0)
        assert memory.recall(b"1", ttl / 2 - 0.1) == "gray"
        assert memory.recall(b"1", ttl / 2) == "gray"
        assert memory.recall(b"1", ttl - 0.1) == "gray"
        assert memory.recall(b"1", ttl) is None
    memory = TraceMemory(ttl=10.0)
    note(memory, b"1", "gray", 0.0)
    assert memory.recall(b"1", 10.0) is None  # nobody asked meanwhile


def test_the_terms_of_the_latest_request_with_an_id_are_remembered_as_long_as_its_tag() -> None:
    memory = TraceMemory(ttl=60.0)
    memory.enter([b"a"], "gray", 0.0, "first").leave()
    assert (memory.rules_of(b"a"), memory.rules_of(b"b")) == ("first", "")
    memory.enter([b"a"], "gray", 29.0, "second").leave()
    assert memory.rules_of(b"a") == "second"
    memory.enter([b"b"], "gray", 31.0, "third").leave()
    assert memory.rules_of(b"a") == "second", "in the old generation"
    assert memory.recall(b"a", 62.0) is None
    assert memory.rules_of(b"a") == ""
    memory.know({b"c": "gray"}, 63.0)
    assert [memory.rules_of(name) for name in (b"a", b"b", b"c")] == ["", "", ""]
