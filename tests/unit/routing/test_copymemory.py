"""The mark of a mirror's copy: what carries it, what remembers it, and when it is nobody's."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.instance import Instance
from gateway.routing.carriers import Carriers
from gateway.routing.copymemory import CopyMemory
from gateway.routing.memory import TraceMemory
from gateway.routing.peer import Peer
from gateway.routing.routes import RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.sidecar import InboundRouter, OutboundRouter
from gateway.routing.snapshot import Snapshot
from gateway.routing.verdict import Forward
from gateway.rules.match import CompiledRules

PEER = Peer("10.1.1.1")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "0af7651916cd43dd8448eb211c80319c"
MARKS = (b"\r\nX-Gray-Mirror: 1\r\n", b"x-gray-mirror=1")


def traceparent(trace: str = TRACE) -> str:
    return f"traceparent: 00-{trace}-00f067aa0ba902b7-01"


def request(*fields: str) -> Request:
    return HeadReader("x-gray-tag", keeps_forwarded=True).read(
        "\r\n".join(["GET /x HTTP/1.1", "Host: b", *fields, "", ""]).encode()
    )


class Sidecar:
    """Both listeners of a gray instance of `a`."""

    def __init__(self, infers: bool = False) -> None:
        memory = self.memory = TraceMemory()
        self.copies = CopyMemory()
        instances = Instance("10.0.0.1", 80), Instance("10.0.0.2", 80, "gray")
        snapshot = Snapshot(1, CompiledRules.empty(), RouteTable(()), {"b": ServiceView("b", instances, Turns())})
        app = Instance("127.0.0.1", 1)
        self._inbound = InboundRouter(
            snapshot, Carriers(), memory, service="a", tag="gray", app=app, copies=self.copies
        )
        self._outbound = OutboundRouter(snapshot, Carriers(), memory, "gray", "a", copies=self.copies, infers=infers)

    def take(self, *fields: str, now: float = 1.0) -> Forward:
        verdict = self._inbound.route(request(*fields), PEER, now)
        assert isinstance(verdict, Forward)
        return verdict

    def call(self, *fields: str, now: float = 1.0) -> Forward:
        verdict = self._outbound.route(request(*fields), PEER, now)
        assert isinstance(verdict, Forward)
        return verdict


def is_marked(forward: Forward) -> bool:
    """Whether a request goes on with the whole mark; half of one is none of ours."""
    found = [mark in forward.head for mark in MARKS]
    assert found in ([True, True], [False, False])
    assert forward.head.lower().count(b"x-gray-mirror:") == found[0]
    assert forward.decision.is_copy is found[0]
    return found[0]


@pytest.mark.parametrize("field", ["X-Gray-Mirror: 1", "baggage: a=b,x-gray-mirror=1", "baggage: x-gray-mirror=1;p=1"])
def test_either_carrier_heals_the_other_in_and_out(field: str) -> None:
    sidecar = Sidecar()
    assert is_marked(sidecar.take("x-gray-tag: gray", field))
    assert is_marked(sidecar.call("x-gray-tag: gray", field))
    assert not is_marked(sidecar.take("x-gray-tag: gray"))
    assert not is_marked(sidecar.call("x-gray-tag: gray"))


@pytest.mark.parametrize("field", ["X-Gray-Mirror: 0", "X-Gray-Mirror: 1, 1", "baggage: x-gray-mirror=2"])
def test_what_is_not_the_mark_goes_nowhere(field: str) -> None:
    forward = Sidecar().take("x-gray-tag: gray", field)
    assert (forward.decision.is_copy, b"mirror" in forward.head.lower()) == (False, False)


def test_an_application_that_forwards_the_trace_alone_calls_for_the_copy() -> None:
    """Also after its response."""
    sidecar = Sidecar()
    copy = sidecar.take("x-gray-tag: gray", "X-Gray-Mirror: 1", traceparent())
    user = sidecar.take("x-gray-tag: gray", traceparent(OTHER))
    call = sidecar.call(traceparent())
    assert (is_marked(call), call.decision.tag, call.decision.tag_source) == (True, "gray", "trace")
    assert not is_marked(sidecar.call(traceparent(OTHER)))
    copy.ended()
    user.ended()
    assert is_marked(sidecar.call(traceparent()))
    assert not is_marked(sidecar.call(traceparent(OTHER)))
    assert not is_marked(sidecar.call())


def test_what_is_inferred_is_a_copys_if_only_copies_are_inside() -> None:
    sidecar = Sidecar(infers=True)
    copies = [sidecar.take("x-gray-tag: gray", "X-Gray-Mirror: 1") for _ in range(2)]
    call = sidecar.call()
    assert (is_marked(call), call.decision.tag_source) == (True, "in_flight")
    user = sidecar.take("x-gray-tag: gray")
    assert not is_marked(sidecar.call())
    user.ended()
    assert is_marked(sidecar.call())
    for copy in copies:
        copy.ended()
    assert (sidecar.copies.inside, is_marked(sidecar.call())) == (0, False)


def test_ids_are_kept_for_as_long_as_a_copy_is_inside_and_a_while_after_that() -> None:
    memory, copies = TraceMemory(), CopyMemory(entries=100, ttl=60.0)
    memory.enter([b"x"], "gray", 0.0)
    visit = copies.enter(memory, [b"x"], "gray", 0.0)
    for now in (0.0, 40.0, 80.0, 120.0):
        assert copies.holds(b"x", now)
    visit.leave()
    assert not copies.holds(b"x", 120.0)
    assert not copies.is_used


def test_it_is_bounded() -> None:
    memory, copies = TraceMemory(), CopyMemory(entries=100, ttl=60.0)
    for number in range(1000):
        name = [b"%d" % number]
        memory.enter(name, "gray", 0.0)
        copies.enter(memory, name, "gray", 0.0).leave()
    assert len(copies.known()) <= 100
    assert copies.holds(b"999", 0.0)
    assert not copies.holds(b"0", 0.0)


def test_another_process_takes_over_what_is_known() -> None:
    memory, copies, other = TraceMemory(), CopyMemory(), CopyMemory()
    memory.enter([b"x"], "gray", 0.0)
    copies.enter(memory, [b"x"], "gray", 0.0)
    other.know(copies.known(), 5.0)
    assert (other.holds(b"x", 6.0), other.holds(b"y", 6.0), other.inside) == (True, False, 0)


def test_a_copy_that_waits_for_a_connection_is_outside_meanwhile_and_leaves_once() -> None:
    """As the first one does in front of every application."""
    sidecar = Sidecar(infers=True)
    user = sidecar.take("x-gray-tag: gray")
    copy = sidecar.take("x-gray-tag: gray", "X-Gray-Mirror: 1", traceparent())
    user.ended()
    copy.waits()
    assert (sidecar.copies.inside, dict(sidecar.memory.inside)) == (0, {})
    copy.goes_on()
    assert (sidecar.copies.inside, dict(sidecar.memory.inside)) == (1, {"gray": 1})
    assert is_marked(sidecar.call())
    copy.ended()
    assert (sidecar.copies.inside, dict(sidecar.memory.inside)) == (0, {})


def test_a_copy_that_waits_in_vain_leaves_nothing() -> None:
    sidecar = Sidecar()
    copy = sidecar.take("x-gray-tag: gray", "X-Gray-Mirror: 1", traceparent())
    copy.waits()
    copy.ended()
    assert (sidecar.copies.inside, dict(sidecar.memory.inside)) == (0, {})
