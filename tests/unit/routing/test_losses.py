"""Calls that may have lost their tag: how they are counted."""

from __future__ import annotations

from gateway.routing.losses import Losses
from gateway.telemetry.names import MOST, OTHER


def test_however_many_names_an_application_calls_there_is_a_bound_to_what_is_kept_and_told() -> None:
    seen: list[tuple[str, str]] = []
    losses = Losses(lambda service, reason: seen.append((service, reason)))
    for number in range(MOST + 3):
        losses.add(f"s{number}", has_id=False)
    losses.add("s0", has_id=False)
    assert len(losses.counts) == MOST + 1
    assert (losses.counts["s0", "no_id"], losses.counts[OTHER, "no_id"], len(seen)) == (2, 3, MOST)
