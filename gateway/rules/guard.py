"""What a lane says of when it is too bad to go on, and of what happens then."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from gateway.rules.names import Model, parse_percent

_MARGIN: Final = re.compile(r"\+ ?([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%")
_FACTOR: Final = re.compile(r"x ?([0-9]{1,3}(?:\.[0-9]{1,2})?)")
_WINDOW: Final = re.compile(r"([0-9]{1,5})(s|m|h)")
_SHRINK: Final = re.compile(r"shrink to ([0-9.]+) ?%")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
SHORTEST: Final = 10
LONGEST: Final = 86_400
"""Seconds of a window."""


def _parse_margin(value: Any) -> float:
    match = _MARGIN.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:
        raise ValueError(f"errors are +N%, in percentage points above the baseline's share: +2%; found {value!r}")
    return float(match[1])


def _parse_factor(value: Any) -> float:
    match = _FACTOR.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) <= 1:
        raise ValueError(f"p95 is xN, a multiple of the baseline's and more than x1: x1.5; found {value!r}")
    return float(match[1])


def _parse_window(value: Any) -> int:
    match = _WINDOW.fullmatch(value) if isinstance(value, str) else None
    if match is None or not SHORTEST <= int(match[1]) * _SECONDS[match[2]] <= LONGEST:
        raise ValueError(f"a window is a whole number with s, m or h, from 10s to 24h; found {value!r}")
    return int(match[1]) * _SECONDS[match[2]]


def _show_window(seconds: int) -> str:
    unit = next(unit for unit in ("h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def _parse_action(value: Any) -> str:
    if value in ("close", "warn"):
        return str(value)
    match = _SHRINK.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"what happens then is one of: close, warn, shrink to 1 %; found {value!r}")
    return f"shrink to {parse_percent(match[1]):g} %"


_TEXT: Final = WithJsonSchema({"type": "string"})
Margin = Annotated[float, PlainValidator(_parse_margin), PlainSerializer(lambda value: f"+{value:g}%"), _TEXT]
Factor = Annotated[float, PlainValidator(_parse_factor), PlainSerializer(lambda value: f"x{value:g}"), _TEXT]
Window = Annotated[int, PlainValidator(_parse_window), PlainSerializer(_show_window), _TEXT]
Action = Annotated[str, PlainValidator(_parse_action), _TEXT]


class Guard(Model):
    """Compares the lane with the baseline as long as it is open, and acts if the lane is worse in two windows in a row."""

    compare: Literal["baseline"] = "baseline"
    """What the lane is compared with: unmarked requests to the same services."""
    errors: Margin | None = None
    """By how many percentage points its share of failed requests (5xx, and such of gRPC) may be above the baseline's."""
    p95: Factor | None = None
    """By which factor its 95th percentile of durations may be above the baseline's."""
    min_requests: int = Field(default=50, ge=20, le=1_000_000)
    """The requests of the lane, and of the baseline, without which there is no verdict."""
    window: Window = 60
    """How long requests are counted for one verdict; longer if there are too few."""
    then: Action
    """What happens to a lane that is worse: it is closed, its `percent` shrinks, or people are only warned."""

    @model_validator(mode="after")
    def _looks_at_something(self) -> Guard:
        if self.errors is None and self.p95 is None:
            raise ValueError("errors (+2%), p95 (x1.5) or both must say what is too bad")
        return self

    @property
    def shrinks_to(self) -> float | None:
        """The share that the lane shrinks to, in percent; None: it does not."""
        match = _SHRINK.fullmatch(self.then)
        return None if match is None else float(match[1])
