"""Terms that were in force before: the last few, for some minutes."""

from __future__ import annotations

from gateway.routing.past import KEPT, MOST, PastTerms
from gateway.rules.terms import TagRules, Terms


def terms(number: int) -> Terms:
    return Terms({"gray": TagRules(frozenset({f"s{number}"}), False)}, {})


def test_what_was_in_force_is_found_by_its_digest_for_some_minutes() -> None:
    past = PastTerms()
    first, second = terms(1), terms(2)
    past.keep(first, 100.0)
    assert past.find(first.digest, 100.0 + KEPT - 1) is first
    assert past.find(first.digest, 100.0 + KEPT) is None
    assert past.find(second.digest, 100.0) is None


def test_the_oldest_make_room() -> None:
    past = PastTerms()
    many = [terms(number) for number in range(MOST + 1)]
    for found in many:
        past.keep(found, 1.0)
    assert [past.find(found.digest, 2.0) for found in many] == [None, *many[1:]]
    past.keep(terms(99), 1.0 + KEPT)
    assert len(past) == 1, "what nobody can find any more is not kept"


def test_terms_that_come_and_go_are_kept_from_the_last_time_they_went() -> None:
    past = PastTerms()
    past.keep(terms(1), 1.0)
    past.keep(terms(2), 2.0)
    past.keep(terms(1), 500.0)
    assert len(past) == 2
    assert past.find(terms(1).digest, 500.0 + KEPT - 1) is not None
