"""Counters of several processes add up, and those of a dead one go on counting without its gauges."""

from __future__ import annotations

import pickle
from typing import Any

from gateway.telemetry.counters import Traffic


def busy() -> Traffic:
    traffic = Traffic()
    traffic.started = 3
    traffic.in_flight = 1
    traffic.connections = 2
    traffic.log_lines = 4
    traffic.count_exchange("a", "gray", 200, 0.002, 0.00002, 100, 2000)
    traffic.count_exchange("a", "gray", 502, 99.0, -1.0, 50, 0)
    traffic.count_lane("g", "gray")
    traffic.count_fallback("b", "gray", "absent")
    traffic.count_upstream_error("a", "gray", "closed")
    traffic.count_retry("a", "closed")
    traffic.count_retry_denied("a")
    traffic.count_refused("no_route")
    traffic.count_reply("/hello", 200)
    return traffic


def doubled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: doubled(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(doubled(inner) for inner in value)
    return value * 2


def test_two_processes_make_twice_the_counts() -> None:
    dump = pickle.loads(pickle.dumps(busy().dump()))
    total = Traffic()
    total.add(dump)
    assert total.dump() == dump
    total.add(dump)
    assert total.dump() == doubled(dump)


def test_a_dead_process_has_nothing_under_way() -> None:
    total = Traffic()
    total.add(busy().dump(), alive=False)
    assert (total.in_flight, total.connections, total.started) == (0, 0, 3)
