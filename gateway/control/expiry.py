"""Lanes that expire: who is warned when, and when the rules are to be compiled again."""

from __future__ import annotations

from gateway.rules.ruleset import RuleSet

WARNING = 7 * 86_400.0
"""Seconds before a lane expires from which on it is warned of."""
LONGEST_WAIT = 86_400.0
"""Seconds after which is looked again at the latest: a warning is repeated once a day."""


def next_look(rules: RuleSet, now: float) -> float | None:
    """Seconds until a lane closes or should be warned of; None where no open lane expires."""
    expiries = [lane.expires.timestamp() for group in rules.groups for lane in group.lanes if lane.expires is not None]
    ahead = [moment - now for expiry in expiries for moment in (expiry, expiry - WARNING) if moment > now]
    return min(*ahead, LONGEST_WAIT) if ahead else None


def expiries(rules: RuleSet) -> dict[tuple[str, str], float]:
    """When lanes expire, in seconds since the epoch, by group and name."""
    return {
        (group.name, lane.name): lane.expires.timestamp()
        for group in rules.groups
        for lane in group.lanes
        if lane.expires is not None
    }


def expiry_notes(rules: RuleSet, now: float) -> list[str]:
    """What to warn of: lanes that are about to expire, or have."""
    notes: list[str] = []
    for group in rules.groups:
        for lane in group.lanes:
            if lane.expires is None or not (group.enabled and lane.enabled):
                continue
            left = lane.expires.timestamp() - now
            owner = f" (owner: {lane.owner})" if lane.owner else ""
            name = f"lane {group.name}/{lane.name}{owner}"
            if left <= 0:
                notes.append(f"{name} expired at {lane.expires.isoformat()} and is closed")
            elif left < WARNING:
                notes.append(f"{name} expires at {lane.expires.isoformat()}, in {_show(left)}")
    return notes


def _show(seconds: float) -> str:
    if seconds >= 172_800:
        return f"{seconds / 86_400:.0f} days"
    return f"{seconds / 3600:.0f} hours" if seconds >= 7200 else f"{seconds / 60:.0f} minutes"
