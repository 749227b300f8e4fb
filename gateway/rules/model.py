"""The lane rules as an operator writes them: `rules/*.yaml`. What each operator means is in `docs/rules.md`.

The docstrings of the fields are their reference.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from gateway.rules.conditions import Condition
from gateway.rules.environment import EVERY_ENTRY
from gateway.rules.faults import LaneFault
from gateway.rules.guard import Guard
from gateway.rules.mirrors import LaneMirror
from gateway.rules.names import Age, LanePath, Model, Moment, Name, Tag
from gateway.rules.rows import MAX_ROWS, TooManyRows, rows_of
from gateway.rules.schedule import Schedule
from gateway.rules.shares import GroupShares

_ONE_SHARE: Final = "the lane needs one `percent` condition, outside `not` and with one number"


class Lane(Model):
    """A tag and the conditions that put a request on it."""

    name: Name
    """The lane's name in decisions, logs and metrics; unique in its group."""
    tag: Tag
    """The tag of its requests; instances with this tag serve them."""
    enabled: bool = True
    """false closes the lane: it matches nothing."""
    owner: str = ""
    """The person, team or address responsible for the lane."""
    expires: Moment | None = None
    """When the lane closes by itself; in the last week, warnings announce it."""
    strict: bool = False
    """Whether a service without a usable instance of the tag returns 503, instead of falling back to the baseline."""
    debug: bool = False
    """Whether an authorized debug header may put a request on the lane, whatever the conditions say."""
    sticky: Age | None = None
    """How long a cookie keeps a client in the lane's `percent`, even if that shrinks to 0. Default: no cookie."""
    schedule: Schedule | None = None
    """How the lane's `percent` grows by the clock. Default: all of it at once."""
    guard: Guard | None = None
    """When the lane is too bad to go on, compared with the baseline. Default: nobody looks."""
    fault: LaneFault | None = None
    """Delays or errors for the lane's own requests, for a drill. Default: none."""
    mirror: LaneMirror | None = None
    """Copies of the baseline's requests for the lane, with its responses compared. Default: none."""
    paths: list[LanePath] = Field(default_factory=list)
    """Limits the lane to these paths, each with everything below it; empty: every path."""
    match_mode: Literal["all", "any"] = "all"
    """Whether every condition must hold, or one is enough."""
    match: Annotated[list[Condition], Field(min_length=1)]
    """The conditions; at least one."""

    @model_validator(mode="after")
    def _is_compilable(self) -> Lane:
        try:
            rows_of(self.match, self.match_mode)
        except TooManyRows as error:
            raise ValueError(
                f"match: the conditions expand to more than {MAX_ROWS} alternatives; "
                "split the lane into several with the same tag"
            ) from error
        if self.sticky is not None and not any(leaf.test.percent is not None for leaf in self.leaves()):
            raise ValueError("sticky: a percent condition is needed to keep clients in")
        if self.guard is not None and self.guard.shrinks_to is not None and self.percent is None:
            raise ValueError(f"guard.then: {_ONE_SHARE}, which would shrink; write `close` or `warn`")
        if self.schedule is not None:
            self._check_schedule(self.schedule)
        return self

    def _check_schedule(self, schedule: Schedule) -> None:
        percent = self.percent
        if percent is None:
            raise ValueError(f"schedule: {_ONE_SHARE}: the share that the schedule ends with")
        if schedule.steps[-1] >= percent:
            raise ValueError(
                f"schedule.steps: they lead to the lane's percent of {percent:g}, so the last one is less; "
                f"found {schedule.steps[-1]:g}"
            )

    @property
    def percent(self) -> float | None:
        """The share of its only `percent` condition; None: there is none, or several, or it is not one number."""
        if all(leaf.test.percent is None for leaf in self.leaves()):
            return None
        literals = {
            id(literal.condition): literal
            for row in rows_of(self.match, self.match_mode)
            for literal in row
            if literal.condition.test.percent is not None
        }
        if len(literals) != 1:
            return None
        [literal] = literals.values()
        share = literal.condition.test.percent
        return None if literal.negated or isinstance(share, list) else share

    def share_at(self, now: float) -> float | None:
        """The share that it takes at a time, in seconds since the epoch, as far as `percent` says it."""
        percent = self.percent
        return percent if percent is None or self.schedule is None else self.schedule.share_at(now, percent)

    def leaves(self) -> list[Condition]:
        """Every condition that looks at something, in order."""
        return [leaf for condition in self.match for leaf in condition.leaves()]


class LaneGroup(Model):
    """Lanes of one entry and one set of services, tried in order: the first that matches wins."""

    name: Name
    """Unique over all files. It is the salt of `percent`, so renaming a group reshuffles who is in a share."""
    enabled: bool = True
    """false closes all its lanes."""
    order: int = 0
    """Groups with a lower number are tried first; groups with the same number in the order in which they are read."""
    entry: list[str] = Field(default_factory=lambda: [EVERY_ENTRY])
    """Where its lanes are matched: entry gateways by `name`, `*` for all of them, and services whose own traffic begins
    there, matched by their sidecars."""
    services: list[str] = Field(default_factory=list)
    """The services whose tagged instances the lanes may use; empty: every service."""
    baseline: Literal["untagged", "closed_lanes_rejoin"] = "untagged"
    """The baseline of its services: instances without a tag, or also those whose lanes are all closed."""
    lanes: list[Lane] = Field(default_factory=list)
    """In the order in which they are tried."""

    @model_validator(mode="after")
    def _shares_fit(self) -> LaneGroup:
        self.shares()
        return self

    def shares(self) -> GroupShares:
        """Which buckets each percent condition takes. Raises OverlapError."""
        return GroupShares((lane.name, lane.leaves()) for lane in self.lanes)


class SegmentFile(Model):
    """A named list of values in a separate file, one per line; `#` begins a comment."""

    name: Name
    """Its name in conditions; unique over all files."""
    file: str
    """The file, relative to this one."""


class RulesFile(Model):
    """One file of rules."""

    lane_groups: list[LaneGroup] = Field(default_factory=list)
    """The groups of this file."""
    segments: list[SegmentFile] = Field(default_factory=list)
    """Lists of values that conditions in all files can refer to."""
