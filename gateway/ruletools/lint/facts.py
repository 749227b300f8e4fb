"""Facts: what a row says of each field, in one form that proofs can reckon with.

Every condition is split in two: what must be so, or not so, of a value that is there; and whether the field may be absent.
`not_equals: x` wants a value that is not `x`, `not: {equals: x}` is content without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.rules.buckets import bucket_of
from gateway.rules.conditions import Condition
from gateway.rules.explain import value_holds
from gateway.rules.forms import Part
from gateway.rules.model import Lane
from gateway.rules.operators import OPERATORS, Operator
from gateway.rules.pointer import claim_pointer
from gateway.rules.rows import Literal, TooManyRows, rows_against
from gateway.rules.shares import Spans
from gateway.ruletools.lint.witness import Key, LaneRow, is_below

Segments = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Fact:
    """What must be so (`holds`), or must not, of a value that is there; `may_lack`: or there is none.

    It is about a condition, the `spans` of a share, the `paths` of a lane, or, where none of them is given, about there being
    a value at all. `operator` is what the condition compares by, empty for times; `folds`: case is ignored.
    """

    source: str
    name: str
    holds: bool
    may_lack: bool
    condition: Condition | None = None
    operator: str = ""
    folds: bool = False
    paths: tuple[str, ...] = ()
    salt: str = ""
    spans: Spans = ()

    def text(self, *parts: Part) -> str | None:
        """The one text that a value starts with, ends with, or has in it; None if the fact is about something else."""
        if self.condition is None or self._entry is None or self._entry.part not in parts:
            return None
        texts = self._entry.texts(self.condition.test.operand(self.operator))
        if len(texts) != 1:
            return None
        return texts[0].casefold() if self.folds else texts[0]

    @property
    def is_pattern(self) -> bool:
        """Whether RE2 compares."""
        return self._entry is not None and self._entry.is_pattern

    @property
    def _entry(self) -> Operator | None:
        return OPERATORS.get(self.operator)

    def members(self, segments: Segments) -> frozenset[str] | None:
        """The texts of which a value is one, or none; None if the fact is about something else."""
        entry = self._entry
        if self.condition is None or entry is None or not entry.lists or self.source == "client_ip":
            return None
        texts = entry.values(self.condition.test.operand(self.operator), segments, self.source)
        return frozenset(texts) or None  # a segment that is empty may be filled: GR702 reports it

    def allows(self, value: str, segments: Segments) -> bool:
        """Whether a value is as the fact wants it."""
        if self.paths:
            return is_below(value, self.paths) == self.holds
        if self.condition is None:
            return self.holds
        if self.operator == "percent":
            bucket = bucket_of(self.salt, value.casefold() if self.folds else value)
            return any(low <= bucket < high for low, high in self.spans) == self.holds
        negates = self._entry is not None and self._entry.negates
        return (value_holds(self.condition, value, segments) != negates) == self.holds

    def is_opposite_of(self, other: Fact) -> bool:
        """Whether the one wants what the other shuns."""
        return self.holds != other.holds and (self.condition, self.paths, self.salt, self.spans) == (
            other.condition,
            other.paths,
            other.salt,
            other.spans,
        )


def facts_of(lane_row: LaneRow) -> list[Fact]:
    """What a row requires of a request, with the paths of its lane."""
    below = [Fact("path", "", holds=True, may_lack=False, paths=lane_row.paths)] if lane_row.paths else []
    return below + [fact for literal in lane_row.row if (fact := _fact_of(lane_row, literal)) is not None]


def texts_of(lane_row: LaneRow) -> dict[Key, frozenset[str]]:
    """The texts one of which a field must have, by field, as far as conditions name them in the very case."""
    found: dict[Key, frozenset[str]] = {}
    for fact in facts_of(lane_row):
        members = fact.members(lane_row.rules.segments)
        if fact.holds and not fact.may_lack and not fact.folds and members is not None:
            key = (fact.source, fact.name)
            found[key] = found.get(key, members) & members
    return found


def ways_out(lane_row: LaneRow, lane: Lane) -> list[list[Fact]] | None:
    """The ways in which a request is none of a lane's, `lane_row` being one of its rows; None if they are too many."""
    try:
        rows = rows_against(lane.match, lane.match_mode)
    except TooManyRows:
        return None
    ways = [[fact for literal in row if (fact := _fact_of(lane_row, literal)) is not None] for row in rows]
    if lane_row.paths:
        ways.append([Fact("path", "", holds=False, may_lack=False, paths=lane_row.paths)])
    return ways


def _fact_of(lane_row: LaneRow, literal: Literal) -> Fact | None:
    """What one condition says; None if it says nothing that is certain."""
    condition, negated = literal
    source = condition.source
    # A claim has one name, however it is given.
    name = condition.name if condition.jwt is None else claim_pointer(condition.jwt)
    if condition.time is not None:
        return Fact(source, name, not negated, may_lack=False, condition=condition)
    test = condition.test
    given = test.given()
    assert given is not None
    presence = given[0].presence(given[1])
    if presence is not None:
        wants = presence != negated
        return Fact(source, name, wants, may_lack=not wants)
    if test.percent is not None:
        if lane_row.keeps and not negated:
            return None  # a cookie may keep a client in, whatever it is
        spans = lane_row.shares.spans_of(lane_row.lane, condition)
        folds = test.ignore_case
        return Fact(source, name, not negated, negated, condition, "percent", folds, (), lane_row.group.name, spans)
    return Fact(source, name, negated == given[0].negates, negated, condition, test.operator, test.ignore_case)
