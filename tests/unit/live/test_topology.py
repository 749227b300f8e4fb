"""Which services called which of late, from what each program saw."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.live import topology as module
from gateway.live.store import Stored
from gateway.live.topology import topology
from gateway.telemetry.request_record import Reporter, RequestRecord
from tests.support.records import TRACE, marked, record

GATEWAY = Reporter("gateway")
A = Reporter("a", "sidecar", "gray", "192.0.2.1:80")
B = Reporter("b", "sidecar", "base", "192.0.2.2:80")


def stored(by: Reporter, made: RequestRecord) -> Stored:
    return Stored(1, by, made)


def call(**values: Any) -> RequestRecord:
    return marked(**{"listener": "outbound", "trace_id": TRACE, "time": 100.2, "group": "", "lane": "", **values})


CHAIN = [
    stored(GATEWAY, marked(trace_id=TRACE, time=100.0, instance=A.address, duration_us=900_000)),
    stored(A, call(service="b", pool="base", fallback="absent", instance=B.address, duration_us=500_000)),
    stored(A, call(listener="inbound", service="a")),
    stored(B, call(time=100.3, service="c", tag="base", pool="base", status=502, duration_us=100_000)),
]


def edge(**values: Any) -> dict[str, Any]:
    plain = {
        "is_entry": False,
        "tag": "gray",
        "fallback": None,
        "tag_lost": False,
        "requests": 1,
        "rate": 0.1,
        "errors": 0.0,
    }
    return {**plain, **values}


def test_calls_are_edges_with_their_tag_their_fallback_and_a_tag_that_was_lost() -> None:
    found = topology(CHAIN, 100.0, 110.0)
    assert found == {
        "seconds": 10.0,
        "requests": 1,
        "gateways": ["gateway"],
        "services": [
            {"service": "a", "tags": ["gray"]},
            {"service": "b", "tags": ["base"]},
            {"service": "c", "tags": ["base"]},
        ],
        "edges": [
            edge(**{"from": "a", "to": "b", "pool": "base", "fallback": "absent", "p95": 0.5}),
            edge(**{"from": "b", "to": "c", "tag": "base", "pool": "base", "tag_lost": True, "errors": 1.0, "p95": 0.1}),
            edge(**{"from": "gateway", "is_entry": True, "to": "a", "pool": "gray", "p95": 0.9}),
        ],
    }  # fmt: skip


def test_calls_of_one_kind_are_counted_together() -> None:
    made = [
        record(time=100.0 + number, duration_us=number * 1000, status=503 if number == 1 else 200)
        for number in range(20)
    ]
    [shown] = topology([stored(GATEWAY, item) for item in made], 100.0, 120.0)["edges"]
    assert (shown["requests"], shown["rate"], shown["errors"], shown["p95"]) == (20, 1.0, 0.05, 0.019)


@pytest.mark.parametrize("lane", ["gray", "demo/gray"])
def test_a_lane_is_shown_with_everything_that_its_requests_led_to(lane: str) -> None:
    others = [stored(GATEWAY, record(time=100.0)), stored(A, call(trace_id="f" * 32, service="x"))]
    assert topology([*CHAIN, *others], 100.0, 110.0, lane) == topology(CHAIN, 100.0, 110.0)
    assert topology(others, 100.0, 110.0, lane)["edges"] == []


def test_what_is_older_and_what_went_to_no_service_does_not_count() -> None:
    assert (
        topology([stored(GATEWAY, record(time=99.0)), stored(GATEWAY, record(time=101.0, service=""))], 100.0, 110.0)[
            "edges"
        ]
        == []
    )


def test_only_so_many_edges_are_shown_the_busiest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EDGES", 1)
    made = [record(time=100.0, service=name) for name in ("b", "a", "b")]
    found = topology([stored(GATEWAY, item) for item in made], 100.0, 110.0)
    assert ([item["to"] for item in found["edges"]], found["requests"]) == (["b"], 3)


@pytest.mark.parametrize(("status", "errors"), [("OK", 0.0), ("NOT_FOUND", 0.0), ("INTERNAL", 1.0), ("", 0.0)])
def test_a_failed_call_of_grpc_is_an_error(status: str, errors: float) -> None:
    [shown] = topology([stored(A, call(service="b", grpc_status=status))], 100.0, 110.0)["edges"]
    assert shown["errors"] == errors
