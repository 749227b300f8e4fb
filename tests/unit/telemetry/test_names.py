"""Nobody can make series without end, and what is known has its own whatever others make up."""

from __future__ import annotations

from gateway.telemetry.names import LONGEST, MOST, OTHER, Names

KNOWN = {("a", ""), ("a", "base"), ("a", "gray"), ("b", ""), ("b", "base")}


def knows(service: str, tag: str) -> bool:
    return (service, tag) in KNOWN


def full() -> Names:
    names = Names(knows)
    for number in range(MOST):
        assert names.admit("a", f"t{number}") == ("a", f"t{number}")
    return names


def test_the_first_unknown_ones_are_counted_by_themselves() -> None:
    names = full()
    assert names.admit("a", "t0") == ("a", "t0")
    assert names.admit("a", "one-more") == ("a", OTHER)
    assert names.admit("who", "one-more") == (OTHER, OTHER)
    assert names.admit("who", "") == (OTHER, OTHER)


def test_known_ones_always_are() -> None:
    names = full()
    assert names.admit("a", "gray") == ("a", "gray")
    assert names.admit("b", "base") == ("b", "base")


def test_long_ones_never_are() -> None:
    names = Names(knows)
    assert names.admit("s" * LONGEST, "base") == ("s" * LONGEST, "base")
    assert names.admit("s" * (LONGEST + 1), "base") == (OTHER, OTHER)
    assert names.admit("a", "t" * (LONGEST + 1)) == ("a", OTHER)


def test_a_service_that_is_forgotten_makes_room() -> None:
    names = full()
    names.forget("a")
    assert names.admit("c", "t") == ("c", "t")


def test_what_was_known_once_is_outgrown() -> None:
    """A new tag with each release: as many as are known now, twice over, are looked through."""
    current: set[str] = set()
    names = Names(lambda service, tag: tag in current)
    gone: list[tuple[str, str]] = []
    for release in range(10 * MOST):
        current = {f"v{release}"}
        names.admit("a", f"v{release}")
        gone += names.outgrown()
    assert len(gone) > 8 * MOST
    assert ("a", f"v{10 * MOST - 1}") not in gone
    assert len(names._known) <= MOST
