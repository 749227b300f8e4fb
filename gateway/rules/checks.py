"""Conditions that no index decides: they are checked only for rows that are still alive."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

MAX_PATTERN_VALUE: Final = 1024
"""Characters of a value that a pattern looks at; a longer value does not match."""


class Check:
    """`holds` is checked only for values that are there."""

    def holds(self, value: str) -> bool:
        """Whether the condition holds of the value."""
        raise NotImplementedError


class Contains(Check):
    """contains."""

    def __init__(self, text: str) -> None:
        self._text = text

    def holds(self, value: str) -> bool:
        """Whether the text is somewhere in the value."""
        return self._text in value


class Matches(Check):
    """regex."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern

    def holds(self, value: str) -> bool:
        """Whether the whole value matches."""
        return len(value) <= MAX_PATTERN_VALUE and self._pattern.fullmatch(value) is not None


class AnyOf(Check):
    """Another equals or in, prefix, … beside one of the same kind in the same row."""

    def __init__(self, values: frozenset[str]) -> None:
        self._values = values

    def holds(self, value: str) -> bool:
        """Whether the value is one of them."""
        return value in self._values


class Starts(Check):
    """A further prefix of the same row."""

    def __init__(self, texts: tuple[str, ...], closes: bool) -> None:
        self._texts = texts
        self._closes = closes

    def holds(self, value: str) -> bool:
        """Whether the value starts with one of them."""
        if self._closes and value[-1:] != "/":
            value += "/"
        return value.startswith(self._texts)


class Ends(Check):
    """A further suffix of the same row."""

    def __init__(self, text: str) -> None:
        self._text = text

    def holds(self, value: str) -> bool:
        """Whether the value ends with it."""
        return value.endswith(self._text)


class During(Check):
    """time: the value is the time in seconds since the epoch.

    Days and hours are looked up once a minute: they are the same for every request in it.
    """

    def __init__(self, start: float, end: float, days: frozenset[int], opens: int, closes: int, zone: ZoneInfo) -> None:
        self._start = start
        self._end = end
        self._days = days
        self._opens = opens
        self._closes = closes
        self._zone = zone
        self._minute: int = -1
        self._is_open: bool = False

    def holds(self, value: str) -> bool:
        """Whether it is in the window."""
        now = int(value)
        if not self._start <= now < self._end:
            return False
        minute = now // 60
        if minute != self._minute:
            local = datetime.fromtimestamp(minute * 60, self._zone)
            at = local.hour * 60 + local.minute
            opens, closes = self._opens, self._closes
            inside = opens <= at < closes if opens < closes else at >= opens or at < closes
            self._is_open = inside and local.weekday() in self._days
            self._minute = minute
        return self._is_open


NO_CLAIMS: Final[Mapping[str, Any]] = {}
"""Of a request without a token that is accepted."""
