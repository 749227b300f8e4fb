"""Conditions as rows: every lane becomes alternatives (rows), each a conjunction of literals.

`all`, `any` and `not` are written out (disjunctive normal form), with `not` pushed down to the single conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.rules.conditions import Condition

MAX_ROWS: Final = 64
"""Rows that one lane may have."""


class TooManyRows(Exception):
    """The conditions of a lane multiply."""


class Literal(NamedTuple):
    """A condition that looks at something, and whether it must hold or must not."""

    condition: Condition
    negated: bool


Row = tuple[Literal, ...]


def rows_of(conditions: Sequence[Condition], mode: str) -> list[Row]:
    """The alternatives of a lane. Raises TooManyRows."""
    return _all(conditions, False) if mode == "all" else _any(conditions, False)


def rows_against(conditions: Sequence[Condition], mode: str) -> list[Row]:
    """The alternatives of what a lane does not take, its paths left out. Raises TooManyRows."""
    return _any(conditions, True) if mode == "all" else _all(conditions, True)


def _rows(condition: Condition, negated: bool) -> list[Row]:
    if condition.not_ is not None:
        return _rows(condition.not_, not negated)
    if condition.all is not None:
        return _any(condition.all, True) if negated else _all(condition.all, False)
    if condition.any is not None:
        return _all(condition.any, True) if negated else _any(condition.any, False)
    return [(Literal(condition, negated),)]


def _all(conditions: Sequence[Condition], negated: bool) -> list[Row]:
    rows: list[Row] = [()]
    for condition in conditions:
        more = _rows(condition, negated)
        if len(rows) * len(more) > MAX_ROWS:
            raise TooManyRows
        rows = [row + other for row in rows for other in more]
    return rows


def _any(conditions: Sequence[Condition], negated: bool) -> list[Row]:
    rows: list[Row] = []
    for condition in conditions:
        rows += _rows(condition, negated)
        if len(rows) > MAX_ROWS:
            raise TooManyRows
    return rows
