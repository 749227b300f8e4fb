"""The metrics of rules that are not counts of requests: when lanes expire, what their guards say, how remote rules are."""

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

RULE_METRICS: Final = (
    Family(
        "gateway_remote_rules_up", "gauge", ("source",),
        "1: the server responds and has rules there",
        lambda observed: [((source.name,), source.is_up) for source in observed.remote_rules],
    ),
    Family(
        "gateway_remote_rules_age_seconds", "gauge", ("source",),
        "time since the server last reported on the rules; with blocking queries, a server reports rarely",
        lambda observed: [
            ((source.name,), source.age) for source in observed.remote_rules if source.age is not None
        ],
    ),
    Family(
        "gateway_remote_rules_failures_total", "counter", ("source", "reason"),
        "failed lookups",
        lambda observed: [
            ((source.name, reason), count)
            for source in observed.remote_rules
            for reason, count in source.failures.items()
        ],
    ),
)  # fmt: skip
