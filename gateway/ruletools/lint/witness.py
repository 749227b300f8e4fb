"""Witnesses: requests made to satisfy conditions, so that a finding can show one.

A row (a conjunction) requires something of several fields; for each a value is looked for that satisfies all of it. Candidates
come from the conditions' own texts; nothing that was found counts before the naive interpreter has confirmed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from itertools import islice
from typing import Any, Final

from gateway.rules.buckets import bucket_of
from gateway.rules.conditions import Condition
from gateway.rules.context import MatchContext
from gateway.rules.examples import RequestParts
from gateway.rules.explain import value_holds
from gateway.rules.forms import Part
from gateway.rules.model import LaneGroup
from gateway.rules.pointer import claim_pointer
from gateway.rules.rows import Row
from gateway.rules.ruleset import RuleSet
from gateway.rules.shares import GroupShares, Spans
from gateway.rules.sources import SOURCES
from gateway.ruletools.lint.numbers import interval_of

MAX_DRAWS: Final = 30_000
"""Values tried to hit a share; the smallest, a hundredth of a percent, is hit by one in 10,000."""
MAX_CANDIDATES: Final = 2_000

Key = tuple[str, str]
"""Source and name of a field."""
Draw = tuple[Spans, bool]
"""The buckets that a condition takes, and whether the case of letters does not count."""


@dataclass(slots=True)
class Wish:
    """What a row requires of one field. `paths` are the lane's own, for the path."""

    source: str = ""
    positive: list[Condition] = field(default_factory=list)
    negative: list[Condition] = field(default_factory=list)
    must_exist: bool = False
    must_be_absent: bool = False
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A row with the lane it is of. `keeps`: a sticky cookie may hold clients in the lane's share."""

    rules: RuleSet
    group: LaneGroup
    shares: GroupShares
    lane: str
    paths: tuple[str, ...]
    row: Row
    keeps: bool = False

    def of(self, row: Row) -> LaneRow:
        """The same of another row."""
        return replace(self, row=row)


def wishes_of(lane_row: LaneRow) -> dict[Key, Wish]:
    """What a row requires, by field; `time` is left out."""
    wishes: dict[Key, Wish] = {}
    if lane_row.paths:
        wishes.setdefault(("path", ""), Wish("path")).paths = lane_row.paths
    for condition, negated in lane_row.row:
        if condition.time is not None:
            continue
        name = condition.name if condition.jwt is None else claim_pointer(condition.jwt)
        wish = wishes.setdefault((condition.source, name), Wish(condition.source))
        test = condition.test
        given = test.given()
        presence = None if given is None else given[0].presence(given[1])
        if presence is not None:
            wants = presence != negated
            wish.must_exist = wish.must_exist or wants
            wish.must_be_absent = wish.must_be_absent or not wants
        elif negated:
            wish.negative.append(condition)
        else:
            wish.must_exist = True
            wish.positive.append(condition)
    return wishes


def satisfies(lane_row: LaneRow, wish: Wish, value: str) -> bool:
    """Whether a value that is there is what a row requires."""
    if wish.source == "path" and not value.startswith("/"):
        return False  # no request has such a path
    if wish.must_be_absent or (wish.paths and not is_below(value, wish.paths)):
        return False
    return all(_holds(lane_row, item, value) for item in wish.positive) and not any(
        _holds(lane_row, item, value) for item in wish.negative
    )


def finite_values(lane_row: LaneRow, wish: Wish) -> list[str] | None:
    """The values that are left, where only so many can be; None if they cannot be listed."""
    for condition in wish.positive:
        test = condition.test
        if condition.source == "client_ip" or test.ignore_case:
            continue
        given = test.given()
        if given is not None and given[0].part == "whole" and not given[0].negates:
            return [text for text in dict.fromkeys(test.texts()) if satisfies(lane_row, wish, text)]
    return None


def find_value(lane_row: LaneRow, wish: Wish) -> str | None:
    """A value that satisfies a wish, or None if none was found."""
    for candidate in islice(_candidates(lane_row, wish), MAX_CANDIDATES):
        if satisfies(lane_row, wish, candidate):
            return candidate
    # The shares are read once: each is looked at for tens of thousands of values.
    draws = [_draw(lane_row, item) for item in wish.positive if item.test.percent is not None]
    if draws and _have_common_buckets(draws) and finite_values(lane_row, wish) is None:
        rest = _without_draws(wish)
        stems = list(islice(_candidates(lane_row, rest), 4))
        for number in range(MAX_DRAWS):
            for stem in stems:
                value = f"{stem}{number}"
                if all(_takes(lane_row, draw, value) for draw in draws) and satisfies(lane_row, rest, value):
                    return value
    return None


def _without_draws(wish: Wish) -> Wish:
    positive = [item for item in wish.positive if item.test.percent is None]
    return Wish(wish.source, positive, wish.negative, wish.must_exist, wish.must_be_absent, wish.paths)


def _holds(lane_row: LaneRow, condition: Condition, value: str) -> bool:
    if condition.test.percent is not None:
        return _takes(lane_row, _draw(lane_row, condition), value)
    return value_holds(condition, value, lane_row.rules.segments)


def _draw(lane_row: LaneRow, condition: Condition) -> Draw:
    return lane_row.shares.spans_of(lane_row.lane, condition), condition.test.ignore_case


def _have_common_buckets(draws: Sequence[Draw]) -> bool:
    """Whether any value can fall into all of these."""
    common: dict[bool, set[int]] = {}
    for spans, folds in draws:
        buckets = {bucket for low, high in spans for bucket in range(low, high)}
        common[folds] = common.get(folds, buckets) & buckets
    return all(common.values())


def _takes(lane_row: LaneRow, draw: Draw, value: str) -> bool:
    spans, folds = draw
    bucket = bucket_of(lane_row.group.name, value.casefold() if folds else value)
    return any(low <= bucket < high for low, high in spans)


def _candidates(lane_row: LaneRow, wish: Wish) -> Iterator[str]:
    """Values worth trying, made of the conditions' own texts."""
    source = wish.source
    parts: dict[Part, list[str]] = {"start": [""], "end": [""], "inside": [""]}
    for condition in wish.positive:
        given = condition.test.given()
        if given is None:
            continue
        operator, operand = given
        if operator.lists:
            texts = operator.values(operand, lane_row.rules.segments, source)
            if source == "client_ip":
                yield from (str(ip_network(text, strict=False)[0]) for text in sorted(texts)[:50])
            else:
                yield from islice(texts, 200)
        elif operator.part is not None:
            parts.setdefault(operator.part, []).extend(operator.texts(operand))
        yield from operator.samples(operand)
        interval = interval_of(condition.test)
        if interval is not None:
            yield from interval.samples()
    starts, ends, middles = parts["start"], parts["end"], parts["inside"]
    longest = max(starts, key=len)
    base, *others = SOURCES[source].samples
    if others:
        yield from (base, *others)
    for path in wish.paths:
        yield path
        yield from (path.rstrip("/") + part for part in ("/", "/x", *ends, *("/" + end for end in ends if end)))
    for end in sorted(ends, key=len, reverse=True):
        for middle in (" ".join(middles).strip().replace(" ", ""), *middles):
            yield longest + middle + end
            yield longest + "x" + middle + end
            yield longest + base + middle + "y" + end
    yield from (base, "", "0", "1", "-1", base + "2", base + "3")


def is_below(path: str, paths: Sequence[str]) -> bool:
    """Whether a path is one of these, or below one."""
    closed = path if path.endswith("/") else path + "/"
    return any(closed.startswith(item.rstrip("/") + "/") for item in paths)


def find_request(lane_rows: Sequence[LaneRow]) -> tuple[MatchContext, dict[str, Any]] | None:
    """A request for one row, or for several at once, and how a person writes it; None if none was found."""
    merged: dict[Key, list[tuple[LaneRow, Wish]]] = {}
    for lane_row in lane_rows:
        for key, wish in wishes_of(lane_row).items():
            merged.setdefault(key, []).append((lane_row, wish))
    values: dict[Key, str] = {}
    for key, parts in merged.items():
        must_exist = any(wish.must_exist or wish.paths for _, wish in parts)
        if any(wish.must_be_absent for _, wish in parts):
            if must_exist or SOURCES[key[0]].is_given:
                return None
            continue
        if not must_exist and not SOURCES[key[0]].is_given:
            continue
        value = next((found for one in parts for found in _shared(one, parts)), None)
        if value is None:
            return None
        values[key] = value
    return _request(values)


def _shared(one: tuple[LaneRow, Wish], parts: Sequence[tuple[LaneRow, Wish]]) -> Iterator[str]:
    """Values for one wish that satisfy all the others too."""
    first = find_value(*one)
    candidates = islice(_candidates(*one), MAX_CANDIDATES)
    for value in (*([] if first is None else [first]), *candidates):
        if all(satisfies(lane_row, wish, value) for lane_row, wish in parts):
            yield value


def _request(values: dict[Key, str]) -> tuple[MatchContext, dict[str, Any]] | None:
    parts = RequestParts()
    for (source, name), value in values.items():
        SOURCES[source].put(parts, name, value)
    return parts.build()
