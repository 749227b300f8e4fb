"""Conditions of a status: what they say, and how they go together with those that are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.kubernetes.client import Object

LONGEST: Final = 1024
"""Characters of a message; the API server takes 32,768."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, without its time."""

    kind: str
    holds: bool
    reason: str
    message: str = ""


def as_status(conditions: Iterable[Condition], generation: int, before: Any, now: str) -> list[Object]:
    """Conditions as a status has them. `before` are those that are there: who says the same still keeps their time.

    What others have said beside ours stays.
    """
    known = {item.get("type"): item for item in before if isinstance(item, dict)} if isinstance(before, list) else {}
    made = []
    for condition in conditions:
        state = "True" if condition.holds else "False"
        old = known.pop(condition.kind, {})
        since = old.get("lastTransitionTime") if old.get("status") == state else None
        made.append(
            {
                "type": condition.kind,
                "status": state,
                "reason": condition.reason,
                "message": condition.message[:LONGEST],
                "observedGeneration": generation,
                "lastTransitionTime": since or now,
            }
        )
    return [*made, *known.values()]


def summary(problems: Sequence[str]) -> str:
    """Several problems as one message."""
    return "; ".join(dict.fromkeys(problems))[:LONGEST]
