"""The path of a request through services, from what each program saw of it."""

from __future__ import annotations

import pytest

from gateway.live.chains import MOST, beside, chain_of
from gateway.live.store import Stored
from gateway.telemetry.request_record import Reporter, RequestRecord
from tests.support.records import marked

GATEWAY = Reporter("gateway")
A = Reporter("a", "sidecar", "gray", "192.0.2.1:80")
B = Reporter("b", "sidecar", "base", "192.0.2.2:80")
C = Reporter("c", "sidecar", "gray", "192.0.2.3:80")


def call(to: Reporter, time: float, seconds: float, **values: object) -> RequestRecord:
    """An outbound call, or that of the entry."""
    plain = {"service": to.name, "pool": to.tag, "instance": to.address, "listener": "outbound"}
    return marked(time=time, duration_us=int(seconds * 1e6), **plain | values)


def received(by: Reporter, time: float, seconds: float) -> Stored:
    return stored(by, call(by, time, seconds, listener="inbound", instance="127.0.0.1:1"))


def stored(by: Reporter, record: RequestRecord) -> Stored:
    return Stored(1, by, record)


ENTRY = stored(GATEWAY, call(A, 1.0, 1.0, listener="entry"))
A_TO_B = stored(A, call(B, 1.2, 0.6, fallback="absent"))
B_TO_C = stored(B, call(C, 1.4, 0.2))


def paths(*found: Stored) -> list[str]:
    return [hop.path() for hop in chain_of(found)]


def test_the_scenario() -> None:
    """Gray where gray exists, baseline where it does not, and gray again behind it. Records come in any order."""
    assert paths(B_TO_C, ENTRY, A_TO_B) == ["a gray → b → c gray"]


def test_each_hop_has_what_its_receiver_saw() -> None:
    at_a, at_b = received(A, 1.1, 0.8), received(B, 1.3, 0.4)
    [first] = chain_of([at_b, at_a, ENTRY, A_TO_B, B_TO_C])
    [second] = first.calls
    [third] = second.calls
    assert (first.arrival, second.arrival, third.arrival) == (at_a, at_b, None)
    shown = first.as_dict()
    assert (shown["label"], shown["tag_lost"]) == ("a gray", False)
    assert shown["arrival"] == at_a.as_dict()
    assert [item["label"] for item in shown["calls"]] == ["b"]  # type: ignore[attr-defined]


def test_a_record_that_is_missing_leaves_two_pieces() -> None:
    assert paths(ENTRY, B_TO_C) == ["a gray", "c gray"]


def test_several_calls_of_one_service() -> None:
    again = stored(A, call(C, 1.85, 0.1))
    assert paths(ENTRY, A_TO_B, B_TO_C, again) == ["a gray → [b → c gray, c gray]"]


def test_times_decide_between_two_calls_of_the_same_instance() -> None:
    first, second = stored(A, call(B, 1.1, 0.2)), stored(A, call(B, 1.5, 0.3))
    to_c = stored(B, call(C, 1.6, 0.1))
    [entry] = chain_of([ENTRY, first, second, to_c])
    assert [call.path() for call in entry.calls] == ["b", "b → c gray"]


def test_clocks_may_differ() -> None:
    """Nothing lies inside anything; there is one place all the same where each belongs."""
    assert paths(ENTRY, A_TO_B, stored(B, call(C, 900.0, 0.2))) == ["a gray → b → c gray"]


def test_services_that_call_each_other_make_no_circle() -> None:
    b_to_a = stored(B, call(A, 1.3, 0.2))
    assert paths(A_TO_B, b_to_a) in (["b → a gray"], ["a gray → b"])
    back = stored(A, call(B, 1.35, 0.1))
    assert paths(ENTRY, A_TO_B, b_to_a, back) == ["a gray → b → a gray → b"]


@pytest.mark.parametrize(("tag", "is_lost"), [("gray", False), ("base", True)])
def test_a_call_without_the_tag_that_led_to_it_is_told(tag: str, is_lost: bool) -> None:
    [entry] = chain_of([ENTRY, stored(A, call(B, 1.2, 0.6, tag=tag))])
    assert [call.is_lost for call in entry.calls] == [is_lost]


def test_what_no_service_was_asked_for() -> None:
    [entry] = chain_of([stored(GATEWAY, marked(service="", pool="base"))])
    assert entry.path() == "(no service)"


def test_of_a_trace_that_everybody_has_only_the_latest_records_are_joined() -> None:
    many = [stored(GATEWAY, call(A, float(number), 0.1, listener="entry")) for number in range(MOST + 50)]
    found = chain_of(many)
    assert (len(found), found[0].stored.record.time) == (MOST, 50.0)


def test_what_went_on_without_the_trace() -> None:
    """While the trace lasted, of other programs, and marked or lost: an application that forwards only the tag, or nothing."""
    entry = stored(GATEWAY, call(A, 1.0, 1.0, listener="entry", trace_id="t"))
    carried, lost = stored(A, call(B, 1.5, 0.1)), stored(B, call(C, 1.4, 0.1, tag="base", lost="no_id"))
    others = [
        stored(A, call(B, 1.6, 0.1, tag="base")),
        stored(A, call(B, 2.5, 0.1)),
        stored(A, call(B, 0.5, 0.1)),
        stored(GATEWAY, call(A, 1.1, 0.1, listener="entry")),
    ]
    assert beside([entry, carried, lost, *others], "t") == [lost, carried]
    assert beside([carried], "t") == []
