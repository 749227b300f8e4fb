"""Which requests are forwarded from within a span, and that what is forwarded names it."""

from __future__ import annotations

import random

import pytest

from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.instance import Instance
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.memory import TraceMemory
from gateway.routing.peer import Peer
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.sidecar import InboundRouter, OutboundRouter
from gateway.routing.snapshot import Snapshot
from gateway.routing.tracing import Tracing
from gateway.routing.verdict import Forward, NeedService
from tests.support.rules import compiled

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PEER = Peer("192.0.2.1", True)


def read(*fields: str) -> Request:
    head = "\r\n".join(["GET /A/x HTTP/1.1", "Host: b", *fields, "", ""]).encode()
    return HeadReader("x-gray-tag", is_traced=True).read(head)


def joined(*fields: str, share: float = 0.0) -> Request:
    request = read(*fields)
    Tracing(random.Random(1), share).join(request)
    return request


def traceparent(flags: str = "01", version: str = "00", rest: str = "") -> str:
    return f"traceparent: {version}-{TRACE}-{PARENT}-{flags}{rest}"


def carried(forward: object) -> list[str]:
    """The values of `traceparent` in what is forwarded."""
    assert isinstance(forward, Forward)
    lines = forward.head.decode().split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("traceparent:")]


@pytest.mark.parametrize("flags", ["01", "03", "ff"])
def test_a_sampled_trace_is_joined(flags: str) -> None:
    request = joined(traceparent(flags))
    span = request.span_id.decode()
    assert (len(span), request.parent_id.decode(), request.trace_id.decode()) == (16, PARENT, TRACE)
    assert request.traceparent.decode() == f"00-{TRACE}-{span}-{flags}"


def test_of_a_later_version_it_is_continued_in_ours() -> None:
    request = joined(traceparent(version="cc", rest="-what-the-future-brings"))
    assert request.traceparent.decode() == f"00-{TRACE}-{request.span_id.decode()}-01"


@pytest.mark.parametrize("flags", ["00", "02", "fe"])
def test_one_that_is_not_sampled_passes_as_it_is(flags: str) -> None:
    request = joined(traceparent(flags), share=1.0)
    assert (request.span_id, request.cuts, request.traceparent.decode()) == (b"", [], f"00-{TRACE}-{PARENT}-{flags}")


@pytest.mark.parametrize(("share", "begins"), [(0.0, 0), (0.5, 500), (1.0, 1000)])
def test_a_share_of_what_has_no_trace_begins_one(share: float, begins: int) -> None:
    tracing = Tracing(random.Random(1), share)
    requests = [read() for _ in range(1000)]
    for request in requests:
        tracing.join(request)
    begun = [request for request in requests if request.span_id]
    assert len(begun) == pytest.approx(begins, abs=50)
    assert all(request.traceparent[-2:] == b"01" and not request.parent_id for request in begun)
    assert all(request.traceparent[36:52] == request.span_id for request in begun)
    assert len({request.trace_id for request in begun}) == len(begun)


def entry(tracing: Tracing | None) -> EntryRouter:
    view = ServiceView("b", (Instance("192.0.2.9", 80),), Turns())
    routes = RouteTable([Route("/A", "b")])
    snapshot = Snapshot(1, compiled([]), routes, {"b": view})
    return EntryRouter(snapshot, Carriers(), random.Random(1), tracing=tracing)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [traceparent()],
        [traceparent(), "tracestate: a=1"],
        [traceparent(), traceparent()],
        [traceparent(), "Traceparent: nonsense", "x-b: 1"],
        ["Connection: close", traceparent(), "Content-Length: 03"],
        [traceparent(), traceparent("03")],
        ["traceparent: nonsense"],
    ],
)
def test_the_entry_forwards_one_traceparent_that_names_its_span(fields: list[str]) -> None:
    request = read(*fields)
    [value] = carried(entry(Tracing(random.Random(1), 1.0)).route(request, PEER, 0.0))
    assert (value[36:52].encode(), value[3:35].encode()) == (request.span_id, request.trace_id)
    assert value[36:52] != PARENT


def test_an_entry_that_samples_nothing_makes_traces_that_are_not_sampled() -> None:
    request = read()
    [value] = carried(entry(Tracing(random.Random(1), 0.0)).route(request, PEER, 0.0))
    assert (value[-2:], request.span_id) == ("00", b"")


def test_a_request_that_goes_nowhere_is_traced_too() -> None:
    head = b"GET /nowhere HTTP/1.1\r\nHost: b\r\n\r\n"
    request = HeadReader("x-gray-tag", is_traced=True).read(head)
    entry(Tracing(random.Random(1), 1.0)).route(request, PEER, 0.0)
    assert request.span_id


@pytest.mark.parametrize("tracing", [Tracing(random.Random(1), 0.0), None])
def test_a_sidecar_continues_what_is_sampled_if_it_traces(tracing: Tracing | None) -> None:
    view = ServiceView("b", (Instance("192.0.2.9", 80),), Turns())
    snapshot = Snapshot(1, compiled([]), RouteTable(()), {"b": view})
    inbound = InboundRouter(
        snapshot, Carriers(), TraceMemory(), service="a", tag="base", app=Instance("127.0.0.1", 1), tracing=tracing
    )
    outbound = OutboundRouter(snapshot, Carriers(), TraceMemory(), "base", "a", tracing=tracing)
    for router in (inbound, outbound):
        head = f"GET /A/x HTTP/1.1\r\nHost: b\r\n{traceparent()}\r\n\r\n".encode()
        request = HeadReader("x-gray-tag", is_traced=tracing is not None).read(head)
        [value] = carried(router.route(request, PEER, 0.0))
        assert (value[36:52] == PARENT) == (tracing is None)
        plain = HeadReader("x-gray-tag").read(b"GET /A/x HTTP/1.1\r\nHost: b\r\n\r\n")
        assert carried(router.route(plain, PEER, 0.0)) == []


def test_a_call_that_waits_until_its_callee_is_known_keeps_its_span() -> None:
    empty = Snapshot(1, compiled([]), RouteTable(()), {})
    router = OutboundRouter(empty, Carriers(), TraceMemory(), "base", "a", tracing=Tracing(random.Random(1), 0.0))
    request = read(traceparent())
    assert isinstance(router.route(request, PEER, 0.0), NeedService)
    span = request.span_id
    router.snapshot = Snapshot(
        1, compiled([]), RouteTable(()), {"b": ServiceView("b", (Instance("192.0.2.9", 80),), Turns())}
    )
    [value] = carried(router.route(request, PEER, 0.0))
    assert (value[36:52].encode(), request.span_id, request.parent_id.decode()) == (span, span, PARENT)
