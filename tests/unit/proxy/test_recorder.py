"""What is kept of exchanges for people to look at: how many, what of them, and nothing that is secret."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.failures import RESPONSE_TIMEOUT
from gateway.grpc.status import DEADLINE_EXCEEDED
from gateway.http.head_reader import build_request
from gateway.instance import Instance
from gateway.proxy.record import Record
from gateway.proxy.recorder import MAX_HEAD, Recorder, Renderer
from gateway.routing.decision import Decision
from gateway.telemetry.counters import Traffic
from gateway.telemetry.request_record import RequestRecord
from tests.support.fakes import Wired

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def exchange(url: str = "/A/x", tag: str = "base", *headers: tuple[str, str]) -> Record:
    decision = Decision(3, "192.0.2.1")
    decision.tag = tag
    return Record(build_request("GET", url, headers), decision, 10.0)


def recorder(marked: float = 100, unmarked: float = 100, **options: Any) -> Recorder:
    return Recorder(Renderer("entry", **options), Traffic(), marked, unmarked)


def only(recorder: Recorder) -> RequestRecord:
    [found] = recorder.take(0.25, 20.0, 1020.0)
    return found


def test_everything_that_was_decided_and_came_of_it_is_in_the_record() -> None:
    record = exchange("/A/x?group=gray", "gray", ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"))
    decision = record.decision
    decision.route, decision.service, decision.group, decision.lane = "/A", "a", "demo", "gray"
    decision.tag_source, decision.pool, decision.fallback = "rule", "base", "absent"
    decision.instance = Instance("192.0.2.9", 80)
    record.sent_at, record.responded_at, record.status, record.attempts = 10.5, 11.0, 504, 2
    record.cause = RESPONSE_TIMEOUT
    record.grpc_status, decision.is_copy = DEADLINE_EXCEEDED, True
    kept = recorder()
    kept.note(record, 12.0, 0.25)
    assert only(kept) == RequestRecord(
        time=1010.0,
        listener="entry",
        method="GET",
        host="localhost",
        path="/A/x",
        status=504,
        cause=RESPONSE_TIMEOUT.code,
        grpc_status="DEADLINE_EXCEEDED",
        mirror=True,
        route="/A",
        service="a",
        group="demo",
        lane="gray",
        tag="gray",
        tag_source="rule",
        pool="base",
        fallback="absent",
        instance="192.0.2.9:80",
        duration_us=2_000_000,
        upstream_us=500_000,
        overhead_us=250_000,
        attempts=2,
        trace_id=TRACE,
        revision=3,
        client_ip="192.0.2.1",
        head=record.request.head,
    )
    assert kept.take(0.25, 20.0, 1020.0) == []


def test_what_did_not_happen_is_not_a_number() -> None:
    kept = recorder()
    kept.note(exchange(), 12.0, -1.0)
    found = only(kept)
    assert (found.upstream_us, found.overhead_us, found.attempts, found.instance, found.cause) == (
        None,
        None,
        1,
        "",
        "",
    )


def test_only_parameters_that_are_named_are_shown_and_never_those_that_are_masked() -> None:
    kept = recorder(params=["group", "token", "absent"], masked=["token"])
    kept.note(exchange("/A/x;token=s3cret?group=gray&card=4111&token=s3cret"), 12.0, 0.0)
    found = only(kept)
    assert (found.path, found.params) == ("/A/x;token=***", {"group": "gray", "token": "***"})
    assert "s3cret" not in str(found.as_dict())
    assert "4111" not in str(found.as_dict())


def test_marked_and_other_requests_have_budgets_of_their_own() -> None:
    """A flood of unmarked requests hides no marked one."""
    traffic = Traffic()
    kept = Recorder(Renderer("entry"), traffic, 2, 3)
    for tag in ("base", "gray") * 5:
        kept.note(exchange(tag=tag), 12.0, 0.0)
    assert [found.tag for found in kept.take(0.0, 20.0, 1020.0)] == ["base", "gray", "base", "gray", "base"]
    assert (traffic.records_kept, traffic.records_skipped) == (5, 5)


def test_the_budget_grows_with_time_up_to_one_second() -> None:
    kept = recorder(4, 0)
    for seconds, expected in ((0.0, 4), (0.0, 0), (0.5, 0), (0.0, 2), (60.0, 0), (0.0, 4)):
        for _ in range(10):
            kept.note(exchange(tag="gray"), 12.0, 0.0)
        assert len(kept.take(seconds, 20.0, 1020.0)) == expected


def test_a_long_head_is_not_kept() -> None:
    kept = recorder()
    kept.note(exchange("/A/x", "base", ("X-Long", "x" * MAX_HEAD)), 12.0, 0.0)
    kept.note(exchange(), 12.0, 0.0)
    long, short = kept.take(0.25, 20.0, 1020.0)
    assert (long.head, bool(short.head)) == (b"", True)


@pytest.mark.parametrize("is_on", [True, False])
async def test_an_exchange_is_noted_when_it_is_over(is_on: bool) -> None:
    wired = Wired()
    kept = recorder()
    wired.context.recorder = kept if is_on else None
    instance, _ = wired.instance()
    client, _ = wired.client()
    client.data_received(b"GET /A/x?group=gray HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    assert kept.take(0.25, 20.0, 1020.0) == []
    instance.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    found = [(item.path, item.status, item.service) for item in kept.take(0.25, 20.0, 1020.0)]
    assert found == ([("/A/x", 200, "a")] if is_on else [])


@pytest.mark.parametrize(("version", "name"), [(0, "1.0"), (1, "1.1"), (2, "2")])
def test_the_version_is_what_the_client_spoke(version: int, name: str) -> None:
    kept = recorder()
    record = exchange()
    record.request.version = version
    kept.note(record, 12.0, 0.25)
    assert only(kept).version == name
