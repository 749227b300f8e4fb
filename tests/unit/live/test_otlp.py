"""Spans as a collector sees them, decoded by the protocol's own library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource

from gateway.grpc.status import NAMES
from gateway.live.otlp import Exporter, spans_of
from gateway.telemetry.request_record import Reporter, RequestRecord
from gateway.telemetry.traced_request import TracedRequest
from tests.support.otlp import Collector, Span, decoded
from tests.support.records import TRACE, marked, record
from tests.support.wait import until

ENTRY = Reporter("shop-gateway")


def traced(request: RequestRecord | None = None, **values: Any) -> TracedRequest:
    plain: dict[str, Any] = {
        "record": request or record(trace_id=TRACE, instance="192.0.2.9:80", route="/A", client_ip="192.0.2.1"),
        "server_span": "00000000000000aa",
        "client_span": "00000000000000bb",
        "parent": "",
        "scheme": "https",
        "upstream_scheme": "http",
        "version": "1.1",
        "sent_us": 100,
        "upstream_status": 200,
        "is_fault": False,
    }
    return TracedRequest(**plain | values)


def seen(request: TracedRequest) -> list[Span]:
    spans = list(spans_of(request, Resource({"service.name": "x"})))
    return decoded(encode_spans(spans).SerializeToString())


def test_a_request_is_a_server_span_with_a_client_span_in_it() -> None:
    lane = marked(
        trace_id=TRACE,
        route="/A",
        host="shop.example:8443",
        instance="192.0.2.9:80",
        client_ip="192.0.2.1",
        fallback="absent",
        pool="base",
        attempts=3,
    )
    server, client = seen(traced(lane, parent="00000000000000cc"))
    decision = {
        "http.request.method": "GET",
        "gray.service": "a",
        "gray.lane": "demo/gray",
        "gray.tag": "gray",
        "gray.tag_source": "rule",
        "gray.pool": "base",
        "gray.fallback": "absent",
    }
    assert server == Span(
        "GET /A",
        "SERVER",
        TRACE,
        "00000000000000aa",
        "00000000000000cc",
        1000_000_000_000,
        1000_001_000_000,
        False,
        {
            **decision,
            "url.scheme": "https",
            "url.path": "/A/x",
            "network.protocol.version": "1.1",
            "http.route": "/A",
            "http.response.status_code": 200,
            "client.address": "192.0.2.1",
            "server.address": "shop.example",
            "server.port": 8443,
            "gray.listener": "entry",
            "gray.revision": 1,
        },
        {"service.name": "x"},
    )
    assert client == Span(
        "GET",
        "CLIENT",
        TRACE,
        "00000000000000bb",
        "00000000000000aa",
        1000_000_100_000,
        1000_001_000_000,
        False,
        {
            **decision,
            "url.full": "http://192.0.2.9:80/A/x",
            "server.address": "192.0.2.9",
            "server.port": 80,
            "http.response.status_code": 200,
            "http.request.resend_count": 2,
        },
        {"service.name": "x"},
    )


def test_a_root_has_no_parent_and_what_was_not_sent_no_client_span() -> None:
    [server] = seen(traced(record(trace_id=TRACE, status=404, service="", cause="no_route"), sent_us=None))
    assert (server.parent, server.name, server.failed, "error.type" in server.attributes) == ("", "GET", False, False)


@pytest.mark.parametrize(
    ("status", "upstream", "cause", "is_fault", "errors"),
    [
        (404, 404, "", False, [None, "404"]),
        (503, 503, "", True, ["503", "503"]),
        (504, 0, "response_timeout", True, ["response_timeout", "response_timeout"]),
        (200, 200, "truncated", True, ["truncated", "truncated"]),
        (499, 0, "client_gone", False, [None, "client_gone"]),
    ],
)
def test_what_fails_on_which_side(status: int, upstream: int, cause: str, is_fault: bool, errors: list[str]) -> None:
    """A client error is no error of the server that tells it; and of a client that left, nothing of the server's."""
    found = record(trace_id=TRACE, status=status, cause=cause, instance="192.0.2.9:80")
    spans = seen(traced(found, upstream_status=upstream, is_fault=is_fault))
    assert [span.attributes.get("error.type") for span in spans] == errors
    assert [span.failed for span in spans] == [error is not None for error in errors]


@pytest.mark.parametrize(
    ("status", "is_fault", "errors"),
    [
        ("OK", False, [None, None]),
        ("NOT_FOUND", False, [None, "NOT_FOUND"]),
        ("UNAVAILABLE", True, ["UNAVAILABLE"] * 2),
    ],
)
def test_a_call_has_its_status_and_what_was_called(status: str, is_fault: bool, errors: list[str | None]) -> None:
    found = marked(trace_id=TRACE, method="POST", instance="192.0.2.9:80", grpc_status=status, mirror=True)
    spans = seen(traced(found, is_fault=is_fault, call=("shop.Orders", "Get")))
    for span in spans:
        assert {name: value for name, value in span.attributes.items() if name.startswith("rpc.")} == {
            "rpc.system": "grpc",
            "rpc.service": "shop.Orders",
            "rpc.method": "Get",
            "rpc.grpc.status_code": NAMES.index(status),
            "rpc.response.status_code": status,
        }
        assert span.attributes["gray.mirror"] is True
    assert [span.attributes.get("error.type") for span in spans] == errors
    assert [span.failed for span in spans] == [error is not None for error in errors]


def test_a_method_that_somebody_made_up_names_no_span() -> None:
    server, client = seen(traced(record(trace_id=TRACE, method="PROPFIND", route="/A", instance="[2001:db8::1]:80")))
    assert (server.name, client.name) == ("HTTP /A", "HTTP")
    assert server.attributes["http.request.method"] == "_OTHER"
    assert server.attributes["http.request.method_original"] == "PROPFIND"
    assert (client.attributes["server.address"], client.attributes["server.port"]) == ("[2001:db8::1]", 80)


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.start()
    for name, value in collector.environment.items():
        monkeypatch.setenv(name, value)
    yield collector
    await collector.close()


async def closed(exporter: Exporter, patience: float = 10.0) -> None:
    await asyncio.to_thread(exporter.close, patience)


async def test_spans_arrive_in_batches_with_who_made_them(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=gray")
    exporter = Exporter(Reporter("a", "sidecar", "gray", "192.0.2.9:80"), 100)
    exporter.add([traced(), traced()])
    await closed(exporter)
    assert (exporter.exported, exporter.dropped, exporter.failed, len(collector.spans)) == (4, 0, 0, 4)
    assert (collector.headers[0]["authorization"], collector.headers[0]["content-encoding"]) == ("Bearer x", "gzip")
    resource = collector.spans[0].resource
    expected = {
        "service.name": "a",
        "service.instance.id": "192.0.2.9:80",
        "gray.role": "sidecar",
        "gray.instance.tag": "gray",
        "deployment.environment": "gray",
    }
    assert {name: resource[name] for name in expected} == expected


async def test_the_environment_has_the_last_word_on_the_name(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "edge")
    exporter = Exporter(ENTRY, 100)
    exporter.add([traced()])
    await closed(exporter)
    assert {span.resource["service.name"] for span in collector.spans} == {"edge"}


async def test_a_slow_collector_costs_spans_and_no_memory(collector: Collector) -> None:
    go_on = asyncio.Event()
    collector.pause = go_on.wait
    exporter = Exporter(ENTRY, 10)
    exporter.add([traced()])
    await until(lambda: collector.headers)
    exporter.add([traced() for _ in range(1000)])
    assert exporter.dropped == 2 * 1001 - 10
    go_on.set()
    await until(lambda: exporter.exported == 10)
    exporter.add([traced()])
    await closed(exporter)
    assert (exporter.exported, exporter.dropped, exporter.failed) == (12, 1992, 0)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
async def test_what_the_collector_refuses_has_failed(
    collector: Collector, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status, collector.body = status, b"\x1b[2J<html>" * 10
    exporter = Exporter(ENTRY, 100)
    exporter.add([traced()])
    await closed(exporter)
    assert (exporter.exported, exporter.failed) == (0, 2)


async def test_garbage_instead_of_a_response_harms_nothing(collector: Collector) -> None:
    collector.body = b"\xff" * 100_000
    exporter = Exporter(ENTRY, 100)
    exporter.add([traced()])
    await closed(exporter)
    assert (exporter.exported, exporter.failed, len(collector.spans)) == (2, 0, 2)


async def test_a_collector_that_never_responds_does_not_hold_up_the_end(collector: Collector) -> None:
    go_on = asyncio.Event()
    collector.pause = go_on.wait
    exporter = Exporter(ENTRY, 100)
    exporter.add([traced()])
    await until(lambda: collector.headers)
    await closed(exporter, 0.05)
    go_on.set()
