"""A sidecar notices calls that lost the tag of the request they belong to, and takes nothing else for one."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.routing.carriers import Carriers
from gateway.routing.decision import Decision
from gateway.routing.escapes import CHANGED, MAX_CALLEES, NO_ID, UNKNOWN_ID, EscapeDetector
from gateway.routing.memory import TraceMemory
from gateway.telemetry.counters import Traffic
from gateway.telemetry.names import MOST, OTHER

OWN = b"4bf92f3577b34da6a3ce929d0e0e4736"
OTHERS = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


class Sidecar:
    """Requests are inside by tag and trace id; the application calls out."""

    def __init__(self) -> None:
        self.memory = TraceMemory()
        self.traffic = Traffic()
        self.told: list[tuple[str, str, str]] = []
        self._detector = EscapeDetector(Carriers(), self.memory, self.traffic, lambda *told: self.told.append(told))

    def call(self, *fields: str, source: str = "none", tag: str = "base", to: str = "c") -> str:
        decision = Decision(1)
        decision.service, decision.tag, decision.tag_source = to, tag, source
        self._detector.check(request(*fields), decision, 1.0)
        self.lost_tag = decision.lost_tag
        return decision.lost


def request(*fields: str) -> Request:
    lines = ["GET / HTTP/1.1", "Host: c", *fields, "", ""]
    return HeadReader("x-gray-tag", keeps_forwarded=True).read("\r\n".join(lines).encode())


def traceparent(trace_id: str) -> str:
    return f"traceparent: 00-{trace_id}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("fields", "why"),
    [((), NO_ID), ((traceparent(OTHERS),), UNKNOWN_ID), (("x-request-id: 7d4f0ac2b61e4f0e8a35",), UNKNOWN_ID)],
)
def test_if_all_requests_inside_are_marked_a_call_without_their_tag_has_lost_it(
    fields: tuple[str, ...], why: str
) -> None:
    sidecar = Sidecar()
    sidecar.memory.enter([OWN], "gray", 0.0)
    sidecar.memory.enter([], "gray", 0.0)
    assert sidecar.call(*fields) == why
    assert sidecar.traffic.lost == {("c", "gray", why): 1}


def test_nothing_is_lost_while_no_marked_request_is_inside() -> None:
    sidecar = Sidecar()
    assert sidecar.call() == ""
    sidecar.memory.enter([], "base", 0.0)
    assert sidecar.call() == ""
    sidecar.memory.enter([OWN], "gray", 0.0).leave()
    assert sidecar.call() == ""
    assert sidecar.traffic.lost == {}


@pytest.mark.parametrize("source", ["instance", "rule", "inferred", "ambiguous", "trace"])
def test_a_call_that_is_marked_or_known_for_another_reason_is_not_lost(source: str) -> None:
    sidecar = Sidecar()
    sidecar.memory.enter([OWN], "gray", 0.0)
    assert sidecar.call(source=source, tag="gray") == ""


def test_among_unmarked_requests_a_call_is_lost_if_no_call_to_the_service_has_carried_anything() -> None:
    sidecar = Sidecar()
    sidecar.memory.enter([], "base", 0.0)
    sidecar.memory.enter([OWN], "gray", 0.0)
    assert sidecar.call() == NO_ID
    assert sidecar.call(source="trace", tag="gray") == ""
    assert sidecar.call() == "", "calls to it carry an id, so that this one belongs to somebody else"
    assert sidecar.call(to="d") == NO_ID, "of another service nothing is known"
    assert sidecar.traffic.lost == {("c", "gray", NO_ID): 1, ("d", "gray", NO_ID): 1}


@pytest.mark.parametrize(("inside", "carried"), [("gray", "blue"), ("gray", "base"), ("base", "gray")])
@pytest.mark.parametrize("source", ["header", "baggage"])
def test_a_call_with_another_tag_than_the_request_with_its_id_has_lost_it(
    inside: str, carried: str, source: str
) -> None:
    """An application that keeps the tag in a thread's variable sends the last request's: into gray, too."""
    sidecar = Sidecar()
    sidecar.memory.enter([OWN], inside, 0.0)
    assert sidecar.call(traceparent(OWN.decode()), source=source, tag=carried) == CHANGED
    assert sidecar.traffic.lost == {("c", inside, CHANGED): 1}


def test_a_tag_is_not_changed_if_the_id_is_unknown_shared_or_missing() -> None:
    sidecar = Sidecar()
    for tag in ("gray", "blue"):
        sidecar.memory.enter([OWN], tag, 0.0)
    assert sidecar.call(traceparent(OWN.decode()), source="header", tag="base") == ""
    assert sidecar.call(traceparent(OTHERS), source="header", tag="gray") == ""
    assert sidecar.call(source="header", tag="gray") == ""


def test_each_kind_of_loss_is_told_once_however_many_names_there_are() -> None:
    sidecar = Sidecar()
    sidecar.memory.enter([], "gray", 0.0)
    for _ in range(2):
        for number in range(MAX_CALLEES + 5):
            sidecar.call(to=f"s{number}")
            sidecar.call(source="header", tag="gray", to=f"t{number}")
    assert len(sidecar.told) == MOST + 1
    assert len(sidecar.traffic.lost) == MOST + 1
    assert sidecar.traffic.lost[OTHER, OTHER, NO_ID] == 2 * (MAX_CALLEES + 5 - MOST)


def test_reading_the_carriers_and_noticing_go_together() -> None:
    """What `Carriers` calls a source is what the detector knows: a rename on one side would make it blind."""
    sidecar = Sidecar()
    sidecar.memory.enter([OWN], "blue", 0.0)
    for field in ("x-gray-tag: gray", "baggage: x-gray-tag=gray"):
        decision = Decision(1)
        assert Carriers().read(request(field), decision)
        source, tag = decision.tag_source, decision.tag
        assert sidecar.call(field, traceparent(OWN.decode()), source=source, tag=tag) == CHANGED


def test_the_tag_that_was_lost_is_named_if_it_can_be_only_one() -> None:
    sidecar = Sidecar()
    sidecar.memory.enter([], "gray", 0.0)
    assert (sidecar.call(), sidecar.lost_tag) == ("no_id", "gray")
    sidecar.memory.enter([], "base", 0.0)
    assert (sidecar.call(), sidecar.lost_tag) == ("no_id", "gray")
    sidecar.memory.enter([], "blue", 0.0)
    assert (sidecar.call(), sidecar.lost_tag) == ("no_id", "")
    assert sum(sidecar.traffic.lost.values()) == 3
