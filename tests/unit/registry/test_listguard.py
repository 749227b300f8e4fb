"""What of a list is believed at once, and what only when it has stood for a while."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.instance import Instance
from gateway.registry.listguard import ListGuard, Patience


def instances(*names: str) -> tuple[Instance, ...]:
    """`b3` is instance 3 of the baseline, `g3` of gray."""
    found = [
        Instance(f"10.0.{name[0] == 'g':d}.{name[1:]}", 80, "gray" if name[0] == "g" else "base") for name in names
    ]
    return tuple(sorted(found, key=lambda instance: instance.address))


def names(guard: ListGuard) -> set[str]:
    return {f"{instance.tag[0]}{instance.host.rpartition('.')[2]}" for instance in guard.instances}


MANY = tuple(f"b{number}" for number in range(10))


@pytest.fixture
def guard() -> ListGuard:
    guard = ListGuard(Patience())
    guard.take(instances(*MANY, "g1", "g2"), 0)
    return guard


def test_what_comes_or_changes_is_believed_at_once(guard: ListGuard) -> None:
    guard.take(instances(*MANY, "g1", "g2", "g3"), 1)
    assert (guard.doubt, len(guard.instances)) == ("", 13)


def test_a_tag_that_goes_is_believed_at_once(guard: ListGuard) -> None:
    guard.take(instances(*MANY), 1)
    assert (guard.doubt, names(guard)) == ("", set(MANY))


def test_some_instances_that_go_are_believed_at_once(guard: ListGuard) -> None:
    guard.take(instances(*MANY[:4], "g1"), 1)
    assert (guard.doubt, names(guard)) == ("", {*MANY[:4], "g1"})


def test_most_of_a_tag_that_goes_in_one_step_is_kept_for_a_while_and_other_tags_are_not(guard: ListGuard) -> None:
    fewer = instances(*MANY[:3])
    guard.take(fewer, 1)
    assert (guard.doubt, names(guard)) == ("drop", set(MANY))
    guard.take(fewer, 5)
    assert guard.doubt == "drop"
    guard.take(fewer, 6)
    assert (guard.doubt, names(guard)) == ("", set(MANY[:3]))


def test_a_baseline_that_goes_while_gray_stays_is_a_drop(guard: ListGuard) -> None:
    guard.take(instances("g1", "g2"), 1)
    assert (guard.doubt, len(guard.instances)) == ("drop", 12)


def test_two_of_two_are_no_drop(guard: ListGuard) -> None:
    small = ListGuard(Patience())
    small.take(instances("b1", "b2", "b3"), 0)
    small.take(instances("b1"), 1)
    assert (small.doubt, names(small)) == ("", {"b1"})


def test_another_list_starts_the_count_again(guard: ListGuard) -> None:
    guard.take(instances("b1", "b2"), 1)
    guard.take(instances("b1", "b3"), 6)
    assert guard.doubt == "drop"
    guard.take(instances("b1", "b3"), 11)
    assert (guard.doubt, names(guard)) == ("", {"b1", "b3"})


def test_after_an_empty_list_clients_come_back_one_by_one(guard: ListGuard) -> None:
    """So does Nacos after a restart: the gray instance that is not back yet must not lose its lane."""
    guard.take((), 1)
    assert guard.doubt == "empty"
    guard.take(instances("b1"), 2)
    assert (guard.doubt, len(guard.instances)) == ("returned", 12)
    guard.take(instances(*MANY), 3)
    assert (guard.doubt, len(guard.instances)) == ("returned", 12)
    guard.take(instances(*MANY, "g1", "g2"), 4)
    assert (guard.doubt, len(guard.instances)) == ("", 12)


def test_after_an_outage_too_and_who_does_not_come_back_is_gone_in_the_end(guard: ListGuard) -> None:
    guard.interrupted(was_away=True)
    for second in (10, 15, 20):
        guard.take(instances(*MANY), second)
        assert (guard.doubt, len(guard.instances)) == ("returned", 12)
    guard.take(instances(*MANY), 25)
    assert (guard.doubt, names(guard)) == ("", set(MANY))


def test_an_answer_that_was_refused_is_no_outage(guard: ListGuard) -> None:
    guard.interrupted(was_away=False)
    guard.take(instances(*MANY), 1)
    assert (guard.doubt, names(guard)) == ("", set(MANY))


def test_a_list_that_never_stands_still_is_believed_in_the_end(guard: ListGuard) -> None:
    guard.interrupted(was_away=True)
    for second in range(1, 61):
        guard.take(instances("b1", f"b{2 + second % 2}"), second)
        assert guard.doubt == "returned"
    guard.take(instances("b1", "b2"), 61)
    assert (guard.doubt, names(guard)) == ("", {"b1", "b2"})


def test_new_ones_are_used_while_old_ones_are_kept(guard: ListGuard) -> None:
    guard.interrupted(was_away=True)
    guard.take(instances("b20"), 1)
    assert names(guard) == {*MANY, "g1", "g2", "b20"}


def test_an_empty_list_is_never_believed_for_changing(guard: ListGuard) -> None:
    guard.take((), 0)
    guard.interrupted(was_away=True)
    guard.take((), 100)
    assert (guard.doubt, len(guard.instances)) == ("empty", 12)


def test_an_empty_list_is_believed_in_the_end_though_errors_come_between(guard: ListGuard) -> None:
    for number in range(20):
        assert number == 0 or guard.doubt == "empty"
        guard.interrupted(was_away=True)
        guard.take((), 16 * number)
    assert guard.instances == ()


def test_an_empty_list_needs_its_answers_and_its_time_both() -> None:
    """19 answers are too few however long they took, and 300 s too short however many there were."""
    patience = Patience()
    for seconds, answers in ((100.0, patience.empty_lists - 1), (patience.empty_seconds / 30, 30)):
        guard = ListGuard(patience)
        guard.take(instances("b1"), 0)
        for number in range(answers):
            guard.interrupted(was_away=True)
            guard.take((), 1 + number * seconds)
        assert (guard.doubt, names(guard)) == ("empty", {"b1"})
        guard.interrupted(was_away=True)
        guard.take((), 1 + patience.empty_seconds + answers * seconds)
        assert (guard.doubt, names(guard)) == ("", set())


def test_empty_answers_count_only_in_a_row(guard: ListGuard) -> None:
    patience = Patience()
    for number in range(patience.empty_lists - 1):
        guard.interrupted(was_away=True)
        guard.take((), float(number))
    guard.take(instances("b1"), 30.0)
    guard.interrupted(was_away=True)
    guard.take((), 310.0)
    assert (guard.doubt, len(guard.instances)) == ("empty", 12)


def test_an_equal_empty_list_without_errors_between_is_believed_like_any_other(guard: ListGuard) -> None:
    for second, doubt in ((1, "empty"), (9, "empty"), (15.9, "empty"), (16, "")):
        guard.take((), second)
        assert guard.doubt == doubt
    assert guard.instances == ()


def test_what_returns_needs_three_equal_answers_over_fifteen_seconds(guard: ListGuard) -> None:
    guard.interrupted(was_away=True)
    for second, doubt in ((1, "returned"), (20, "returned"), (21, "")):
        guard.take(instances(*MANY), second)
        assert guard.doubt == doubt


@pytest.mark.parametrize(("before", "left", "doubt"), [(5, 2, ""), (8, 3, "drop"), (3, 0, "drop"), (10, 4, "")])
def test_a_drop_is_more_than_a_share_of_the_tag(before: int, left: int, doubt: str) -> None:
    """At 60 % it is none yet."""
    guard = ListGuard(Patience())
    guard.take(instances(*MANY[:before], "g1"), 0)
    guard.take(instances(*MANY[:left], "g1"), 1)
    assert guard.doubt == doubt


def test_what_is_kept_for_a_drop_is_the_dropped_tags_alone() -> None:
    guard = ListGuard(Patience())
    guard.take(instances(*MANY, "g1", "g2"), 0)
    guard.take(instances("b1", "g2"), 1)
    assert (guard.doubt, names(guard)) == ("drop", {*MANY, "g2"})
    assert [instance.address for instance in guard.instances] == sorted(item.address for item in guard.instances)


def test_what_was_restored_is_kept_until_the_registry_has_said_otherwise_for_a_while() -> None:
    guard = ListGuard(Patience())
    guard.restore(instances("b1", "b2"))
    assert (guard.doubt, names(guard)) == ("", {"b1", "b2"})
    guard.take(instances("b2"), 1)
    assert (guard.doubt, names(guard)) == ("returned", {"b1", "b2"})
    guard.take(instances("b1", "b2"), 2)
    guard.take(instances("b2"), 3)
    assert (guard.doubt, names(guard)) == ("", {"b2"})


def test_of_an_instance_that_changed_the_latest_word_counts() -> None:
    guard = ListGuard(Patience())
    guard.take(instances("b1", "b2"), 0)
    guard.interrupted(was_away=True)
    sick = replace(instances("b1")[0], healthy=False)
    guard.take((sick,), 1)
    assert guard.instances == (sick, *instances("b2"))


@pytest.mark.parametrize("was_away", [False, True])
def test_who_is_known_to_be_no_more_is_not_kept(guard: ListGuard, was_away: bool) -> None:
    """A drop, and after an outage: their addresses may be somebody else's."""
    gone = {"10.0.0.3", "10.0.0.4"}
    guard.interrupted(was_away)
    guard.take(instances("b1"), 1, lambda instance: instance.host in gone)
    assert names(guard) == {*MANY, *({"g1", "g2"} if was_away else ())} - {"b3", "b4"}
    guard.take(instances("b1"), 2, lambda _: True)
    assert (guard.doubt, names(guard)) == ("", {"b1"})


def test_an_empty_list_is_certain_if_everybody_is_known_to_be_no_more(guard: ListGuard) -> None:
    guard.take((), 1, lambda _: True)
    assert (guard.doubt, guard.instances) == ("", ())


def test_after_each_outage_clients_have_all_the_time_again(guard: ListGuard) -> None:
    """However long the list has been doubted: a registry that fails again and again has had no time to be complete."""
    for now in range(0, 120, 20):
        guard.interrupted(was_away=True)
        guard.take(instances("g1"), now + 1)
        guard.take(instances("b1", "g1"), now + 2)
        assert (guard.doubt, len(guard.instances)) == ("returned", 12)
    for now in range(103, 161):
        guard.take(instances("b1", "g1") if now % 2 else instances("b1", "g2"), now)
        assert guard.doubt == "returned"
    guard.take(instances("b1", "g1"), 161)
    assert (guard.doubt, names(guard)) == ("", {"b1", "g1"})
