"""The metrics of lanes that are not counts of requests: when they expire, and what their guards say."""

from __future__ import annotations

from typing import Final

from gateway.admin.families import Family

LANE_METRICS: Final = (
    Family(
        "gateway_lane_expiry_timestamp_seconds", "gauge", ("group", "lane"),
        "when the lane expires",
        lambda observed: observed.lane_expiries.items(),
    ),
    Family(
        "gateway_lane_guard_verdicts_total", "counter", ("group", "lane", "verdict"),
        "windows that the guard of a lane judged: good, worse, or undecided because there were too few requests",
        lambda observed: observed.guard_verdicts.items(),
    ),
    Family(
        "gateway_lane_guard_tripped", "gauge", ("group", "lane"),
        "1: the guard of the lane found it worse than the baseline and has acted, or tried to",
        lambda observed: observed.guards_tripped.items(),
    ),
    Family(
        "gateway_lane_guard_events_total", "counter", ("result",),
        "events of guards sent to guard.webhook: delivered or lost",
        lambda observed: (
            None if observed.guard_events is None else [((name,), count) for name, count in observed.guard_events.items()]
        ),
    ),
)  # fmt: skip
