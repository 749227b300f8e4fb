"""Shares that grow by the clock: every process that has the same rules is at the same step, and none keeps anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from gateway.rules.names import Age, Model, parse_moment, parse_percent, show_moment
from gateway.rules.shares import Spans, first_of

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2999


def _parse_start(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None:
        raise ValueError(f"a start has a time and a zone: {value}T09:00:00+08:00")
    moment = parse_moment(value)
    if isinstance(moment, datetime) and not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"a start is in the years {FIRST_YEAR} to {LAST_YEAR}; found {value!r}")
    return moment


Start = Annotated[
    datetime, BeforeValidator(_parse_start), PlainSerializer(show_moment), WithJsonSchema({"type": "string"})
]
Percent = Annotated[
    float, PlainValidator(parse_percent), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100})
]


class Schedule(Model):
    """How the share of a lane grows to its `percent`: through steps of equal length, from a start on."""

    start: Start
    """When the first step begins; before it, the share is 0."""
    steps: Annotated[list[Percent], Field(min_length=1, max_length=100)]
    """The shares on the way, in percent, each larger than the one before. After the last one, the lane has its `percent`."""
    over: Age
    """How long all steps take together."""
    hold: Percent | None = None
    """The share does not grow beyond this one until somebody removes it. A guard sets it."""

    @model_validator(mode="after")
    def _grows(self) -> Schedule:
        for before, after in pairwise(self.steps):
            if after <= before:
                raise ValueError(f"steps: a schedule only grows, but {after:g} comes after {before:g}")
        return self

    def share_at(self, now: float, percent: float) -> float:
        """The share at a time, in seconds since the epoch, of a lane with this `percent`; both in percent."""
        begun = sum(moment <= now for moment in self._moments())
        share = (0.0, *self.steps, percent)[begun]
        return share if self.hold is None else min(share, self.hold)

    def next_step(self, now: float, percent: float) -> tuple[float, float] | None:
        """When the share changes next, in seconds since the epoch, and to what; None: it stays."""
        share = self.share_at(now, percent)
        for moment in self._moments():
            if moment > now and (then := self.share_at(moment, percent)) != share:
                return moment, then
        return None

    def plan(self, percent: float) -> list[tuple[float, float]]:
        """When each share begins, in seconds since the epoch, and what it is, for a lane with this `percent`; held or not."""
        return list(zip(self._moments(), (*self.steps, percent), strict=True))

    def shown_at(self, now: float, percent: float) -> str:
        """What it says at a time, and what comes next, in words."""
        share, step = self.share_at(now, percent), self.next_step(now, percent)
        if step is None:
            return f"{share:g} % now, {'held' if share < percent else 'complete'}"
        moment = datetime.fromtimestamp(int(step[0]), UTC).isoformat().replace("+00:00", "Z")
        return f"{share:g} % now, {step[1]:g} % from {moment}"

    def _moments(self) -> list[float]:
        """When each step begins, and when the last one ends."""
        start, count = self.start.timestamp(), len(self.steps)
        return [start + self.over * number / count for number in range(count + 1)]


def spans_at(spans: Spans, percent: float, schedule: Schedule, now: float) -> Spans:
    """The buckets that are in at a time, of those that a lane takes with its whole `percent`: always the same ones first."""
    return first_of(spans, round(schedule.share_at(now, percent) * 100))
