"""Where calls lost the tag of their request of late."""

from __future__ import annotations

from gateway.live.losses import losses
from gateway.live.store import Stored
from gateway.telemetry.request_record import Reporter
from tests.support.records import TRACE, record

A = Reporter("a", "sidecar", "gray", "192.0.2.1:80")


def test_calls_that_lost_a_tag_are_counted_by_who_called_whom_and_tag() -> None:
    made = [
        record(service="b", lost="no_id", lost_tag="gray", time=101.0),
        record(service="b", lost="no_id", lost_tag="gray", time=103.0, trace_id=TRACE),
        record(service="b", lost="no_id", lost_tag="blue", time=103.5),
        record(service="c", lost="changed", time=104.0),
        record(service="b", lost="no_id", lost_tag="gray", time=99.0),  # before
        record(service="b", time=105.0),  # kept its tag
    ]
    found = losses([Stored(number, A, item) for number, item in enumerate(made)], 100.0)
    assert found == [
        {"from": "a", "to": "c", "tag": None, "why": "changed", "count": 1, "last": 104.0, "trace_id": None},
        {"from": "a", "to": "b", "tag": "blue", "why": "no_id", "count": 1, "last": 103.5, "trace_id": None},
        {"from": "a", "to": "b", "tag": "gray", "why": "no_id", "count": 2, "last": 103.0, "trace_id": TRACE},
    ]
