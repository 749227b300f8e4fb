"""What routes of the configuration make of a request, from the setting to the head that an instance gets."""

from __future__ import annotations

import base64
import json
import random
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import jwt
import pytest

from gateway.app.routes import make_routes
from gateway.config.load import load_gateway
from gateway.config.matching import make_environment
from gateway.http.head_reader import HeadReader
from gateway.instance import Instance
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.patience import NEVER
from gateway.routing.peer import Peer
from gateway.routing.plans import BackendPlan, RoutePlan, RouteSet
from gateway.routing.router import UNREAD
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.routing.verdict import Forward, NeedBody, Refuse, Reply, Verdict
from gateway.rules.match import CompiledRules
from gateway.rules.model import LaneGroup
from gateway.settings.gateway import GatewaySettings
from tests.support.rules import compiled
from tests.support.tokens import SECRET

A, B = (Instance("10.0.0.1", port) for port in (1, 2))
GRAY = Instance("10.0.0.1", 3, "gray")


class Entry:
    """A router by settings, whose routes lead to the services a (with a gray instance) and b."""

    def __init__(self, routes: list[dict[str, Any]], *lanes: dict[str, Any], **settings: Any) -> None:
        gateway = GatewaySettings.model_validate({"registry": {"kind": "static"}, "routes": routes, **settings})
        views = {"a": ServiceView("a", (A, GRAY), Turns()), "b": ServiceView("b", (B,), Turns())}
        group = LaneGroup.model_validate({"name": "demo", "lanes": list(lanes)}) if lanes else None
        rules = CompiledRules.empty() if group is None else compiled([group])
        self.router = EntryRouter(
            Snapshot(1, rules, make_routes(gateway, make_environment(gateway).claims), views),
            Carriers(),
            random.Random(1),
            (ip_network("127.0.0.0/8"),),
        )

    def ask(
        self, target: str, *fields: str, method: str = "GET", ip: str = "192.0.2.1", content: Any = UNREAD
    ) -> Verdict:
        head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: Shop.example:8080", *fields, "", ""]).encode()
        is_trusted = self.router.is_trusted(ip)
        request = HeadReader("x-gray-tag", keeps_forwarded=is_trusted).read(head)
        return self.router.route(request, Peer(ip, is_trusted), 0.0, content)


def error(verdict: Verdict) -> str:
    return verdict.decision.error


def test_clients_are_served_that_gateway_and_route_both_serve() -> None:
    entry = Entry(
        [{"path": "/A", "service": "a"}, {"path": "/B", "service": "b", "access": {"allow": ["10.0.0.0/8"]}}],
        access={"deny": ["10.6.0.0/16", "192.0.2.66"]},
    )
    found = {ip: (error(entry.ask("/A", ip=ip)), error(entry.ask("/B", ip=ip))) for ip in CLIENTS}
    assert found == {
        "10.0.0.1": ("", ""),
        "10.6.0.1": ("client_denied", "client_denied"),
        "192.0.2.1": ("", "client_denied"),
        "192.0.2.66": ("client_denied", "client_denied"),
    }


CLIENTS = ("10.0.0.1", "10.6.0.1", "192.0.2.1", "192.0.2.66")


def test_the_client_is_who_a_trusted_proxy_says_and_nobody_else() -> None:
    entry = Entry([{"path": "/A", "service": "a", "access": {"allow": ["10.0.0.0/8"]}}])
    assert error(entry.ask("/A", "X-Forwarded-For: 10.0.0.1", ip="127.0.0.1")) == ""
    assert error(entry.ask("/A", "X-Forwarded-For: 10.0.0.1")) == "client_denied"
    assert error(entry.ask("/A", "X-Forwarded-For: 10.0.0.1, 192.0.2.1", ip="127.0.0.1")) == "client_denied"


GRAY_POSTS = {"name": "gray", "tag": "gray", "match": [{"method": {"equals": "POST"}}]}
PREFLIGHT = ("Origin: https://shop.example", "Access-Control-Request-Method: POST")


def test_a_preflight_goes_into_the_lane_of_the_request_that_it_announces() -> None:
    entry = Entry([{"path": "/A", "service": "a"}], GRAY_POSTS)
    verdict = entry.ask("/A", *PREFLIGHT, method="OPTIONS")
    assert isinstance(verdict, Forward)
    assert (verdict.decision.tag, verdict.head.split(b" ")[0]) == ("gray", b"OPTIONS")
    assert entry.ask("/A", PREFLIGHT[0], method="OPTIONS").decision.tag == "base"
    assert entry.ask("/A", *PREFLIGHT).decision.tag == "base"


def test_and_to_the_route_of_that_request() -> None:
    routes: list[dict[str, Any]] = [
        {"path": "/A", "service": "a"},
        {"path": "/A", "service": "b", "match": {"method": "POST"}},
    ]
    assert Entry(routes).ask("/A", *PREFLIGHT, method="OPTIONS").decision.service == "b"


def test_the_gateway_answers_preflights_where_it_has_a_policy() -> None:
    entry = Entry(
        [{"path": "/A", "service": "a", "cors": {"origins": ["https://shop.example"]}, "rate_limits": [{"rate": 1}]}]
    )
    for _ in range(3):  # no rate limit counts them
        verdict = entry.ask("/A", *PREFLIGHT, method="OPTIONS")
        assert isinstance(verdict, Reply)
        assert verdict.response.status == 204
    assert error(entry.ask("/A", "Origin: https://evil.example", PREFLIGHT[1], method="OPTIONS")) == "origin_denied"
    assert isinstance(entry.ask("/A", PREFLIGHT[0], method="OPTIONS"), Forward)
    # What refuses a request can be read by the page that has sent it.
    verdict = entry.ask("/A", PREFLIGHT[0])
    assert error(verdict) == "rate_limited"
    assert b"\r\nAccess-Control-Allow-Origin: https://shop.example" in verdict.decision.response_lines()


def test_a_request_that_is_refused_is_not_marked() -> None:
    entry = Entry([{"path": "/A", "service": "a", "access": {"deny": ["0.0.0.0/0"]}}], GRAY_POSTS)
    decision = entry.ask("/A", method="POST").decision
    assert (decision.error, decision.route, decision.lane, decision.tag) == ("client_denied", "/A", "", "base")


def test_a_route_can_require_a_valid_token(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(json.dumps({"kty": "oct", "k": SECRET, "alg": "HS256"}))
    secret = base64.urlsafe_b64decode(SECRET + "=" * (-len(SECRET) % 4))
    entry = Entry(
        [{"path": "/A", "service": "a", "require_token": True}, {"path": "/B", "service": "b"}],
        jwt={"keys": [{"file": str(key)}], "audience": "shop"},
    )

    def ask(token: str) -> str:
        return error(entry.ask("/A", f"Authorization: Bearer {token}"))

    assert ask(jwt.encode({"sub": "me", "aud": "shop"}, secret)) == ""
    assert ask(jwt.encode({"sub": "me", "aud": "other"}, secret)) == "token_required"
    assert ask(jwt.encode({"sub": "me", "aud": "shop", "exp": 1}, secret)) == "token_required"
    assert ask(jwt.encode({"sub": "me", "aud": "shop"}, b"another" * 8)) == "token_required"
    assert ask(jwt.encode({"sub": "me", "aud": "shop"}, "", algorithm="none")) == "token_required"
    verdict = entry.ask("/A")
    assert (error(verdict), verdict.decision.response_lines()) == (
        "token_required",
        b"\r\nWWW-Authenticate: Bearer",
    )
    assert error(entry.ask("/B")) == ""


def test_a_request_whose_body_is_awaited_is_counted_once() -> None:
    lane = {"name": "gray", "tag": "gray", "match": [{"body": "/x", "equals": "1"}]}
    entry = Entry([{"path": "/A", "service": "a", "inspect_body": 100, "rate_limits": [{"rate": 1}]}], lane)
    assert isinstance(entry.ask("/A", "Content-Length: 7", method="POST"), NeedBody)
    decision = entry.ask("/A", "Content-Length: 7", method="POST", content={"x": "1"}).decision
    assert (decision.tag, b'RateLimit: "client_ip";r=0;t=1' in decision.response_fields) == ("gray", True)
    assert b"Retry-After" not in decision.response_fields
    assert error(entry.ask("/A", "Content-Length: 7", method="POST")) == "rate_limited"


def test_explaining_takes_no_token() -> None:
    entry = Entry([{"path": "/A", "service": "a", "rate_limits": [{"rate": 1}]}])
    observer = entry.router.with_snapshot(entry.router.snapshot)
    request = HeadReader("x-gray-tag").read(b"GET /A HTTP/1.1\r\nHost: x\r\n\r\n")
    for _ in range(3):
        assert error(observer.route(request.again(), Peer("192.0.2.1"), 0.0)) == ""
    assert error(entry.ask("/A")) == ""
    assert error(entry.ask("/A")) == "rate_limited"


def test_a_reload_gives_nobody_a_new_burst() -> None:
    routes = [{"path": "/A", "service": "a", "rate_limits": [{"rate": 1}]}]
    before, after = Entry(routes), Entry([{"path": "/B", "service": "b"}, *routes])
    assert error(before.ask("/A")) == ""
    after.router.snapshot.routes.go_on(before.router.snapshot.routes)
    assert error(after.ask("/A")) == "rate_limited"


def test_after_a_reload_routes_of_one_path_still_count_each_for_itself() -> None:
    one: dict[str, Any] = {"path": "/A", "service": "a", "rate_limits": [{"rate": 1, "per": "1h"}]}
    routes: list[dict[str, Any]] = [{**one, "match": {"exact": True}}, {**one, "match": {"method": "POST"}}, one]
    before, after = Entry(routes), Entry(routes)
    assert error(before.ask("/A")) == ""
    after.router.snapshot.routes.go_on(before.router.snapshot.routes)
    assert [error(after.ask("/A")), error(after.ask("/A/x", method="POST")), error(after.ask("/A/x"))] == [
        "rate_limited",
        "",
        "",
    ]


def route(
    settings: dict[str, Any] | list[dict[str, Any]], target: str = "/A/x", *fields: str, method: str = "GET"
) -> Verdict:
    """The verdict for one request by the routes; they lead to the services a and b."""
    routes = settings if isinstance(settings, list) else [{"path": "/A", "service": "a", **settings}]
    return Entry(routes).ask(target, *fields, method=method)


def forwarded(settings: dict[str, Any], target: str = "/A/x", *fields: str) -> list[str]:
    verdict = route(settings, target, *fields)
    assert isinstance(verdict, Forward)
    return verdict.head.decode().split("\r\n")


def service(routes: list[dict[str, Any]], target: str, *fields: str, method: str = "GET") -> str:
    return route(routes, target, *fields, method=method).decision.service


def test_a_route_takes_only_requests_that_match() -> None:
    routes: list[dict[str, Any]] = [
        {"path": "/A", "service": "a"},
        {"path": "/A", "service": "b", "match": {"method": "POST", "headers": {"X-Canary": {"regex": "y.*"}}}},
        {"path": "/A/only", "service": "b", "match": {"exact": True, "params": {"v": "2"}}},
    ]
    assert service(routes, "/A/x", "x-canary: yes", method="POST") == "b"
    assert service(routes, "/A/x", "x-canary: no", method="POST") == "a"
    assert service(routes, "/A/x", "x-canary: yes") == "a"
    assert service(routes, "/A/only?v=2") == "b"
    assert service(routes, "/A/only?v=3") == "a"
    assert service(routes, "/A/only/x?v=2") == "a"


def test_header_fields_of_requests_are_replaced_added_and_removed() -> None:
    changes = {"set": {"X-Env": "prod"}, "add": {"X-Seen": "gateway"}, "remove": ["X-Debug"]}
    head = forwarded({"request_headers": changes}, "/A/x", "x-env: gray", "X-Seen: cdn", "x-debug: 1")
    names = [line for line in head if line.lower().startswith(("x-env", "x-seen", "x-debug"))]
    assert names == ["X-Seen: cdn", "X-Env: prod", "X-Seen: gateway"]


@pytest.mark.parametrize(
    ("rewrite", "target", "seen"),
    [
        ({"prefix": "/v2"}, "/A/x?q=1", "/v2/x?q=1"),
        ({"prefix": "/"}, "/A/x", "/x"),
        ({"path": "/all"}, "/A/x?q=1", "/all?q=1"),
        ({"regex": "/A/(.*)", "to": r"/z/\1"}, "/A/x?q=1", "/z/x?q=1"),
        ({"regex": "/B/(.*)", "to": r"/z/\1"}, "/A/x", "/A/x"),
    ],
)
def test_a_path_is_rewritten_and_the_query_stays(rewrite: dict[str, Any], target: str, seen: str) -> None:
    assert forwarded({"rewrite": rewrite}, target)[0] == f"GET {seen} HTTP/1.1"


def test_another_host_is_told_beside_the_requested_one() -> None:
    head = forwarded({"rewrite": {"host": "internal.example"}})
    assert [line for line in head if "ost: " in line] == [
        "X-Forwarded-Host: Shop.example:8080",
        "Host: internal.example",
    ]


def test_a_rewrite_that_would_make_an_unsafe_path_is_refused() -> None:
    verdict = route({"rewrite": {"regex": "/A/(.)x(.)", "to": r"/\1\2/secret"}}, "/A/.x.")
    assert isinstance(verdict, Refuse)
    assert (verdict.failure.code, verdict.failure.status) == ("bad_target", 400)


@pytest.mark.parametrize(
    ("rewrite", "restores", "pair"),
    [
        ({"prefix": "/v2"}, True, (b"/A", b"/v2")),
        ({"prefix": "/"}, True, (b"/A", b"")),
        ({"prefix": "/v2"}, False, (b"", b"/v2")),
        ({"path": "/all"}, True, (b"", b"/all")),
        ({"regex": "/A(.*)", "to": r"\1"}, True, (b"", b"")),
    ],
)
def test_places_in_responses_are_mapped_back_where_a_prefix_was_replaced(
    rewrite: dict[str, Any], restores: bool, pair: tuple[bytes, bytes]
) -> None:
    verdict = route({"rewrite": rewrite, "restore_prefix": restores})
    assert isinstance(verdict, Forward)
    assert (verdict.stripped, verdict.replacement) == pair


@pytest.mark.parametrize(
    ("redirect", "target", "location"),
    [
        ({"scheme": "https"}, "/A/x?q=1", "https://shop.example/A/x?q=1"),
        ({"host": "new.example", "port": 8443}, "/A/x", "http://new.example:8443/A/x"),
        ({"path": "/B"}, "/A/x?q=1", "/B?q=1"),
        ({"prefix": "/B"}, "/A/x", "/B/x"),
        ({"prefix": "/"}, "/A//evil.example/x", "/evil.example/x"),
        ({"port": 8443}, "/A", "http://shop.example:8443/A"),
    ],
    ids=["to https", "to another host", "another path", "another prefix", "never to another host by itself", "a port"],
)
def test_a_client_is_sent_elsewhere(redirect: dict[str, Any], target: str, location: str) -> None:
    verdict = route([{"path": "/A", "redirect": {"status": 308, **redirect}}], target)
    assert isinstance(verdict, Reply)
    assert verdict.response.whole == (
        f"HTTP/1.1 308 Permanent Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    )


def test_every_setting_of_a_route_can_be_written_in_a_file(tmp_path: Path) -> None:
    """In YAML a value may arrive as another type than in Python: what is written in the documents is loaded here."""
    path = tmp_path / "gateway.yaml"
    path.write_text(
        """
registry: {kind: static, services: {a: [{address: 127.0.0.1:1}]}}
trusted: [127.0.0.2]
proxy_protocol: true
access: {deny: [203.0.113.0/24]}
routes:
  - {path: /old, redirect: {status: 308, scheme: https, host: b.example, port: 8443, prefix: /new}}
  - path: /A
    service: a
    match: {exact: false, method: PUT, headers: {x-v: 2, x-w: {regex: "[0-9]+"}}, params: {p: true}}
    access: {allow: [10.0.0.0/8], deny: [10.1.0.0/16]}
    cors: {origins: ["https://*.b.example:8443"], methods: [PUT], headers: [x-v], expose: [x-v], credentials: true, max_age: 1h}
    rate_limits: [{rate: 100, per: 1m, burst: 5, by: {header: x-v}}, {rate: 1}]
    rewrite: {regex: "/A/([0-9]+)", to: '/\\1', host: c.example}
    request_headers: {set: {x-n: 1}, add: {x-m: "2"}, remove: [x-o]}
    response_headers: {set: {x-n: 1}, add: {x-m: "2"}, remove: [x-o]}
"""
    )
    settings = load_gateway(path, (), {}).settings
    table = make_routes(settings, make_environment(settings).claims)
    assert [route.name for route in table.routes] == ["/old", "/A"]


def test_attached_routes_serve_only_clients_of_the_gateway_too() -> None:
    settings = GatewaySettings.model_validate({"registry": {"kind": "static"}, "access": {"deny": ["10.6.0.0/16"]}})
    attached = RouteSet((RoutePlan(source="shop/a", path="/A", backends=(BackendPlan("a"),)),))
    table = make_routes(settings, make_environment(settings).claims, attached)
    views = {"a": ServiceView("a", (A,), Turns())}
    router = EntryRouter(Snapshot(1, CompiledRules.empty(), table, views), Carriers(), random.Random(1))
    request = HeadReader("x-gray-tag").read(b"GET /A HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [error(router.route(request.again(), Peer(ip), 0.0)) for ip in ("10.6.0.1", "10.0.0.1")] == [
        "client_denied",
        "",
    ]


def test_a_route_waits_and_retries_as_it_says_and_else_as_the_gateway_does() -> None:
    entry = Entry(
        [
            {
                "path": "/own",
                "service": "a",
                "timeouts": {"body_idle": "0s", "connect": "500ms"},
                "retries": {"attempts": 1},
            },
            {"path": "/some", "service": "a", "retries": {"attempts": 5}},
            {"path": "/", "service": "a"},
        ],
        timeouts={"response": "7s"},
    )
    own, some, other = (entry.ask(path).decision.patience for path in ("/own/x", "/some", "/x"))
    assert own is not None
    assert some is not None
    assert other is None
    assert (own.timeouts.body_idle, own.timeouts.connect, own.timeouts.response) == (NEVER, 0.5, 7.0)
    assert (own.attempts, own.told) == (1, {"timeouts.body_idle": 0.0, "timeouts.connect": 0.5, "retries.attempts": 1})
    assert (some.attempts, some.timeouts.body_idle) == (5, 60.0)


def test_a_body_that_rules_look_at_is_awaited_as_the_route_says() -> None:
    lane = {"name": "gray", "tag": "gray", "match": [{"body": "/group", "equals": "gray"}]}
    route = {"path": "/A", "service": "a", "inspect_body": 100, "timeouts": {"body_idle": "3s"}}
    verdict = Entry([route], lane).ask("/A", "Content-Type: application/json", "Content-Length: 9", method="POST")
    assert isinstance(verdict, NeedBody)
    assert verdict.decision.patience is not None
    assert verdict.decision.patience.timeouts.body_idle == 3.0
