"""What a guard does to a lane that is worse than the baseline, as a change of single values in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gateway.rules.model import Lane
    from gateway.yaml.reading import Location

CLOSED: Final = "closed"
SHRUNK: Final = "shrunk"
HELD: Final = "held"
WARNED: Final = "warned"
FAILED: Final = "failed"
"""What became of a lane; `failed`: the rules could not be changed."""


@dataclass(frozen=True, slots=True)
class Action:
    """`outcome` is what becomes of the lane, and `what` says it in words.

    `values` are what to change, if anything, by where it is in the lane; None is taken away. They are single values, so
    that the rest of the lane stays as people wrote it, with its comments and its variables.
    """

    outcome: str
    what: str
    values: Mapping[Location, Any]


def action_of(lane: Lane, now: float) -> Action:
    """What the lane's guard does at a time, in seconds since the epoch."""
    guard, schedule = lane.guard, lane.schedule
    assert guard is not None
    share, smaller = lane.share_at(now), guard.shrinks_to
    if guard.then == "close":
        return Action(CLOSED, "closed by its guard", {("enabled",): False})
    if smaller is not None and share is not None and share > smaller:
        match = lane.model_dump(mode="json", by_alias=True, include={"match"}, exclude_defaults=True)
        values: dict[Location, Any] = {place: _number(smaller) for place in _places_of_percent(match, ())}
        gone: dict[Location, Any] = {} if schedule is None else {("schedule",): None}
        return Action(SHRUNK, f"shrunk from {share:g} % to {smaller:g} % by its guard", {**values, **gone})
    if schedule is not None and share is not None and schedule.next_step(now, lane.percent or 0.0) is not None:
        return Action(HELD, f"held at {share:g} % by its guard", {("schedule", "hold"): _number(share)})
    return Action(WARNED, "worse than the baseline", {})


def _places_of_percent(value: Any, at: Location) -> Iterator[Location]:
    """Where shares are in conditions."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        if key == "percent":
            yield (*at, key)
        else:
            yield from _places_of_percent(member, (*at, key))


def _number(share: float) -> float:
    """A share as it is written: 1, not 1.0."""
    return int(share) if share == int(share) else share
