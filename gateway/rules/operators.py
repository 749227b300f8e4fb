"""The operators of conditions, an entry each: everything that the program does differently for one of them.

A new operator is a field of `conditions.Test` (the type of its operand, and its reference), an entry here, and a row in
`docs/rules.md`, which a test compares with both. An entry is read when rules are loaded, compiled, explained and linted, never
for a request: `enter` puts an operator into the index, or makes a `Check` of it. `holds` is the naive reading of the same thing,
against which the index is tested; the two share no code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from gateway.rules.checks import AnyOf, Check, Contains, Ends, Matches, Starts
from gateway.rules.columns import BUCKET, NUMBER, Column, Span
from gateway.rules.expressions import compile_pattern
from gateway.rules.forms import Part
from gateway.rules.numbers import HIGHEST, LOWEST, place_of_number, show_number
from gateway.rules.patterns import samples_of
from gateway.rules.sources import SOURCES, in_form, values_in_form

Segments = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a condition is entered: the column of what it looks at, and the bit of its row.

    `negated`: the value must not be so. `folds`: case is ignored, by the rule (`ignore_case`) or by the source's nature for
    patterns. `members` gives a segment's values as the column's values are, `spans` the share's; `salt` is the group's name.
    """

    column: Column
    bit: int
    negated: bool
    read: Callable[[str], str]
    folds_pattern: bool
    members: Callable[[str], frozenset[str]]
    spans: Callable[[], Iterable[Span]]
    salt: str


class Operator:
    """One operator. Its operand is what is beside it in a condition, as the model has read it."""

    part: Part | None = None
    """What of a value its texts are compared with; None: it compares no texts."""
    negates: bool = False
    """Whether it holds of a value that is *not* so. There has to be a value all the same."""
    lists: bool = False
    """Whether it names the values themselves, so that it makes sense of addresses, too."""
    takes_addresses: bool = False
    takes_paths: bool = True
    draws: bool = False
    """Whether it deals out shares, which a sticky cookie may replace."""
    is_pattern: bool = False
    """Whether RE2 compares, which has its own idea of case."""

    def texts(self, operand: Any) -> list[str]:
        """The texts that a value, or `part` of it, is compared with."""
        return []

    def in_form(self, source: str, operand: Any, ignore_case: bool) -> Any:
        """The operand as values of a source have it. Raises ValueError if no value ever is."""
        return operand

    def presence(self, operand: Any) -> bool | None:
        """Whether there must be a value, or none; None: it is not about that."""
        return None

    def values(self, operand: Any, segments: Segments, source: str) -> Iterable[str]:
        """The values that it `lists`."""
        return self.texts(operand)

    def interval(self, operand: Any) -> tuple[int, int] | None:
        """The places of the numbers that it takes, from the first to below the second; None: it compares no numbers."""
        return None

    def enter(self, entry: Entry, operand: Any) -> Check | None:
        """Puts it into the index; returns a check of what the index cannot take."""
        raise NotImplementedError

    def holds(self, operand: Any, value: str, read: Callable[[str], str], folds_pattern: bool) -> bool:
        """Whether it holds of a value that is there, `negates` left aside. `read` folds texts whose case is ignored."""
        raise NotImplementedError

    def samples(self, operand: Any) -> Iterator[str]:
        """Values worth trying for somebody who needs one that it holds of."""
        yield from ()

    def is_everything(self, operand: Any, source: str) -> str | None:
        """Of which values it holds, if that is all of them, or nearly (` there is`); None if it is not."""
        return None

    def show(self, name: str, operand: Any) -> str:
        """It and its operand, for people."""
        return f"{name} {operand!r}"


# --- texts


class _Texts(Operator):
    """Compares a part of the value with a text, or with several, one of which is enough."""

    def texts(self, operand: Any) -> list[str]:
        return [operand] if isinstance(operand, str) else list(operand)

    def in_form(self, source: str, operand: Any, ignore_case: bool) -> Any:
        assert self.part is not None
        if isinstance(operand, str):
            return in_form(source, operand, self.part)
        return list(dict.fromkeys(in_form(source, text, self.part) for text in operand))

    def is_everything(self, operand: Any, source: str) -> str | None:
        return " there is" if self.part != "whole" and "" in self.texts(operand) else None


class _Whole(_Texts):
    part = "whole"
    lists = True
    takes_addresses = True

    def __init__(self, negates: bool = False) -> None:
        self.negates = negates

    def enter(self, entry: Entry, operand: Any) -> Check | None:
        values = frozenset(map(entry.read, self.texts(operand)))
        return None if entry.column.exact(entry.bit, values, entry.negated) else AnyOf(values)

    def holds(self, operand: Any, value: str, read: Callable[[str], str], folds_pattern: bool) -> bool:
        return any(value == read(text) for text in self.texts(operand))


class _Start(_Texts):
    part = "start"

    def enter(self, entry: Entry, operand: Any) -> Check | None:
        texts = (entry.read(operand),)
        taken = entry.column.starts(entry.bit, texts, entry.negated, closes=False)
        return None if taken else Starts(texts, False)

    def holds(self, operand: Any, value: str, read: Callable[[str], str], folds_pattern: bool) -> bool:
        return value.startswith(read(operand))

    def is_everything(self, operand: Any, source: str) -> str | None:
        return " there is" if source == "path" and operand == "/" else super().is_everything(operand, source)


class _End(_Texts):
    part = "end"

    def enter(self, entry: Entry, operand: Any) -> Check | None:
        text = entry.read(operand)
        return None if entry.column.ends(entry.bit, text, entry.negated) else Ends(text)

    def holds(self, operand: Any, value: str, read: Callable[[str], str], folds_pattern: bool) -> bool:
        return value.endswith(read(operand))


class _Inside(_Texts):
    part = "inside"

    def enter(self, entry: Entry, operand: Any) -> Check | None:
        return Contains(entry.read(operand))

    def holds(self, operand: Any, value: str, read: Callable[[str], str], folds_pattern: bool) -> bool:
        return read(operand) in value


class _Regex(Operator):
    is_pattern = True

    def in_form(self, source: str, operand: Any, ignore_case: bool) -> Any:
        check = SOURCES[source].check_pattern
        if check is not None:
            check(operand, ignore_case)
        return operand

    def enter(self, entry: Entry, operand: Any) -> Check | None:
        if not entry.negated:
            entry.column.pattern(entry.bit, operand)
        return Matches(compile_pattern(operand, entry.folds_pattern))

    def holds(self, operand: Any, value: str, read: Callable[[str], str], folds_pattern: bool) -> bool:
        return len(value) <= 1024 and compile_pattern(operand, folds_pattern).fullmatch(value) is not None

    def samples(self, operand: Any) -> Iterator[str]:
        return samples_of(operand)

    def is_everything(self, operand: Any, source: str) -> str | None:
        lines = _NEARLY_ALL.get(operand)
        return None if lines is None else f" {lines}of at most 1,024 characters"


_NEARLY_ALL: Final = {
    **dict.fromkeys((".*", "^.*", ".*$", "^.*$", "(.*)"), "without a line break and "),
    **dict.fromkeys(("(?s:.*)", "(?s).*"), ""),
}
"""Patterns of nearly every value, and what there may not be in one."""


# --- presence


class _Presence(Operator):
    takes_addresses = True

    def __init__(self, wants: bool) -> None:
        self._wants = wants

    def presence(self, operand: Any) -> bool | None:
        return bool(operand) == self._wants

    def show(self, name: str, operand: Any) -> str:
        return "exists" if self.presence(operand) else "is absent"


# --- numbers


class _Numbers(Operator):
    """`interval` gives the places that are taken, `compares` whether a number is."""

    takes_paths = False

    def __init__(self, interval: Callable[[Any], tuple[int, int]], compares: Callable[[Any, Decimal], bool]) -> None:
        self._interval = interval
        self._compares = compares

    def interval(self, operand: Any) -> tuple[int, int] | None:
        return self._interval(operand)

    def enter(self, entry: Entry, operand: Any) -> Check | None:
        entry.column.spans(entry.bit, NUMBER, (self._interval(operand),), entry.negated)
        return None

    def holds(self, operand: Any, value: str, read: Callable[[str], str], folds_pattern: bool) -> bool:
        is_number = re.fullmatch(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})", value, re.ASCII) is not None
        return is_number and self._compares(operand, Decimal(value))

    def show(self, name: str, operand: Any) -> str:
        numbers = operand if isinstance(operand, list) else [operand]
        return f"{name} {' to '.join(map(show_number, numbers))}"


# --- shares and segments


class _Percent(Operator):
    takes_addresses = True
    draws = True

    def enter(self, entry: Entry, operand: Any) -> Check | None:
        entry.column.spans(entry.bit, BUCKET + entry.salt, entry.spans(), entry.negated)
        return None

    def is_everything(self, operand: Any, source: str) -> str | None:
        return " there is" if operand in (100, ["0-100"]) else None

    def show(self, name: str, operand: Any) -> str:
        return f"{name} {', '.join(operand) if isinstance(operand, list) else f'{operand:.15g}'} %"


class _Segment(Operator):
    lists = True
    takes_addresses = True

    def values(self, operand: Any, segments: Segments, source: str) -> Iterable[str]:
        return values_in_form(source, segments[operand])

    def enter(self, entry: Entry, operand: Any) -> Check | None:
        values = entry.members(operand)
        return None if entry.column.segment(entry.bit, values, entry.negated) else AnyOf(values)

    def show(self, name: str, operand: Any) -> str:
        return f"{name} {operand}"


OPERATORS: Final[Mapping[str, Operator]] = {
    "equals": _Whole(),
    "not_equals": _Whole(negates=True),
    "in": _Whole(),
    "not_in": _Whole(negates=True),
    "prefix": _Start(),
    "suffix": _End(),
    "contains": _Inside(),
    "regex": _Regex(),
    "exists": _Presence(True),
    "absent": _Presence(False),
    "gt": _Numbers(lambda least: (place_of_number(least) + 1, HIGHEST), lambda least, number: number > least),
    "gte": _Numbers(lambda least: (place_of_number(least), HIGHEST), lambda least, number: number >= least),
    "lt": _Numbers(lambda most: (LOWEST, place_of_number(most)), lambda most, number: number < most),
    "lte": _Numbers(lambda most: (LOWEST, place_of_number(most) + 1), lambda most, number: number <= most),
    "range": _Numbers(
        lambda ends: (place_of_number(ends[0]), place_of_number(ends[1]) + 1),
        lambda ends, number: ends[0] <= number <= ends[1],
    ),
    "percent": _Percent(),
    "segment": _Segment(),
}
"""By the key that a condition has, in the order of `docs/rules.md`."""
