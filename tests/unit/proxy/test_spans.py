"""What is kept of exchanges of sampled traces: how many, and what their spans need."""

from __future__ import annotations

import random

import pytest

from gateway.failures import CLIENT_GONE, RESPONSE_TIMEOUT, TRUNCATED, Failure
from gateway.http.head_reader import build_request
from gateway.instance import Instance
from gateway.proxy.record import Record
from gateway.proxy.recorder import Renderer
from gateway.proxy.spans import MOST, MOST_BYTES, SpanRecorder
from gateway.routing.decision import Decision
from gateway.telemetry.counters import Traffic
from gateway.telemetry.traced_request import TracedRequest


def recorder(traffic: Traffic | None = None) -> SpanRecorder:
    renderer = Renderer("entry", masked=["token"], keeps_head=False)
    return SpanRecorder(
        renderer, traffic or Traffic(), "https", lambda service, _: service == "secured", random.Random(1)
    )


def exchange(url: str = "/A/x?token=1", **values: object) -> Record:
    decision = Decision(3, "192.0.2.1")
    decision.service = "secured"
    decision.instance = Instance("192.0.2.9", 80)
    record = Record(build_request("GET", url), decision, 10.0)
    record.request.traceparent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    record.request.span_id, record.request.parent_id = b"00f067aa0ba902b7", b"00000000000000ab"
    for name, value in values.items():
        setattr(record, name, value)
    return record


def only(record: Record) -> TracedRequest:
    kept = recorder()
    kept.note(record, 12.0, 0.25)
    [found] = kept.take(20.0, 1020.0)
    assert kept.take(21.0, 1021.0) == []
    return found


def test_the_ids_and_the_times_are_those_of_the_exchange() -> None:
    found = only(exchange(sent_at=10.5, responded_at=11.0, status=200, upstream_status=200))
    assert (found.client_span, found.parent, found.sent_us, found.spans) == (
        "00f067aa0ba902b7",
        "00000000000000ab",
        500_000,
        2,
    )
    assert (len(found.server_span), found.scheme, found.upstream_scheme, found.version) == (16, "https", "https", "1.1")
    record = found.record
    assert (record.time, record.duration_us, record.trace_id) == (1010.0, 2_000_000, "4bf92f3577b34da6a3ce929d0e0e4736")
    assert (record.head, record.client_ip, record.path) == (b"", "192.0.2.1", "/A/x")


def test_what_was_not_sent_has_one_span_and_what_could_not_be_connected_two() -> None:
    assert (only(exchange(status=404)).sent_us, only(exchange(status=404)).spans) == (None, 1)
    assert (only(exchange(status=502, attempts=3)).sent_us, only(exchange(status=502, attempts=3)).spans) == (0, 2)


@pytest.mark.parametrize(
    ("status", "cause", "is_fault"),
    [
        (200, None, False),
        (404, None, False),
        (499, CLIENT_GONE, False),
        (500, None, True),
        (504, RESPONSE_TIMEOUT, True),
        (200, TRUNCATED, True),
    ],
)
def test_a_client_that_leaves_is_no_fault(status: int, cause: Failure | None, is_fault: bool) -> None:
    assert only(exchange(status=status, cause=cause)).is_fault == is_fault


@pytest.mark.parametrize(("version", "shown"), [(0, "1.0"), (1, "1.1"), (2, "2")])
def test_the_version_is_that_of_the_client(version: int, shown: str) -> None:
    record = exchange()
    record.request.version = version
    assert only(record).version == shown


def test_what_does_not_fit_is_dropped_and_counted_in_spans() -> None:
    traffic = Traffic()
    kept = recorder(traffic)
    for _ in range(MOST):
        kept.note(exchange(), 12.0, -1.0)
    kept.note(exchange(), 12.0, -1.0)
    kept.note(exchange(sent_at=11.0), 12.0, -1.0)
    assert (len(kept.take(20.0, 1020.0)), traffic.spans_dropped) == (MOST, 3)
    kept.note(exchange(), 12.0, -1.0)
    assert len(kept.take(20.0, 1020.0)) == 1


def test_large_heads_count_by_their_bytes() -> None:
    traffic = Traffic()
    kept = recorder(traffic)
    large = exchange("/A/" + "x" * (1 << 20))
    for _ in range(20):
        kept.note(large, 12.0, -1.0)
    assert (len(kept.take(20.0, 1020.0)), traffic.spans_dropped) == (MOST_BYTES >> 20, 20 - (MOST_BYTES >> 20))
