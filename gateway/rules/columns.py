"""Columns: what all rows want of one field, while rules are compiled; in the end, its `FieldIndex`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import re2

from gateway.rules.expressions import compile_pattern, enclosed
from gateway.rules.fields import Field
from gateway.rules.lookups import Addresses, Buckets, Exact, Intervals, Lookup, Numbers, Prefixes, Segments, Suffixes
from gateway.rules.match import FieldIndex
from gateway.rules.prefilter import SIEVE_FROM, Prefilter, build_prefilter

NUMBER: Final = "number"
ADDRESS: Final = "address"
BUCKET: Final = "bucket:"
"""The lines on which values have places. Buckets have one for each salt, whose name follows."""

Span = tuple[int, int]


class _Needs:
    """The rows that need a hit in one lookup, and those that die of one."""

    def __init__(self) -> None:
        self.needing = 0
        self.needs: dict[str, int] = {}
        self.kills: dict[str, int] = {}

    def add(self, bit: int, values: Iterable[str], negated: bool) -> bool:
        """Enters a literal; returns False if the row has one here already that must hold: two are more than an OR."""
        if not negated:
            if self.needing & bit:
                return False
            self.needing |= bit
        table = self.kills if negated else self.needs
        for value in values:
            table[value] = table.get(value, 0) | bit
        return True


class Column:
    """One field, and the rows that look at it. A literal is entered for a row's bit."""

    def __init__(self, field: Field, draws: bool, is_caseless: bool = False) -> None:
        """`draws`: it is for shares. `is_caseless`: case never matters in the values."""
        self.field = field
        self.is_caseless = is_caseless
        self.draws = draws
        self._concerned = 0
        self._not_absent = 0
        self._only_absent = 0
        self._exact = _Needs()
        self._starts = _Needs()
        self._closed_starts = _Needs()
        self._ends = _Needs()
        self._segments: dict[frozenset[str], list[int]] = {}
        self._in_segments = 0
        self._lines: dict[str, dict[tuple[int, int, bool], list[Span]]] = {}
        self._literals = 0
        self._patterns: dict[str, int] = {}
        self._wanted = 0
        self._shunned = 0

    def concern(self, bit: int) -> None:
        """A row looks at the field."""
        self._concerned |= bit

    def survives_absence(self, bit: int, survives: bool) -> None:
        """Whether a literal holds where there is no value."""
        if not survives:
            self._not_absent |= bit

    def needs_absence(self, bit: int) -> None:
        """A literal holds only where there is no value."""
        self._only_absent |= bit

    def exact(self, bit: int, values: frozenset[str], negated: bool) -> bool:
        """The value is (or is not) one of these. Returns whether the index took it."""
        return self._exact.add(bit, values, negated)

    def starts(self, bit: int, texts: tuple[str, ...], negated: bool, closes: bool) -> bool:
        """The value starts (or does not) with one of these; `closes`: at whole segments. Returns whether it was taken."""
        return (self._closed_starts if closes else self._starts).add(bit, texts, negated)

    def ends(self, bit: int, text: str, negated: bool) -> bool:
        """The value ends (or does not) with this. Returns whether the index took it."""
        return self._ends.add(bit, (text,), negated)

    def segment(self, bit: int, values: frozenset[str], negated: bool) -> bool:
        """The value is (or is not) in a segment. Returns whether the index took it."""
        if not negated:
            if self._in_segments & bit:
                return False
            self._in_segments |= bit
        masks = self._segments.setdefault(values, [0, 0])
        masks[1 if negated else 0] |= bit
        return True

    def spans(self, bit: int, line: str, spans: Iterable[Span], negated: bool) -> None:
        """The value's place on a line is (or is not) in one of these spans, from the first to below the second."""
        self._literals += 1
        if self.draws:
            if negated:
                self._shunned |= bit
            else:
                self._wanted |= bit
        rows = self._lines.setdefault(line, {})
        # Places that must not be are gathered for the row; of those that must be, each literal is one of its own.
        rows.setdefault((bit, 0 if negated else self._literals, negated), []).extend(spans)

    def pattern(self, bit: int, text: str) -> None:
        """The value matches a pattern: for the sieve, beside the row's check."""
        self._patterns[text] = self._patterns.get(text, 0) | bit

    def sieve(self) -> Prefilter | None:
        """The sieve of the patterns; None if they are too few for one."""
        if len(self._patterns) <= SIEVE_FROM:
            return None
        folds = self.field.folds or self.is_caseless
        leaves = [(enclosed(text), compile_pattern(text, folds), rows) for text, rows in self._patterns.items()]
        return build_prefilter(self.field, leaves, lambda text: _combined(text, folds))

    def worth(self) -> tuple[bool, bool, int]:
        """Sorts columns: cheap ones first, then those that most rows look at."""
        return self.field.is_dear, self.draws, -self._concerned.bit_count()

    def index(self, everything: int) -> FieldIndex:
        """The finished index; `everything` has the bits of all rows."""
        lookups: list[Lookup] = []
        exact = self._exact
        free = everything & ~exact.needing & ~self._only_absent
        if exact.needs or exact.kills or free != everything:
            table = {value: (free | rows) & ~self._only_absent for value, rows in exact.needs.items()}
            for value, rows in exact.kills.items():
                table[value] = table.get(value, free) & ~rows
            lookups.append(Exact(free, table))
        for needs, closes in ((self._starts, False), (self._closed_starts, True)):
            if needs.needs or needs.kills:
                lookups.append(Prefixes(everything & ~needs.needing, _by_length(needs), closes))
        if self._ends.needs or self._ends.kills:
            lookups.append(Suffixes(everything & ~self._ends.needing, _by_length(self._ends)))
        if self._segments:
            members = [(values, masks[0], masks[1]) for values, masks in self._segments.items()]
            lookups.append(Segments(everything & ~self._in_segments, members))
        for line, rows_of_line in self._lines.items():
            lookups.append(_intervals(line, rows_of_line, everything))
        return FieldIndex(
            self.field,
            self._concerned,
            everything & ~self._not_absent,
            tuple(lookups),
            self._wanted & ~self._shunned,
            self._shunned,
        )


def _combined(text: str, folds: bool) -> object:
    """Patterns as one, or None if they cannot be (too large together, names of groups given twice)."""
    try:
        return compile_pattern(text, folds)
    except re2.error:
        return None


def _by_length(needs: _Needs) -> list[tuple[int, dict[str, int], dict[str, int]]]:
    lengths: dict[int, tuple[dict[str, int], dict[str, int]]] = {}
    for which, table in enumerate((needs.needs, needs.kills)):
        for text, rows in table.items():
            lengths.setdefault(len(text), ({}, {}))[which][text] = rows
    return [(length, *tables) for length, tables in sorted(lengths.items())]


def _intervals(line: str, rows: dict[tuple[int, int, bool], list[Span]], everything: int) -> Intervals:
    """Cuts a line at every place where some row changes its mind, and notes what is left of each piece."""
    spans_of: dict[tuple[int, bool], list[Span]] = {}
    needing = 0
    for (bit, _, negated), spans in rows.items():
        merged = _merged(spans)
        if not negated:
            needing |= bit
            if (bit, False) in spans_of:
                merged = _common(spans_of[(bit, False)], merged)
        spans_of[(bit, negated)] = merged
    changes: dict[int, list[int]] = {}
    for (bit, negated), spans in spans_of.items():
        for low, high in spans:
            changes.setdefault(low, [0, 0])[negated] ^= bit
            changes.setdefault(high, [0, 0])[negated] ^= bit
    free = everything & ~needing
    needs = kills = 0
    bounds = sorted(changes)
    left: list[int] = [free]
    for place in bounds:
        needs ^= changes[place][0]
        kills ^= changes[place][1]
        left.append((free | needs) & ~kills)
    if line == NUMBER:
        return Numbers(free, bounds, left)
    if line == ADDRESS:
        return Addresses(free, bounds, left)
    return Buckets(free, bounds, left, line.removeprefix(BUCKET))


def _merged(spans: list[Span]) -> list[Span]:
    """The same places as spans that do not touch, in order."""
    merged: list[Span] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        elif low < high:
            merged.append((low, high))
    return merged


def _common(first: list[Span], second: list[Span]) -> list[Span]:
    """The places that are in both."""
    return _merged(
        [
            (max(low, other_low), min(high, other_high))
            for low, high in first
            for other_low, other_high in second
            if max(low, other_low) < min(high, other_high)
        ]
    )
