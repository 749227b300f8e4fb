"""Proofs that nobody can be on a row: one of its fields would have to have what no value has.

What is said here is so, whatever a request holds; nothing said means nothing. A path begins with `/`: `OPTIONS *`, which no
entry gateway routes, is left out. No pattern holds of every value, as none looks beyond 1,024 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, ip_network
from typing import Final

from gateway.rules.buckets import BUCKETS
from gateway.rules.conditions import DAYS, Condition, InnerTest, TimeTest
from gateway.rules.forms import Part
from gateway.rules.shares import Spans
from gateway.rules.sources import SOURCES, in_form
from gateway.ruletools.lint.facts import Fact, Segments
from gateway.ruletools.lint.numbers import Interval, interval_of

MAX_LISTED: Final = 1000
"""Values that are looked at one by one."""
ROOT: Final = Fact("path", "", True, False, Condition(path=InnerTest(prefix="/")), "prefix")
"""What every path has."""

_NUMBERISH: Final = re.compile(r"[+-]?[0-9]*\.?[0-9]*")
"""A piece of a number."""
_PARTS: Final[tuple[Part, ...]] = ("start", "end", "inside")
_ADDRESSES: Final = 1 << 32
"""Where IPv6 begins on the line of all addresses."""


def why_impossible(facts: Iterable[Fact], segments: Segments, now: float) -> str:
    """Why no request can be as all facts want it, `now` or later; empty if that is not proved."""
    by_field: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        by_field.setdefault((fact.source, fact.name), []).append(fact)
    for (source, name), several in by_field.items():
        if source == "time":
            reason = _why_never(several, now)
        elif not SOURCES[source].is_always_there and all(fact.may_lack for fact in several):
            continue  # a request without it will do
        else:
            reason = _why_no_value([*several, *([ROOT] if source == "path" else [])], segments)
        if reason:
            return f"{source} {name}".strip() + f" {reason}"
    return ""


def _why_no_value(facts: Sequence[Fact], segments: Segments) -> str:
    """Why no text that is there can be as all facts want it."""
    if any(fact.condition is None and not fact.paths and not fact.holds for fact in facts):
        return "is never absent" if SOURCES[facts[0].source].is_always_there else "must be there and must be absent"
    wanted = [fact for fact in facts if fact.holds]
    shunned = [fact for fact in facts if not fact.holds]
    if any(fact.is_opposite_of(other) for fact in shunned for other in wanted):
        return "must be a value and must not be that value"
    return (
        _why_no_text(facts, segments)
        or _why_no_number(wanted, shunned)
        or _why_no_share(wanted, shunned)
        or _why_no_address(wanted, shunned, segments)
        or _why_no_place(wanted, shunned)
        or _why_not_below(wanted, shunned)
    )


def _why_no_text(facts: Sequence[Fact], segments: Segments) -> str:
    """Where only so many texts will do: whether one of them does."""
    listed = [(fact, members) for fact in facts if (members := fact.members(segments)) is not None]
    for folds in (False, True):
        left: frozenset[str] | None = None
        for fact, members in listed:
            if fact.holds and (folds or not fact.folds):
                some = frozenset(map(str.casefold, members)) if folds else members
                left = some if left is None else left & some
        if left is None:
            continue
        for fact, members in listed:
            if not fact.holds and fact.folds == folds:
                left -= frozenset(map(str.casefold, members)) if folds else members
        if len(left) <= MAX_LISTED:
            # What is known of a text in any case is only what no case changes; RE2 has its own idea of case.
            others = [fact for fact in facts if not folds or (fact.folds and not fact.is_pattern)]
            left = frozenset(text for text in left if all(fact.allows(text, segments) for fact in others))
        if not left:
            return "can be none of the values that it must be"
    return ""


def _why_no_number(wanted: Sequence[Fact], shunned: Sequence[Fact]) -> str:
    spans = [span for fact in wanted if (span := _interval(fact)) is not None]
    if not spans:
        return ""
    left = spans[0]
    for span in spans[1:]:
        left = left.common(span)
    if left.is_empty:
        return "would have to be in two ranges that do not overlap"
    taken = [span for fact in shunned if (span := _interval(fact)) is not None]
    for _ in taken:
        for span in taken:
            left = left.without(span)
    if left.is_empty:
        return "would have to be a number that it must not be"
    if any((text := fact.text(*_PARTS)) is not None and not _NUMBERISH.fullmatch(text) for fact in wanted):
        return "would have to be a number, and no number contains such text"
    return ""


def _interval(fact: Fact) -> Interval | None:
    return None if not fact.operator or fact.condition is None else interval_of(fact.condition.test)


def _why_no_share(wanted: Sequence[Fact], shunned: Sequence[Fact]) -> str:
    if any(fact.operator == "percent" and not fact.spans for fact in wanted):
        return "matches no value: the share is 0 %"
    left: dict[tuple[str, bool], int] = {}
    for fact in (*wanted, *shunned):
        if fact.operator == "percent":
            key = (fact.salt, fact.folds)
            buckets = _buckets(fact.spans)
            left[key] = left.get(key, (1 << BUCKETS) - 1) & (buckets if fact.holds else ~buckets)
    return "would have to be in shares that do not overlap" if 0 in left.values() else ""


def _buckets(spans: Spans) -> int:
    return sum((1 << high) - (1 << low) for low, high in spans)


def _why_no_address(wanted: Sequence[Fact], shunned: Sequence[Fact], segments: Segments) -> str:
    left: list[tuple[int, int]] | None = None
    for fact in wanted:
        if (networks := _networks(fact, segments)) is not None:
            left = networks if left is None else _common(left, networks)
    if left is None:
        return ""
    for fact in shunned:
        for low, high in _networks(fact, segments) or ():
            left = [
                part
                for start, end in left
                for part in ((start, min(end, low)), (max(start, high), end))
                if part[0] < part[1]
            ]
    return "" if left else "can be in none of the networks that it must be in"


def _networks(fact: Fact, segments: Segments) -> list[tuple[int, int]] | None:
    """The addresses that a fact is about, as spans of a line; None if it is about something else."""
    if fact.source != "client_ip" or fact.condition is None:
        return None
    test = fact.condition.test
    texts = segments[test.segment] if test.segment is not None else test.texts()
    if not 0 < len(texts) <= MAX_LISTED:
        return None
    spans: list[tuple[int, int]] = []
    for text in texts:
        network = ip_network(in_form("client_ip", text), strict=False)
        shift = 0 if isinstance(network, IPv4Network) else _ADDRESSES
        spans.append((int(network[0]) + shift, int(network[-1]) + shift + 1))
    return spans


def _common(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    pairs = ((max(low, start), min(high, end)) for low, high in one for start, end in other)
    return [(low, high) for low, high in pairs if low < high]


def _why_no_place(wanted: Sequence[Fact], shunned: Sequence[Fact]) -> str:
    """What a value begins with, ends with, and has in it."""
    places: tuple[tuple[Part, str], ...] = (
        ("start", "would have to start with two different texts"),
        ("end", "would have to end with two different texts"),
    )
    for part, clash in places:
        for folds in (False, True):
            texts = _texts(wanted, (part,), folds)
            longest = max(texts, key=len, default="")
            if not all(_fits(part, longest, text) for text in texts):
                return clash
            if any(_fits(part, longest, text) for text in _texts(shunned, (part,), folds, alone=True)):
                return f"must not {part} as it must"
    for folds in (False, True):
        texts = _texts(wanted, _PARTS, folds)
        for shun in _texts(shunned, ("inside",), folds, alone=True):
            if not shun or any(shun in text for text in texts):
                return "must not contain what it must contain"
    return ""


def _texts(facts: Sequence[Fact], parts: Sequence[Part], folds: bool, alone: bool = False) -> list[str]:
    """The texts that facts have of these parts of a value, without regard to case if it `folds`.

    What holds of a text holds of it in any case, but not the other way round: `alone` leaves out those in which case counts.
    """
    return [
        text.casefold() if folds else text
        for fact in facts
        if (text := fact.text(*parts)) is not None and (fact.folds == folds if alone else folds or not fact.folds)
    ]


def _fits(part: Part, text: str, piece: str) -> bool:
    return text.startswith(piece) if part == "start" else text.endswith(piece)


def _why_not_below(wanted: Sequence[Fact], shunned: Sequence[Fact]) -> str:
    """What lanes' paths say of a path."""
    limits = [_closed(fact) for fact in wanted if fact.paths]
    start = max(_texts(wanted, ("start",), folds=False), key=len, default="")
    for number, paths in enumerate(limits):
        if not any(f"{start}/".startswith(path) or path.startswith(start) for path in paths):
            return "starts outside the lane's paths"
        for others in limits[:number]:
            if not any(one.startswith(other) or other.startswith(one) for one in paths for other in others):
                return "would have to be below two paths that do not meet"
    for fact in shunned:
        closed = _closed(fact)
        if fact.paths and (
            any(start.startswith(path) for path in closed)
            or any(all(any(one.startswith(path) for path in closed) for one in paths) for paths in limits)
        ):
            return "would have to be below paths that it must not be below"
        shun = None if fact.folds else fact.text("start")
        if shun is not None and any(all(one[:-1].startswith(shun) for one in paths) for paths in limits):
            return "must not start as it must"
    return ""


def _closed(fact: Fact) -> list[str]:
    return [path.rstrip("/") + "/" for path in fact.paths]


def _why_never(facts: Sequence[Fact], now: float) -> str:
    """Why there is no moment, now or later, in all windows that hold, and in none of the others."""
    now = int(now)  # conditions look at whole seconds
    wanted = [
        fact.condition.time for fact in facts if fact.holds and fact.condition is not None and fact.condition.time
    ]
    shunned = [
        fact.condition.time for fact in facts if not fact.holds and fact.condition is not None and fact.condition.time
    ]
    ends = [window.until.timestamp() for window in wanted if window.until is not None]
    starts = [window.from_.timestamp() for window in wanted if window.from_ is not None]
    if min(ends, default=now + 1) <= now:
        last = min((window.until for window in wanted if window.until is not None), key=lambda until: until.timestamp())
        return f"has been over since {last.isoformat()}"
    if starts and ends and max(starts) >= min(ends):
        return "would have to be in two windows that do not overlap"
    if any(window in wanted or _is_ever(window, now) for window in shunned):
        return "must be and must not be"
    for zone in {window.zone for window in wanted}:
        days = frozenset(DAYS)
        minutes = (1 << 1440) - 1
        for window in wanted:
            if window.zone == zone:
                days &= frozenset(window.days or DAYS)
                minutes &= _minutes(window)
        if not days:
            return "would have to be on days that do not overlap"
        if not minutes:
            return "would have to be at hours that do not overlap"
    return ""


def _is_ever(window: TimeTest, now: float) -> bool:
    """Whether every moment from now on is in a window."""
    has_begun = window.from_ is None or window.from_.timestamp() <= now
    return (
        has_begun
        and window.until is None
        and set(window.days or DAYS) == set(DAYS)
        and _minutes(window) == (1 << 1440) - 1
    )


def _minutes(window: TimeTest) -> int:
    """The minutes of a day that a window has, as bits."""
    opens, closes = window.minutes()
    until = (1 << closes) - 1
    before = (1 << opens) - 1
    return until & ~before if opens < closes else ((1 << 1440) - 1) & ~before | until
