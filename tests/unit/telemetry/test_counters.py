"""Counters of several processes add up, and those of a dead one go on counting without its gauges."""

from __future__ import annotations

import pickle
from typing import Any

from gateway.telemetry.counters import MOST_LANES, MOST_STATUSES, Traffic, code_of
from gateway.telemetry.names import MOST, OTHER


def busy() -> Traffic:
    traffic = Traffic()
    traffic.started = 3
    traffic.in_flight = 1
    traffic.connections = 2
    traffic.log_lines = 4
    traffic.count_exchange("a", "gray", 200, 0.002, 0.00002, received=100, sent=2000)
    traffic.count_exchange("a", "gray", 502, 99.0, -1.0, received=50, sent=0)
    traffic.count_call("a", "gray", "INTERNAL", True)
    traffic.count_lane("g", "gray")
    traffic.count_fallback("b", "gray", "absent")
    traffic.count_upstream_error("a", "gray", "closed")
    traffic.count_retry("a", "closed")
    traffic.count_fault("a", "gray", "delay")
    traffic.count_mirrored("a", "gray", "same")
    traffic.count_retry_denied("a")
    traffic.count_refused("no_route")
    traffic.count_http2_failure("resets")
    traffic.count_reply("/hello", 200)
    traffic.count_question("basic_auth", "denied")
    traffic.count_compressed("zstd", "after", 7)
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


def test_what_failed_is_5xx_and_failed_calls() -> None:
    traffic = busy()
    traffic.count_call("a", "gray", "NOT_FOUND", False)
    assert traffic.exchanges["a"]["gray"].errors == 2


def test_a_dead_process_has_nothing_under_way() -> None:
    total = Traffic()
    total.add(busy().dump(), alive=False)
    assert (total.in_flight, total.connections, total.started) == (0, 0, 3)


def sizes(traffic: Traffic) -> tuple[int, ...]:
    """How many series of each kind there are."""
    return (
        sum(len(series.statuses) for by_tag in traffic.exchanges.values() for series in by_tag.values()),
        sum(map(len, traffic.decisions.values())),
        *(len(table) for table in (traffic.fallbacks, traffic.upstream_errors, traffic.ejections, traffic.retries)),
        *(len(table) for table in (traffic.retries_denied, traffic.replies)),
    )


def count(traffic: Traffic, name: str, status: int = 200) -> None:
    traffic.count_exchange("a", name, status, 0.001, -1.0, received=1, sent=1)
    traffic.count_exchange(name, "base", status, 0.001, -1.0, received=1, sent=1)
    traffic.count_fallback(name, name, "absent")
    traffic.count_upstream_error(name, name, "closed")
    traffic.count_ejection(name, name, "errors")
    traffic.count_retry(name, "closed")
    traffic.count_retry_denied(name)
    traffic.count_reply(name, status)
    traffic.count_lane(name, name)


def test_made_up_names_make_no_more_series() -> None:
    """And nothing of what they counted is lost."""
    traffic = Traffic()
    for number in range(3000):
        count(traffic, f"n{number}")
    before = sizes(traffic)
    for number in range(3000, 6000):
        count(traffic, f"n{number}")
    assert sizes(traffic) == before
    assert max(before) <= MOST_LANES + 1
    assert sum(s.statuses[200] for by_tag in traffic.exchanges.values() for s in by_tag.values()) == 12_000
    for table in (traffic.fallbacks, traffic.upstream_errors, traffic.ejections, traffic.retries, traffic.replies):
        assert sum(table.values()) == 6000
    assert sum(traffic.retries_denied.values()) == 6000
    assert sum(sum(by_lane.values()) for by_lane in traffic.decisions.values()) == 6000


def test_what_is_known_is_not_hidden_by_made_up_names() -> None:
    traffic = Traffic(lambda service, tag: service == "a" and tag in ("", "base", "gray"))
    for number in range(3000):
        count(traffic, f"n{number}")
    traffic.count_exchange("a", "gray", 200, 0.001, -1.0, received=1, sent=1)
    traffic.count_fallback("a", "gray", "absent")
    assert traffic.exchanges["a"]["gray"].statuses == {200: 1}
    assert traffic.exchanges["a"][OTHER].statuses[200] > 0
    assert traffic.fallbacks["a", "gray", "absent"] == 1


def test_statuses_beyond_the_first_ones_are_counted_by_class() -> None:
    """`5xx` is a code that `code=~"5.."` finds."""
    traffic = Traffic()
    for status in range(200, 600):
        traffic.count_exchange("a", "base", status, 0.001, -1.0, received=1, sent=1)
    statuses = traffic.exchanges["a"]["base"].statuses
    assert len(statuses) == MOST_STATUSES + 4
    assert {code_of(status): count for status, count in statuses.items() if status < 100} == {
        "2xx": 100 - MOST_STATUSES,
        "3xx": 100,
        "4xx": 100,
        "5xx": 100,
    }


def test_workers_together_have_the_same_bound() -> None:
    """Each has met other names."""
    total = Traffic()
    for worker in range(8):
        traffic = Traffic()
        for number in range(3000):
            count(traffic, f"w{worker}n{number}")
        total.add(pickle.loads(pickle.dumps(traffic.dump())))
    assert max(sizes(total)) <= MOST_LANES + 1
    assert sum(total.replies.values()) == 8 * 3000
    again = Traffic()
    again.add(total.dump())
    again.add(total.dump())
    assert sizes(again) == sizes(total)


def test_a_tag_that_is_not_known_any_more_is_counted_under_the_others() -> None:
    """A new tag with each release."""
    current = {"v0"}
    traffic = Traffic(lambda service, tag: tag in current)
    releases = 5 * MOST
    for release in range(releases):
        current = {"", f"v{release}"}
        traffic.count_exchange("a", f"v{release}", 200, 0.001, -1.0, received=1, sent=1)
        traffic.count_fallback("a", f"v{release}", "absent")
    assert len(traffic.exchanges["a"]) <= MOST + 1
    assert sum(series.statuses[200] for series in traffic.exchanges["a"].values()) == releases
    assert sum(traffic.fallbacks.values()) == releases
    assert traffic.exchanges["a"][OTHER].sent == traffic.exchanges["a"][OTHER].statuses[200]


def test_everything_that_is_counted_is_passed_on() -> None:
    """What is missing in a dump is lost when there are workers."""
    traffic = Traffic()
    dump = traffic.dump()
    told = {*dump["tables"], *dump["numbers"], *dump["gauges"], "exchanges", "decisions", "overhead"}
    counted = {name for name in dir(traffic) if name[0] != "_" and not callable(getattr(traffic, name))}
    assert told == counted - {"names"}
