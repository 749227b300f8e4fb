"""A sidecar's two decisions: what it lets in and remembers, and where its service's own calls go, marked with what."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.instance import Instance
from gateway.routing.carriers import Carriers
from gateway.routing.memory import TraceMemory
from gateway.routing.past import PastTerms
from gateway.routing.peer import Peer
from gateway.routing.routes import RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.sidecar import InboundRouter, OutboundRouter
from gateway.routing.snapshot import Snapshot
from gateway.routing.verdict import Forward, NeedService, Refuse, Verdict
from tests.support.rules import compiled

APP = Instance("127.0.0.1", 20001)
BASE = Instance("10.0.0.1", 80)
GRAY = Instance("10.0.0.2", 80, "gray", metadata={"gray-sidecar": "b"})
PEER = Peer("10.1.1.1")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"


def request(*fields: str, target: str = "/x?a=1", host: str = "b", version: str = "1.1") -> Request:
    lines = [f"GET {target} HTTP/{version}", *([f"Host: {host}"] if host else []), *fields, "", ""]
    return HeadReader("x-gray-tag", keeps_forwarded=True).read("\r\n".join(lines).encode())


def snapshot(*groups: dict[str, Any], **services: tuple[Instance, ...]) -> Snapshot:
    views = {name: ServiceView(name, instances, Turns()) for name, instances in services.items()}
    return Snapshot(5, compiled(groups), RouteTable(()), views)


class In:
    """An inbound listener of service `a` with a tag."""

    def __init__(self, tag: str = "base", **router: Any) -> None:
        self.memory = TraceMemory()
        self._router = InboundRouter(snapshot(), Carriers(), self.memory, service="a", tag=tag, app=APP, **router)

    def route(self, *fields: str, **request_: Any) -> Verdict:
        return self._router.route(request(*fields, **request_), PEER, 1.0)

    def forward(self, *fields: str, **request_: Any) -> Forward:
        verdict = self.route(*fields, **request_)
        assert isinstance(verdict, Forward)
        return verdict


class Out:
    """An outbound listener of service `a`; service `b` has these instances."""

    def __init__(
        self, *groups: dict[str, Any], tag: str = "base", b: tuple[Instance, ...] = (BASE, GRAY), infers: bool = False
    ) -> None:
        self.memory = TraceMemory()
        self.router = OutboundRouter(snapshot(*groups, b=b), Carriers(), self.memory, tag, "a", infers=infers)

    def route(self, *fields: str, **request_: Any) -> Verdict:
        return self.router.route(request(*fields, **request_), PEER, 1.0)

    def forward(self, *fields: str, **request_: Any) -> Forward:
        verdict = self.route(*fields, **request_)
        assert isinstance(verdict, Forward)
        return verdict


def lane(group: dict[str, Any] | None = None, **lane: Any) -> dict[str, Any]:
    """A group with a lane for alice."""
    match = [{"header": "x-user", "equals": "alice"}]
    return {"name": "g", "lanes": [{"name": "l", "tag": "gray", "match": match, **lane}], **(group or {})}


def decided(verdict: Verdict) -> tuple[str, str, str, str]:
    decision = verdict.decision
    return decision.tag, decision.tag_source, decision.pool, decision.fallback


# --- inbound


class Bits:
    """The same random bits every time."""

    def getrandbits(self, _: int) -> int:
        return 0x7F3C2A915B8D4E609C1F00112233AABB


def test_an_inbound_request_gets_a_request_id_and_is_remembered_by_it() -> None:
    inbound = In(random_source=Bits())
    forward = inbound.forward("x-gray-tag: gray")
    assert b"\r\nX-Request-Id: 7f3c2a915b8d4e609c1f00112233aabb\r\n" in forward.head
    assert inbound.memory.known() == {b"request 7f3c2a915b8d4e609c1f00112233aabb": "gray"}


def test_a_request_id_that_came_is_kept_whatever_it_is() -> None:
    forward = In(random_source=Bits()).forward("x-gray-tag: gray", "x-request-id: 1")
    assert forward.head.lower().count(b"x-request-id") == 1


def test_without_the_setting_there_is_no_new_request_id() -> None:
    assert b"x-request-id" not in In().forward("x-gray-tag: gray").head.lower()


@pytest.mark.parametrize("meant", ["gray", "gray;service=a"])
def test_what_is_meant_for_this_instance_is_let_in(meant: str) -> None:
    forward = In("gray").forward(f"X-Gray-Hop: {meant}")
    assert (forward.instance, forward.decision.service, forward.decision.revision) == (APP, "a", 5)
    assert forward.decision.client_ip == "10.1.1.1"


@pytest.mark.parametrize("meant", ["base", "gray;service=b", "blue;service=a"])
def test_what_is_meant_for_another_one_is_refused_and_leaves_no_trace(meant: str) -> None:
    inbound = In("gray")
    verdict = inbound.route(f"X-Gray-Hop: {meant}", "x-gray-tag: blue", TRACEPARENT)
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.code, verdict.decision.error) == ("misdirected", "misdirected")
    assert verdict.decision.response_fields == b"\r\nX-Gray-Hop: misdirected"
    assert verdict.detail == "this is an instance of a with tag gray, not the intended one"
    assert inbound.memory.known() == {}


def test_its_identities_may_be_given() -> None:
    inbound = In("gray", identities=["one", "two;service=a"])
    assert [type(inbound.route(f"X-Gray-Hop: {name}")).__name__ for name in ("one", "two;service=a", "gray")] == [
        "InboundForward",
        "InboundForward",
        "Refuse",
    ]


def test_strangers_are_let_in_unless_it_says_otherwise() -> None:
    assert isinstance(In().route(), Forward)
    verdict = In(admits_all=False).route()
    assert isinstance(verdict, Refuse)
    assert verdict.failure.code == "not_from_mesh"
    assert verdict.detail == "this instance serves only requests from gateways and sidecars"
    assert isinstance(In(admits_all=False).route("X-Gray-Hop: base"), Forward)


@pytest.mark.parametrize(
    ("own", "field", "tag", "source", "remembered"),
    [
        ("base", "x-gray-tag: blue", "blue", "header", "blue"),
        ("gray", "baggage: x-gray-tag=blue", "blue", "baggage", "blue"),
        ("gray", "x-gray-tag: base", "base", "header", "base"),
        ("gray", "X-Other: 1", "base", "none", "gray"),  # what follows from it starts here
        ("base", "X-Other: 1", "base", "none", "base"),
    ],
)
def test_what_an_inbound_request_carries_is_remembered_for_as_long_as_it_is_under_way(
    own: str, field: str, tag: str, source: str, remembered: str
) -> None:
    inbound = In(own)
    forward = inbound.forward(field, TRACEPARENT)
    assert (forward.decision.tag, forward.decision.tag_source) == (tag, source)
    assert inbound.memory.recall(TRACE.encode(), 1.0) == remembered
    forward.ended()
    assert inbound.memory.recall(TRACE.encode(), 1.0) == (None if remembered == "base" else remembered)


def test_an_inbound_request_goes_on_as_it_came_with_its_carriers_healed() -> None:
    forward = In("gray").forward("baggage: k=v,x-gray-tag=gray", "X-Gray-Hop: gray", "X: y")
    assert (
        forward.head
        == (
            b"GET /x?a=1 HTTP/1.1\r\nHost: b\r\nX: y\r\n"
            b"x-gray-tag: gray\r\nbaggage: k=v,x-gray-tag=gray,x-gray-tag-rules=%b\r\nVia: 1.1 gray-gateway\r\n\r\n"
        )
        % forward.decision.rules.encode()
    )


def test_a_peer_is_trusted_on_both_sides() -> None:
    assert In()._router.is_trusted("192.0.2.1")
    assert Out().router.is_trusted("192.0.2.1")


# --- outbound


def test_an_unmarked_call_goes_to_the_baseline_and_says_whom_it_means() -> None:
    forward = Out().forward("X: y")
    assert decided(forward) == ("base", "none", "base", "")
    assert (forward.instance, forward.target_line) == (BASE, b"X-Gray-Hop: base\r\n")
    assert forward.head == (
        b"GET /x?a=1 HTTP/1.1\r\nHost: b\r\nX: y\r\nX-Gray-Hop: base\r\nVia: 1.1 gray-gateway\r\n\r\n"
    )
    assert (forward.decision.service, forward.decision.revision, forward.decision.client_ip) == ("b", 5, "10.1.1.1")


def test_a_marked_call_goes_to_its_lane_and_carries_the_tag_on() -> None:
    forward = Out().forward("x-gray-tag: gray")
    assert decided(forward) == ("gray", "header", "gray", "")
    assert forward.instance == GRAY
    assert (
        forward.head
        == (
            b"GET /x?a=1 HTTP/1.1\r\nHost: b\r\nX-Gray-Hop: gray;service=b\r\n"
            b"x-gray-tag: gray\r\nbaggage: x-gray-tag=gray,x-gray-tag-rules=%b\r\nVia: 1.1 gray-gateway\r\n\r\n"
        )
        % forward.decision.rules.encode()
    )


def test_a_mark_survives_where_nobody_carries_it() -> None:
    forward = Out(b=(BASE,)).forward("x-gray-tag: gray")
    assert decided(forward) == ("gray", "header", "base", "absent")
    assert b"\r\nx-gray-tag: gray\r\n" in forward.head


def test_what_the_call_carries_counts_more_than_what_is_remembered_and_that_more_than_the_own_tag() -> None:
    out = Out(tag="own")
    out.memory.enter([TRACE.encode()], "gray", 1.0)
    assert decided(out.forward("x-gray-tag: blue", "baggage: x-gray-tag=gray", TRACEPARENT))[:2] == ("blue", "header")
    assert decided(out.forward("baggage: x-gray-tag=blue", TRACEPARENT))[:2] == ("blue", "baggage")
    assert decided(out.forward(TRACEPARENT)) == ("gray", "trace", "gray", "")
    assert decided(out.forward())[:2] == ("own", "instance")
    assert decided(Out().forward(TRACEPARENT))[:2] == ("base", "none")


def test_of_requests_that_nothing_tells_apart_the_calls_are_unmarked() -> None:
    """Also at an instance with a tag of its own, and where a rule would mark them."""
    out = Out(lane({"entry": ["a"]}), tag="gray")
    for tag in ("gray", "base"):
        out.memory.enter([TRACE.encode()], tag, 1.0)
    assert decided(out.forward(TRACEPARENT, "X-User: alice")) == ("base", "ambiguous", "base", "")
    assert out.router.ambiguous == 1


def test_a_call_of_nobody_whose_callee_has_to_be_learned_is_counted_once() -> None:
    out = Out()
    for tag in ("gray", "base"):
        out.memory.enter([TRACE.encode()], tag, 1.0)
    assert isinstance(out.route(TRACEPARENT, host="c"), NeedService)
    out.router.snapshot = snapshot(c=(BASE, GRAY))
    assert decided(out.forward(TRACEPARENT, host="c"))[:2] == ("base", "ambiguous")
    assert out.router.ambiguous == 1


@pytest.mark.parametrize("target", ["/x", "http://Shop_B/x"])
def test_a_service_with_an_underscore_is_found_and_called_by_a_host_that_servers_accept(target: str) -> None:
    """Tomcat refuses `Host: Shop_B`."""
    out = Out()
    out.router.snapshot = snapshot(Shop_B=(BASE,))
    for host in ("Shop_B", "shop_b:80"):
        verdict = out.router.route(request(target=target, host=host), PEER, 1.0)
        assert isinstance(verdict, Forward)
        assert (verdict.decision.service, verdict.instance) == ("Shop_B", BASE)
        hosts = [line for line in verdict.head.split(b"\r\n") if line.lower().startswith(b"host:")]
        assert [line.lower() for line in hosts] == [
            b"host: shop-b" + (b":80" if ":80" in host and target == "/x" else b"")
        ]


def test_traffic_that_starts_here_is_matched() -> None:
    forward = Out(lane()).forward("X-User: alice")
    assert decided(forward) == ("gray", "rule", "gray", "")
    assert (forward.decision.group, forward.decision.lane) == ("g", "l")
    assert decided(Out(lane()).forward("X-User: bob")) == ("base", "none", "base", "")


@pytest.mark.parametrize(
    ("condition", "matches"),
    [
        ({"service": {"equals": "b"}}, True),
        ({"service": {"equals": "a"}}, False),
        ({"caller": {"equals": "a"}}, True),
        ({"caller": {"equals": "b"}}, False),
        ({"caller_tag": {"equals": "base"}}, True),
        ({"caller_tag": {"equals": "gray"}}, False),
        ({"client_ip": {"in": ["10.1.1.1"]}}, True),
        ({"client_ip": {"in": ["10.1.1.2"]}}, False),
    ],
)
def test_a_rule_here_knows_who_calls_whom(condition: dict[str, Any], matches: bool) -> None:
    assert decided(Out(lane(match=[condition])).forward())[1] == ("rule" if matches else "none")


def test_a_tag_that_may_not_use_the_service_is_carried_past_it() -> None:
    out = Out(lane({"services": ["c"]}))
    assert decided(out.forward("x-gray-tag: gray")) == ("gray", "header", "base", "not_in_group")
    assert decided(out.forward("x-gray-tag: base")) == ("base", "header", "base", "")
    assert decided(Out(lane({"services": ["b"]})).forward("x-gray-tag: gray")) == ("gray", "header", "gray", "")


@pytest.mark.parametrize("strict", [True, False])
def test_a_strict_tag_gets_its_pool_or_nothing(strict: bool) -> None:
    verdict = Out(lane(strict=strict), b=(BASE,)).route("x-gray-tag: gray")
    if strict:
        assert isinstance(verdict, Refuse)
        assert verdict.failure.code == "lane_unavailable"
        assert isinstance(Out(lane(strict=True), b=(BASE,)).route(), Forward)
    else:
        assert decided(verdict)[3] == "absent"


def test_a_service_without_a_usable_baseline_is_refused() -> None:
    verdict = Out(b=(GRAY,)).route()
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.code, verdict.decision.instance) == ("no_instances", None)


def test_a_service_that_is_not_known_is_to_be_learned() -> None:
    verdict = Out().route("x-gray-tag: gray", host="c")
    assert isinstance(verdict, NeedService)
    assert (verdict.service, verdict.decision.service, verdict.decision.tag) == ("c", "c", "gray")


def test_a_service_is_found_whatever_the_case_of_its_letters() -> None:
    out = Out()
    out.router.snapshot = snapshot(OrderService=(BASE,), other=())
    assert out.forward(host="orderservice").decision.service == "OrderService"
    assert out.forward(host="OrderService:8080").decision.service == "OrderService"
    assert isinstance(out.route(host="Nobody"), NeedService)


def test_a_call_to_nobody_is_refused() -> None:
    verdict = Out().route(host="", version="1.0")
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.code, verdict.detail) == ("no_service", "the Host field must name the service to call")


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("http://b/y?z=1", b"GET /y?z=1 HTTP/1.1\r\n"),
        ("http://b/y", b"GET /y HTTP/1.1\r\n"),
        ("http://b", b"GET / HTTP/1.1\r\n"),
    ],
)
def test_a_call_through_a_proxys_target_reaches_the_service_in_the_plain_form(target: str, line: bytes) -> None:
    head = Out().forward(target=target, host="elsewhere").head
    assert head.startswith(line)
    assert head.count(b"Host: ") == 1
    assert b"\r\nHost: b\r\n" in head


@pytest.mark.parametrize("host", ["127.64.0.1:20201", "nobody", "c"])
def test_the_address_that_was_connected_to_names_the_callee_whatever_the_host_says(host: str) -> None:
    out = Out(b=(BASE, GRAY))
    to_b = Peer("127.0.0.1", True, callee="b")
    verdict = out.router.route(request("x-gray-tag: gray", host=host), to_b, 1.0)
    assert isinstance(verdict, Forward)
    assert (verdict.decision.service, verdict.instance) == ("b", GRAY)
    assert f"Host: {host}\r\n".encode() in verdict.head


# --- what is inferred


@pytest.mark.parametrize("fields", [(), ("traceparent: 00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-00f067aa0ba902b7-01",)])
def test_a_call_takes_the_tag_that_all_requests_inside_have_in_common(fields: tuple[str, ...]) -> None:
    out = Out(infers=True)
    out.memory.enter([], "gray", 0.0)
    out.memory.enter([], "gray", 0.0)
    assert decided(out.forward(*fields)) == ("gray", "in_flight", "gray", "")
    out.memory.enter([], "base", 0.0)
    assert decided(out.forward(*fields)) == ("base", "none", "base", "")
    assert out.router.inferred == 1


def test_what_a_call_carries_comes_before_what_is_inferred() -> None:
    out = Out(infers=True)
    out.memory.enter([], "gray", 0.0)
    assert decided(out.forward("x-gray-tag: blue"))[:2] == ("blue", "header")
    out.memory.enter([TRACE.encode()], "gray", 0.0)
    assert decided(out.forward(TRACEPARENT))[:2] == ("gray", "trace")
    assert out.router.inferred == 0


def test_a_call_whose_callee_has_to_be_learned_is_inferred_once() -> None:
    out = Out(infers=True)
    out.memory.enter([], "gray", 0.0)
    assert isinstance(out.route(host="c"), NeedService)
    out.router.snapshot = snapshot(c=(BASE, GRAY))
    assert decided(out.forward(host="c"))[:2] == ("gray", "in_flight")
    assert out.router.inferred == 1


def test_nothing_is_inferred_unless_the_settings_say_so_or_somebody_is_inside() -> None:
    out = Out()
    out.memory.enter([], "gray", 0.0)
    assert decided(out.forward())[:2] == ("base", "none")
    assert decided(Out(infers=True).forward())[:2] == ("base", "none")


# --- one version of the rules


class Changing:
    """The outbound listener of service `a` while a lane changes: what it was, and what it is."""

    def __init__(self, before: dict[str, Any], after: dict[str, Any], *instances: Instance) -> None:
        self.before, now = compiled([before]).terms, compiled([after])
        past = PastTerms()
        past.keep(self.before, 0.5)
        view = ServiceView("b", instances or (BASE, GRAY), Turns(), now.terms.rejoining("b"))
        self.now = now.terms
        self.memory = TraceMemory()
        router_snapshot = Snapshot(6, now, RouteTable(()), {"b": view}, past)
        self.router = OutboundRouter(router_snapshot, Carriers(), self.memory, "base", "a")

    def route(self, rules: str, *fields: str) -> Verdict:
        baggage = f"baggage: x-gray-tag=gray,x-gray-tag-rules={rules}" if rules else "x-gray-tag: gray"
        return self.router.route(request(baggage, *fields), PEER, 1.0)


def test_a_marked_call_reaches_the_services_that_its_lane_had() -> None:
    change = Changing(lane({"services": ["a", "b"]}), lane({"services": ["a"]}))
    assert decided(change.route(change.before.digest))[2:] == ("gray", "")
    assert decided(change.route(change.now.digest))[2:] == ("base", "not_in_group")
    assert decided(change.route(""))[2:] == ("base", "not_in_group")


def test_a_marked_call_is_as_strict_as_its_lane_was() -> None:
    change = Changing(lane(strict=True), lane(), BASE)
    refused = change.route(change.before.digest)
    assert isinstance(refused, Refuse)
    assert refused.decision.error == "lane_unavailable"
    assert decided(change.route(change.now.digest))[2:] == ("base", "absent")


def test_a_marked_call_falls_back_to_the_baseline_as_it_was() -> None:
    """Another lane has been closed since, and its instances have rejoined the baseline."""
    other = {"name": "m", "tag": "blue", "match": [{"param": "x", "equals": "y"}]}
    both = lane()["lanes"]
    group = {"name": "g", "baseline": "closed_lanes_rejoin"}
    blue = Instance("10.0.0.3", 80, "blue")
    change = Changing(
        {**group, "lanes": [*both, other]}, {**group, "lanes": [*both, {**other, "enabled": False}]}, BASE, blue
    )
    seen = {rules: set[str]() for rules in (change.before.digest, change.now.digest)}
    for rules, addresses in seen.items():
        for _ in range(4):
            verdict = change.route(rules)
            assert isinstance(verdict, Forward)
            addresses.add(verdict.instance.address)
    assert list(seen.values()) == [{BASE.address}, {BASE.address, blue.address}]


def test_terms_that_are_remembered_count_if_none_are_carried() -> None:
    change = Changing(lane({"services": ["a", "b"]}), lane({"services": ["a"]}))
    change.memory.enter([TRACE.encode()], "gray", 0.9, change.before.digest)
    assert decided(change.route("", TRACEPARENT)) == ("gray", "header", "gray", "")
    remembered = change.router.route(request(TRACEPARENT), PEER, 1.0)
    assert decided(remembered) == ("gray", "trace", "gray", "")
    assert remembered.decision.rules == change.before.digest


def test_unknown_terms_are_those_in_force_and_go_on_as_they_came() -> None:
    change = Changing(lane({"services": ["a", "b"]}), lane({"services": ["a"]}))
    verdict = change.route("0" * 12)
    assert decided(verdict)[2:] == ("base", "not_in_group")
    assert isinstance(verdict, Forward)
    assert (verdict.decision.rules, verdict.decision.unknown_rules) == (change.now.digest, "0" * 12)
    assert b"x-gray-tag-rules=000000000000\r\n" in verdict.head


def test_what_comes_in_without_terms_gets_those_in_force_here() -> None:
    """A chain that begins at this instance sees one version from here on."""
    inbound = In("gray")
    digest = inbound.forward("x-gray-tag: gray", TRACEPARENT).decision.rules
    assert digest == compiled([]).terms.digest
    assert inbound.memory.rules_of(TRACE.encode()) == digest
    later = In("gray").forward(f"baggage: x-gray-tag=gray,x-gray-tag-rules={'0' * 12}", TRACEPARENT)
    assert later.decision.rules == "0" * 12


def test_unmarked_requests_carry_no_terms() -> None:
    inbound = In()
    forward = inbound.forward("X: y", TRACEPARENT)
    assert forward.decision.rules == inbound.memory.rules_of(TRACE.encode()) == ""
    assert b"baggage" not in forward.head


def test_a_drill_reaches_the_calls_of_marked_requests_alone() -> None:
    """A sidecar knows the tag, and no more of the lane."""
    group = {**lane(), "entry": ["elsewhere"]}
    group["lanes"][0]["fault"] = {"services": ["b"], "abort": 503}
    out = Out(group)
    refused = out.route("x-gray-tag: " + group["lanes"][0]["tag"])
    assert isinstance(refused, Refuse)
    assert (refused.failure.status, refused.decision.error) == (503, "fault_injected")
    assert refused.decision.response_fields == b"\r\nX-Gray-Fault: abort"
    assert out.forward().decision.fault is None


def test_the_marks_of_a_copy_go_in_and_out() -> None:
    """Of a lane that mirrors: an application may leave something out for a copy, and tell others."""
    marks = ("X-Gray-Mirror: 1", "baggage: x-gray-tag=gray,x-gray-mirror=1", "x-gray-tag: gray")
    for head in (In("gray").forward(*marks).head, Out(lane()).forward(*marks).head):
        assert b"\r\nX-Gray-Mirror: 1\r\n" in head
        assert b"x-gray-mirror=1" in head
