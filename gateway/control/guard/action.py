"""What a guard does to a lane that is worse than the baseline, as a change of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gateway.rules.model import Lane

CLOSED: Final = "closed"
SHRUNK: Final = "shrunk"
HELD: Final = "held"
WARNED: Final = "warned"
FAILED: Final = "failed"
"""What became of a lane; `failed`: the rules could not be changed."""


@dataclass(frozen=True, slots=True)
class Action:
    """`outcome` is what becomes of the lane, `what` says it in words, `data` are the keys to change (RFC 7396), if any."""

    outcome: str
    what: str
    data: Mapping[str, Any]


def action_of(lane: Lane, now: float) -> Action:
    """What the lane's guard does at a time, in seconds since the epoch."""
    guard, schedule = lane.guard, lane.schedule
    assert guard is not None
    share, smaller = lane.share_at(now), guard.shrinks_to
    if guard.then == "close":
        return Action(CLOSED, "closed by its guard", {"enabled": False})
    if smaller is not None and share is not None and share > smaller:
        match = _with_percent(_plain(lane)["match"], smaller)
        gone = {} if schedule is None else {"schedule": None}
        return Action(SHRUNK, f"shrunk from {share:g} % to {smaller:g} % by its guard", {"match": match, **gone})
    if schedule is not None and share is not None and schedule.next_step(now, lane.percent or 0.0) is not None:
        held = {**_plain(lane)["schedule"], "hold": _number(share)}
        return Action(HELD, f"held at {share:g} % by its guard", {"schedule": held})
    return Action(WARNED, "worse than the baseline", {})


def _plain(lane: Lane) -> dict[str, Any]:
    return lane.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _with_percent(value: Any, percent: float) -> Any:
    """Conditions with another share; the lane has only one."""
    if isinstance(value, list):
        return [_with_percent(item, percent) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _number(percent) if key == "percent" else _with_percent(item, percent) for key, item in value.items()}


def _number(share: float) -> float:
    """A share as it is written: 1, not 1.0."""
    return int(share) if share == int(share) else share
