"""The entry's decision: a tag that a trusted client sent is bound by its lane's terms like one that a rule gave."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from gateway.http.head_reader import HeadReader
from gateway.instance import Instance
from gateway.routing.carriers import Carriers
from gateway.routing.conditions import RouteTest, ValueTest
from gateway.routing.debug import DebugAccess
from gateway.routing.decision import Decision
from gateway.routing.entry import EntryRouter
from gateway.routing.peer import Peer
from gateway.routing.replies import RouteResponse
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.routing.tagsigner import TagSigner
from gateway.routing.verdict import Forward, NeedBody, Refuse, Reply, Verdict
from gateway.rules.model import LaneGroup
from gateway.rules.signer import CookieSigner
from tests.support.rules import NOW, compiled

BASE = Instance("10.0.0.1", 1)
GRAY = Instance("10.0.0.1", 2, "gray")


def decide(target: str, *fields: str, instances: tuple[Instance, ...] = (BASE, GRAY), **lane: Any) -> Decision:
    """What is decided for a request of a trusted client; the lane is limited to services a and c."""
    group = {
        "name": "demo",
        "services": ["a", "c"],
        "lanes": [{"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}], **lane}],
    }
    routes = RouteTable([Route("/A", "a"), Route("/B", "b")])
    views = {name: ServiceView(name, instances, Turns()) for name in ("a", "b")}
    snapshot = Snapshot(1, compiled([LaneGroup.model_validate(group)]), routes, views)
    router = EntryRouter(snapshot, Carriers(), random.Random(1), (ip_network("127.0.0.0/8"),))
    head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode()
    request = HeadReader("x-gray-tag", keeps_forwarded=True).read(head)
    return router.route(request, Peer("127.0.0.1", is_trusted=True), 0.0).decision


MARKED = pytest.mark.parametrize(
    "how",
    [("?group=gray",), ("", "x-gray-tag: gray"), ("", "baggage: x-gray-tag=gray")],
    ids=["by a rule", "by a trusted header", "by trusted baggage"],
)


@MARKED
def test_reaches_gray_where_the_lane_may_go(how: tuple[str, ...]) -> None:
    decision = decide("/A" + how[0], *how[1:])
    assert (decision.instance, decision.tag, decision.fallback) == (GRAY, "gray", "")


@MARKED
def test_keeps_its_tag_but_not_gray_where_the_lane_may_not_go(how: tuple[str, ...]) -> None:
    decision = decide("/B" + how[0], *how[1:])
    assert (decision.instance, decision.tag, decision.fallback) == (BASE, "gray", "not_in_group")


@MARKED
def test_gets_503_where_a_strict_lane_has_nobody(how: tuple[str, ...]) -> None:
    decision = decide("/A" + how[0], *how[1:], instances=(BASE,), strict=True)
    assert (decision.instance, decision.error) == (None, "lane_unavailable")


def test_a_trusted_tag_that_no_lane_has_falls_back_where_nobody_carries_it() -> None:
    decision = decide("/A", "x-gray-tag: blue")
    assert (decision.instance, decision.tag, decision.fallback, decision.error) == (BASE, "blue", "absent", "")


def test_a_trusted_client_that_sends_no_tag_is_matched() -> None:
    assert decide("/A?group=gray", "x-gray-tag: gr,ay").tag_source == "rule"
    assert decide("/A", "baggage: user=1").tag == "base"


# --- what is told the service, and what the client gets back


class Entry:
    """An entry with a lane for `?group=gray`; `/A` goes to service `a`, its prefix taken off, `/plain` there as it is."""

    def __init__(
        self,
        *instances: Instance,
        trusted: bool = False,
        sampled: float = 1.0,
        secret_of_debug: str = "",
        secret: str = "",
        **lane: Any,
    ) -> None:
        match = [{"param": "group", "equals": "gray"}]
        group = {"name": "demo", "lanes": [{"name": "gray", "tag": "gray", "match": match, **lane}]}
        signer = CookieSigner("gray-lane", secret, lambda: NOW) if secret else None
        routes = RouteTable([Route("/A", "a", strip_prefix=True), Route("/plain", "a"), Route("/B", "unknown")])
        view = ServiceView("a", instances or (BASE, GRAY), Turns())
        self.rules = compiled([group], signer=signer)
        networks = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))
        self.router = EntryRouter(
            Snapshot(1, self.rules, routes, {"a": view}),
            Carriers(),
            random.Random(1),
            networks,
            sampled,
            DebugAccess(secret_of_debug) if secret_of_debug else None,
        )
        self.is_trusted = trusted

    def route(self, target: str = "/A/x", *fields: str, ip: str = "10.0.0.9", scheme: str = "http") -> Verdict:
        head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: shop.example", *fields, "", ""]).encode()
        reader = HeadReader("x-gray-tag", keeps_forwarded=self.is_trusted, debug_header="x-gray-debug")
        return self.router.route(reader.read(head), Peer(ip, self.is_trusted, scheme), 0.0)

    def forward(self, target: str = "/A/x", *fields: str, ip: str = "10.0.0.9", scheme: str = "http") -> Forward:
        verdict = self.route(target, *fields, ip=ip, scheme=scheme)
        assert isinstance(verdict, Forward)
        return verdict

    def cookies(self, target: str = "/A/x", *fields: str, scheme: str = "http") -> list[bytes]:
        lines = self.forward(target, *fields, scheme=scheme).decision.response_fields
        return [line for line in lines.split(b"\r\n") if line]


TRACEPARENT = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MADE = re.compile(rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]\r\n")


def test_a_service_is_told_who_asked_for_what() -> None:
    head = Entry().forward("/A/x?y=1", TRACEPARENT).head
    assert head == (
        b"GET /x?y=1 HTTP/1.1\r\nHost: shop.example\r\n" + TRACEPARENT.encode() + b"\r\n"
        b"X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example\r\n"
        b"X-Forwarded-Prefix: /A\r\nX-Gray-Hop: base\r\nVia: 1.1 gray-gateway\r\n\r\n"
    )


def test_a_route_that_keeps_its_path_tells_no_prefix() -> None:
    forward = Entry().forward("/plain/x?group=gray", TRACEPARENT)
    assert (
        forward.head
        == (
            b"GET /plain/x?group=gray HTTP/1.1\r\nHost: shop.example\r\n" + TRACEPARENT.encode() + b"\r\n"
            b"X-Forwarded-For: 10.0.0.9\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example\r\n"
            b"x-gray-tag: gray\r\nbaggage: x-gray-tag=gray,x-gray-tag-rules=%b\r\n"
            b"X-Gray-Hop: gray\r\nVia: 1.1 gray-gateway\r\n\r\n"
        )
        % forward.decision.rules.encode()
    )
    assert (forward.stripped, Entry().forward().stripped) == (b"", b"/A")


@pytest.mark.parametrize("target", ["http://other.example/A/x?y=1", "http://other.example/plain/x?y=1"])
def test_a_proxys_target_becomes_a_plain_one(target: str) -> None:
    head = Entry().forward(target, TRACEPARENT).head
    assert head.startswith(b"GET " + (b"/x" if "/A/" in target else b"/plain/x") + b"?y=1 HTTP/1.1\r\n")
    assert head.count(b"\r\nHost: other.example\r\n") == 1
    assert b"\r\nX-Forwarded-Host: other.example\r\n" in head


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        ([], ["X-Forwarded-For: {ip}", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"]),
        (
            ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: front.example"],
            ["X-Forwarded-For: {ip}"],
        ),
        (["X-Forwarded-Proto: http"], ["X-Forwarded-For: {ip}", "X-Forwarded-Host: shop.example"]),
        (["X-Forwarded-Host: front.example"], ["X-Forwarded-For: {ip}", "X-Forwarded-Proto: https"]),
        (
            ["Forwarded: for=192.0.2.1"],
            [
                "X-Forwarded-For: {ip}",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Host: shop.example",
                "Forwarded: for={node}",
            ],
        ),
    ],
    ids=["nothing", "all of it", "the scheme", "the host", "in the standard's words"],
)
@pytest.mark.parametrize(("ip", "node"), [("10.0.0.9", "10.0.0.9"), ("2001:db8:1::9", '"[2001:db8:1::9]"')])
def test_what_a_trusted_proxy_said_is_kept_and_what_is_missing_is_added(
    said: list[str], lines: list[str], ip: str, node: str
) -> None:
    head = Entry(trusted=True).forward("/plain", *said, TRACEPARENT, ip=ip, scheme="https").head.decode()
    added = head.partition(TRACEPARENT + "\r\n")[2].split("\r\n")
    assert added[: added.index("X-Gray-Hop: base")] == [line.format(ip=ip, node=node) for line in lines]
    assert all(f"\r\n{line}\r\n" in head for line in said)


def test_the_prefix_is_added_to_the_one_that_a_trusted_proxy_took_off() -> None:
    head = Entry(trusted=True).forward("/A/x", "X-Forwarded-Prefix: /shop").head
    assert head.count(b"X-Forwarded-Prefix:") == 1
    assert b"\r\nX-Forwarded-Prefix: /shop/A\r\n" in head
    assert b"\r\nX-Forwarded-Prefix: /A\r\n" in Entry(trusted=True).forward("/A/x", "X-Forwarded-Proto: http").head


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("203.0.113.1, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.1, 192.0.2.1, 10.0.0.8", "192.0.2.1"),
        ("10.0.0.7, 10.0.0.8", "10.0.0.7"),
        ("192.0.2.1, unknown, 10.0.0.8", "10.0.0.8"),
        ("unknown", "10.0.0.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        (", ".join(["192.0.2.1"] * 40), "192.0.2.1"),
    ],
)
def test_the_client_is_the_nearest_that_is_no_trusted_proxy(chain: str, client: str) -> None:
    entry = Entry(trusted=True)
    for _ in range(2):  # what was worked out once is remembered
        assert entry.forward("/A/x", f"X-Forwarded-For: {chain}").decision.client_ip == client
    assert Entry().forward("/A/x", f"X-Forwarded-For: {chain}").decision.client_ip == "10.0.0.9"


def test_a_trace_is_made_where_there_is_none() -> None:
    entry = Entry()
    first, second = (MADE.search(entry.forward().head) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first[0] != second[0]
    assert entry.forward("/A/x", TRACEPARENT).head.count(b"traceparent") == 1


@pytest.mark.parametrize(("sampled", "share"), [(0.0, 0), (0.25, 25), (1.0, 100)])
def test_so_many_of_the_traces_made_here_are_sampled(sampled: float, share: int) -> None:
    entry = Entry(sampled=sampled)
    count = sum(b"-01\r\nX-Gray-Hop" in entry.forward("/plain").head for _ in range(1000))
    assert abs(count / 10 - share) <= 4


@pytest.mark.parametrize(
    ("debug", "allowed", "found"),
    [
        ("s3cret", True, (True, "", "none")),
        ("s3cret; lane=demo/gray", True, (True, "gray", "debug")),
        ("s3cret; lane=demo/gray", False, (True, "", "none")),
        ("s3cret; lane=demo/nobody", True, (True, "", "none")),
        ("wrong; lane=demo/gray", True, (False, "", "none")),
    ],
)
def test_who_has_the_secret_is_told_why_and_may_choose_a_lane_that_allows_it(
    debug: str, allowed: bool, found: tuple[bool, str, str]
) -> None:
    entry = Entry(secret_of_debug="s3cret", debug=allowed)
    decided = entry.forward("/A/x", f"x-gray-debug: {debug}").decision
    assert (decided.explains, decided.lane, decided.tag_source) == found


def test_without_a_secret_nobody_is_told_anything() -> None:
    assert not Entry().forward("/A/x", "x-gray-debug: ").decision.explains


STICKY: dict[str, Any] = {"match": [{"cookie": "uid", "percent": 100}], "sticky": "1d"}
EXPIRES = f"{int(NOW) + 86_400:x}"


def test_a_client_put_on_a_sticky_lane_gets_a_signed_cookie_until_it_has_a_fresh_one() -> None:
    entry = Entry(secret="k" * 32, **STICKY)
    (line,) = entry.cookies("/A/x", "Cookie: uid=1")
    name, _, rest = line.removeprefix(b"Set-Cookie: ").decode().partition("=")
    value, _, attributes = rest.partition("; ")
    assert (name, attributes) == ("gray-lane", "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax")
    assert value.startswith(f"demo/gray~{EXPIRES}~")
    assert entry.cookies("/A/x", f"Cookie: uid=1; gray-lane={value}") == []
    assert len(entry.cookies("/A/x", "Cookie: uid=1; gray-lane=demo/gray~ffffffff~x")) == 1


def test_without_a_secret_there_is_no_sticky_cookie() -> None:
    assert Entry(**STICKY).cookies("/A/x", "Cookie: uid=1") == []


def test_a_lane_that_is_not_sticky_gives_no_cookie() -> None:
    assert Entry(secret="k" * 32).cookies("/A/x?group=gray") == []


def test_who_has_no_key_is_given_one_and_judged_by_it() -> None:
    entry = Entry(match=[{"cookie": "visitor", "percent": 50, "issue": "30d"}])
    sides = set()
    for _ in range(40):
        forward = entry.forward()
        line = forward.decision.response_fields
        found = re.fullmatch(
            rb"\r\nSet-Cookie: visitor=([0-9a-f]{32}); Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax", line
        )
        assert found is not None
        again = entry.forward("/A/x", f"Cookie: visitor={found[1].decode()}").decision
        assert (again.lane, again.response_fields) == (forward.decision.lane, b"")
        sides.add(again.lane)
    assert sides == {"gray", ""}


@pytest.mark.parametrize(
    ("scheme", "trusted", "field", "is_secure"),
    [
        ("http", False, "X: y", False),
        ("https", False, "X: y", True),
        ("http", True, "X-Forwarded-Proto: https", True),
        ("https", True, "X-Forwarded-Proto: http", False),
        ("http", False, "X-Forwarded-Proto: https", False),
    ],
)
def test_a_cookie_is_secure_if_the_client_speaks_tls(scheme: str, trusted: bool, field: str, is_secure: bool) -> None:
    entry = Entry(trusted=trusted, match=[{"cookie": "visitor", "percent": 50, "issue": "30d"}])
    (line,) = entry.cookies("/A/x", field, scheme=scheme)
    assert line.endswith(b"; SameSite=Lax; Secure" if is_secure else b"; SameSite=Lax")


def test_a_strict_lane_says_what_is_missing() -> None:
    for instances, has in (((BASE,), "no instance"), ((BASE, replace(GRAY, healthy=False)), "no usable instance")):
        verdict = Entry(*instances, strict=True).route("/A/x?group=gray")
        assert isinstance(verdict, Refuse)
        assert verdict.detail == f"the lane is strict, and service a has {has} with tag gray"
        assert (verdict.failure.code, verdict.decision.pool) == ("lane_unavailable", "gray")


@pytest.mark.parametrize(
    ("instances", "why"),
    [
        ((GRAY, Instance("10.0.0.1", 3, "blue")), "service a has no baseline instances, only blue, gray"),
        (
            (replace(BASE, healthy=False), Instance("10.0.0.1", 3, weight=0.0)),
            "none of the 2 baseline instances of service a is usable",
        ),
    ],
)
def test_a_service_that_nobody_serves_says_why(instances: tuple[Instance, ...], why: str) -> None:
    verdict = Entry(*instances).route()
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.code, verdict.detail) == ("no_instances", why)


def test_a_service_that_the_registry_has_not_answered_for_is_refused() -> None:
    verdict = Entry().route("/B/x")
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.code, verdict.decision.service) == ("no_instances", "unknown")
    assert verdict.detail == "the registry has not reported on service unknown yet"


def test_where_no_route_leads_is_refused() -> None:
    verdict = Entry().route("/nowhere")
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.code, verdict.decision.route) == ("no_route", "")
    assert verdict.detail == "no route for /nowhere on host shop.example"


def test_a_route_for_the_very_host_counts_first() -> None:
    routes = RouteTable([Route("/A", "any"), Route("/A", "shop", host="shop.example")])
    views = {name: ServiceView(name, (BASE,), Turns()) for name in ("any", "shop")}
    router = EntryRouter(Snapshot(1, compiled([]), routes, views), Carriers(), random.Random(1))

    def service(host: str) -> str:
        head = f"GET /A HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        return router.route(HeadReader("x-gray-tag").read(head), Peer("192.0.2.1"), 0.0).decision.service

    assert [service(host) for host in ("shop.example", "SHOP.example:80", "other.example")] == ["shop", "shop", "any"]


def test_who_is_trusted() -> None:
    router = Entry().router
    assert [router.is_trusted(ip) for ip in ("10.1.2.3", "11.0.0.1", "2001:db8:1::1", "2001:db8:2::1", "", "x")] == [
        True, False, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("length", "needed"), [("0", False), ("1", True), ("64", True), ("65", False), ("chunked", True), ("none", False)]
)
def test_a_body_is_needed_if_rules_look_at_it_and_it_is_not_too_long(length: str, needed: bool) -> None:
    lane = {"name": "gray", "tag": "gray", "match": [{"body": "/level", "equals": "3"}]}
    routes = RouteTable([Route("/A", "a", inspect_body=64), Route("/R", "", response=RouteResponse(200, b"", {}))])
    views = {"a": ServiceView("a", (BASE, GRAY), Turns())}

    def route(*groups: dict[str, Any], path: str = "/A", **content: Any) -> Verdict:
        router = EntryRouter(Snapshot(1, compiled(groups), routes, views), Carriers(), random.Random(1))
        fields = {"chunked": ["Transfer-Encoding: chunked"], "none": []}.get(length, [f"Content-Length: {length}"])
        head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode()
        return router.route(HeadReader("x-gray-tag").read(head), Peer("192.0.2.1"), 0.0, **content)

    group = {"name": "g", "lanes": [lane]}
    verdict = route(group)
    assert isinstance(verdict, NeedBody if needed else Forward)
    assert not isinstance(verdict, NeedBody) or verdict.limit == 64
    assert isinstance(route(), Forward)
    assert isinstance(route(group, path="/R"), Reply)
    assert isinstance(route(group, content=None), Forward)
    assert route(group, content={"level": 3}).decision.lane == "gray"


# --- signed tags


class Signed(Entry):
    """An entry that signs tags."""

    def __init__(self) -> None:
        super().__init__(trusted=True)
        self.signer = TagSigner([b"k" * 32], lambda: NOW, 600.0, is_required=False)
        self.router._carriers.sign_with(self.signer)


def test_what_the_entry_marks_is_signed_for_the_services() -> None:
    entry = Signed()
    forward = entry.forward("/A/x?group=gray")
    (value,) = re.findall(rb"\r\nx-gray-tag: (.*?)\r\n", forward.head)
    claim = entry.signer.verify(value.decode())
    assert claim is not None
    assert (claim.tag, claim.terms) == ("gray", entry.rules.terms.digest)
    assert b"\r\nbaggage: x-gray-tag=" + value + b"\r\n" in forward.head


@pytest.mark.parametrize(
    ("value", "tag", "signature"),
    [
        ("gray", "gray", ""),
        (f"_1.gray.{'0' * 12}.6a2a9c10.{'x' * 22}", "base", "forged"),
    ],
    ids=["bare: proxies have no keys", "forged"],
)
def test_of_a_trusted_proxy_a_bare_tag_counts_and_a_forged_one_does_not(value: str, tag: str, signature: str) -> None:
    decision = Signed().forward("/A/x", f"x-gray-tag: {value}").decision
    assert (decision.tag, decision.signature) == (tag, signature)


def test_a_trusted_gateway_in_front_is_believed_its_signature_and_its_terms() -> None:
    entry = Signed()
    entry.signer.renews()
    decision = entry.forward("/A/x", f"x-gray-tag: {entry.signer.sign('gray', '0' * 12)}").decision
    assert (decision.tag, decision.unknown_rules, decision.rules) == ("gray", "0" * 12, entry.rules.terms.digest)


@pytest.mark.parametrize(("is_trusted", "tag"), [(False, "base"), (True, "gray")])
@pytest.mark.parametrize("name", ["X-Forwarded-User", "x-auth-request-user", "X-Real-IP"])
def test_what_only_proxies_may_send_chooses_no_lane_and_no_route_for_others(
    name: str, is_trusted: bool, tag: str
) -> None:
    group = {"name": "demo", "lanes": [{"name": "gray", "tag": "gray", "match": [{"header": name, "equals": "ann"}]}]}
    test = RouteTest("", [ValueTest(name, "ann")], [])
    routes = RouteTable([Route("/B", "b", test=test), Route("/", "a")])
    views = {service: ServiceView(service, (BASE, GRAY), Turns()) for service in ("a", "b")}
    snapshot = Snapshot(1, compiled([LaneGroup.model_validate(group)]), routes, views)
    router = EntryRouter(snapshot, Carriers(), random.Random(1), (ip_network("127.0.0.0/8"),))
    for target in ("/A", "/B"):
        head = f"GET {target} HTTP/1.1\r\nHost: x\r\nX-Other: 1\r\n{name}: ann\r\n\r\n".encode()
        request = HeadReader("x-gray-tag", keeps_forwarded=is_trusted).read(head)
        decision = router.route(request, Peer("127.0.0.1" if is_trusted else "10.9.9.9", is_trusted), 0.0).decision
        assert decision.tag == tag
        assert decision.service == ("b" if target == "/B" and is_trusted else "a")
