"""What routes of the configuration make of a request, from the setting to the head that an instance gets."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gateway.app.routes import make_routes
from gateway.http.head_reader import HeadReader
from gateway.instance import Instance
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.peer import Peer
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.routing.verdict import Forward, Refuse, Reply, Verdict
from gateway.rules.match import CompiledRules
from gateway.settings import GatewaySettings

A, B = (Instance("10.0.0.1", port) for port in (1, 2))


def route(
    settings: dict[str, Any] | list[dict[str, Any]], target: str = "/A/x", *fields: str, method: str = "GET"
) -> Verdict:
    """The verdict for one request by the routes; they lead to the services a and b."""
    routes = settings if isinstance(settings, list) else [{"path": "/A", "service": "a", **settings}]
    gateway = GatewaySettings.model_validate({"registry": {"kind": "static"}, "routes": routes})
    views = {name: ServiceView(name, (instance,), Turns()) for name, instance in (("a", A), ("b", B))}
    snapshot = Snapshot(1, CompiledRules.empty(), make_routes(gateway), views)
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: Shop.example:8080", *fields, "", ""]).encode()
    request = HeadReader("x-gray-tag").read(head)
    return EntryRouter(snapshot, Carriers(), random.Random(1)).route(request, Peer("192.0.2.1"), 0.0)


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
