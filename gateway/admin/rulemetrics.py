"""The metrics of rules that are kept elsewhere than in files."""

from __future__ import annotations

from typing import Final

from gateway.admin.families import Family

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
