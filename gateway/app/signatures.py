"""What people are told of tags whose signature is not as it should be (`routing/tagsigner.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.routing.tagsigner import EXPIRED, FORGED, UNSIGNED
from gateway.telemetry.counters import Traffic

REMEDIES: Final = {
    FORGED: "give all gateways and sidecars the same `carriers.keys`, or find out who makes tags up",
    EXPIRED: "compare the clocks; `carriers.lifetime` must be longer than a request takes in an application",
    UNSIGNED: "give its sender `carriers.keys`: `signature` of its requests (`gateway tap`) shows where they come from",
}
"""What mends it, by why."""


def describe_signatures(traffic: Mapping[str, Traffic]) -> list[dict[str, object]]:
    """What was counted, by listener, why, and whether the tag counted all the same, for JSON."""
    found: list[dict[str, object]] = []
    for listener, counted in traffic.items():
        for why, count in sorted(counted.rejected.items()):
            found.append({"listener": listener, "why": why, "accepted": False, "count": count})
        if counted.unsigned:
            found.append({"listener": listener, "why": UNSIGNED, "accepted": True, "count": counted.unsigned})
    return found
