"""How a probe's tag travelled, from what programs recorded."""

from __future__ import annotations

from typing import Any

from gateway.app.doctor.hops import MOST_HOPS, Walk

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GATEWAY = {"name": "gateway", "role": "entry", "tag": "base", "address": ""}
A = {"name": "a", "role": "sidecar", "tag": "gray", "address": "192.0.2.1:80"}
B = {"name": "b", "role": "sidecar", "tag": "base", "address": "192.0.2.2:80"}


def call(by: dict[str, str], to: dict[str, str], time: float, **values: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "reporter": by,
        "listener": "outbound" if by["role"] == "sidecar" else "entry",
        "time": time,
        "duration_us": 1_000_000,
        "service": to["name"],
        "instance": to["address"],
        "tag": "gray",
        "tag_source": "trace",
        "pool": to["tag"],
        "fallback": None,
        "lost": None,
        "status": 200,
        "cause": None,
        "trace_id": TRACE,
    }
    return plain | values


def walked(
    chain: list[dict[str, Any]], *records: dict[str, Any], sidecars: tuple[str, ...] = ()
) -> list[tuple[str, str]]:
    walk = Walk(sidecars)
    walk.follow(chain, records)
    assert all(finding.hint for finding in walk.findings + walk.missing if finding.state != "ok")
    return [(f"{finding.state} {finding.subject}", finding.message) for finding in walk.findings + walk.missing]


ENTRY = call(GATEWAY, A, 1.0, tag_source="rule", arrival={})
AT_ENTRY = ("ok gateway → a", "tag gray, given by a rule; served by gray")


def test_a_hop_whose_receiver_has_told_of_it_and_made_no_call_is_the_end() -> None:
    assert walked([ENTRY | {"arrival": {"listener": "inbound"}}]) == [AT_ENTRY]


def test_nothing_recorded_is_said() -> None:
    assert walked([]) == [("failed the entry", "has no record of the probe")]


def test_a_sidecar_that_is_known_is_said_to_deliver_nothing() -> None:
    silent = ("failed a", "the sidecar at 192.0.2.1:80 has delivered no record of it")
    assert walked([ENTRY], sidecars=("192.0.2.1:80",)) == [AT_ENTRY, silent]


def test_a_call_that_keeps_the_trace_and_has_another_tag() -> None:
    changed = call(A, B, 1.1, tag="blue", tag_source="header", lost="changed")
    assert walked([ENTRY | {"calls": [changed]}])[1] == (
        "failed a → b",
        "tag gray is lost: the call carries another tag than the request with its trace id",
    )


def test_a_call_beside_the_trace_is_found_by_its_sender_and_the_time() -> None:
    lost = call(A, B, 1.5, tag="base", tag_source="none", trace_id="other", lost="unknown_id")
    before, after = call(A, B, 0.9, trace_id=None), call(A, B, 2.1, trace_id=None)
    of_another_lane = call(A, B, 1.4, trace_id=None, tag="blue")
    others = (before, after, of_another_lane, call(B, A, 1.5, trace_id=None))
    message = "tag gray is lost: the call carries a trace id that no request of the application has"
    assert walked([ENTRY], *others, lost) == [AT_ENTRY, ("failed a → b", message)]


def test_an_application_that_traces_one_call_and_loses_another() -> None:
    kept = call(A, B, 1.1, arrival={"listener": "inbound"})
    lost = call(
        A, {"name": "c", "tag": "base", "address": "192.0.2.3:80"}, 1.2, tag="base", lost="no_id", trace_id=None
    )
    found = walked([ENTRY | {"calls": [kept]}], lost, call(A, B, 1.3, trace_id=None))
    assert [subject for subject, _ in found] == ["ok gateway → a", "ok a → b", "failed a → c"]


def test_a_failing_service_ends_what_can_be_seen() -> None:
    failed = ENTRY | {"status": 502, "cause": "connect_failed", "arrival": {"listener": "inbound"}}
    assert walked([failed]) == [("warning gateway → a", "tag gray, given by a rule; served by gray; status 502")]


def test_services_that_call_each_other_make_no_endless_walk() -> None:
    to_b, to_a = call(A, B, 1.2, trace_id=None), call(B, A, 1.3, trace_id=None)
    assert len(walked([ENTRY], to_b | {"duration_us": 10**8}, to_a | {"duration_us": 10**8})) <= MOST_HOPS


def test_clocks_may_differ_a_little() -> None:
    """Who receives a call may see it a moment before it was made, and what it calls in turn as well."""
    received = call(GATEWAY, A, 0.96, reporter=A, listener="inbound", trace_id="other")
    assert walked([ENTRY], received) == [AT_ENTRY]
    assert walked([ENTRY], received | {"time": 0.9})[1:] != []
    made = call(A, B, 0.96, tag="base", tag_source="none", trace_id="other", lost="unknown_id")
    assert walked([ENTRY], made)[1][0] == "failed a → b"


def test_a_call_within_the_hop_is_the_probes_rather_than_one_just_before_or_after() -> None:
    near = [call(A, B, time, tag_source="instance", trace_id=None) for time in (0.96, 2.01)]
    own = call(A, B, 1.99, tag_source="header", trace_id=None, arrival={"listener": "inbound"})
    carried = ("ok a → b", "tag gray, carried by the tag header; served by base")
    assert walked([ENTRY], near[0], own, near[1]) == [AT_ENTRY, carried]
    # Alone, the nearer one may be it, as clocks go.
    assert walked([ENTRY], *near)[1] == ("ok a → b", "tag gray, that of the calling instance; served by base")
