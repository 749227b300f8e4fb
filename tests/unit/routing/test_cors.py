"""CORS as browsers ask for it (Fetch Standard): who is allowed, and what nobody can talk a policy into."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.routing.cors import Cors

SHOP = "https://shop.example"


def ask(*fields: str, method: str = "OPTIONS") -> Request:
    head = "\r\n".join([f"{method} /A HTTP/1.1", "Host: x", *fields, "", ""]).encode("latin-1")
    return HeadReader("x-gray-tag").read(head)


def preflight(cors: Cors, *fields: str, origin: str = SHOP) -> list[str] | None:
    response = cors.preflight(ask(f"Origin: {origin}", "Access-Control-Request-Method: PUT", *fields))
    return None if response is None else response.whole.decode().split("\r\n")


VARY = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


def test_a_preflight_is_told_what_is_allowed() -> None:
    cors = Cors([SHOP], ["GET", "PUT"], headers=["x-a", "x-b"], credentials=True, max_age=60)
    assert preflight(cors) == [
        "HTTP/1.1 204 No Content",
        "Access-Control-Allow-Origin: https://shop.example",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Allow-Methods: GET, PUT",
        "Access-Control-Max-Age: 60",
        "Access-Control-Allow-Headers: x-a, x-b",
        VARY,
        "",
        "",
    ]


def test_a_response_says_who_may_read_it() -> None:
    cors = Cors([SHOP], ["GET"], exposed=["x-a"], credentials=True)
    assert cors.lines(ask(f"Origin: {SHOP}", method="GET")).decode().split("\r\n") == [
        "",
        "Vary: Origin",
        "Access-Control-Allow-Origin: https://shop.example",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Expose-Headers: x-a",
    ]
    # A cache must not keep it for pages that may not read it, nor the other way round.
    assert cors.lines(ask(method="GET")) == cors.lines(ask("Origin: https://evil.example", method="GET"))
    assert cors.lines(ask(method="GET")) == b"\r\nVary: Origin"
    assert Cors(["*"], ["GET"]).lines(ask(method="GET")) == b"\r\nAccess-Control-Allow-Origin: *"


@pytest.mark.parametrize("origin", ["https://a.shop.example:8443", "https://a.b.shop.example:8443"])
def test_all_hosts_below_one_can_be_allowed(origin: str) -> None:
    assert Cors(["https://*.shop.example:8443"], ["GET"]).allows(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://shop.example:8443",
        "https://.shop.example:8443",
        "https://evilshop.example:8443",
        "https://a.shop.example",
        "http://a.shop.example:8443",
        "https://evil.example/.shop.example:8443",
        "https://evil.example#.shop.example:8443",
        "https://user@evil.example:1.shop.example:8443",
        "https://a.shop.example:8443.evil.example",
        "null",
        "",
        "*",
    ],
)
def test_and_nobody_else_with_them(origin: str) -> None:
    cors = Cors(["https://*.shop.example:8443"], ["GET"])
    assert not cors.allows(origin)
    assert preflight(cors, origin=origin) is None


def test_any_header_is_allowed_by_its_name_unless_it_is_none() -> None:
    cors = Cors([SHOP], ["PUT"], headers=["*"])
    named = preflight(cors, "Access-Control-Request-Headers: authorization,x-a, x-b")
    assert named is not None
    assert "Access-Control-Allow-Headers: authorization,x-a, x-b" in named
    for text in ("x a", "x-a; y", "", ",", "x" + "y,x" * 200, "é"):
        lines = preflight(cors, f"Access-Control-Request-Headers: {text}")
        assert lines is not None
        assert not [line for line in lines if line.startswith("Access-Control-Allow-Headers")]


@pytest.mark.parametrize(
    ("fields", "method", "aim"),
    [
        (("Origin: https://x", "Access-Control-Request-Method: DELETE"), "OPTIONS", "DELETE"),
        (("Origin: https://x",), "OPTIONS", "OPTIONS"),
        (("Access-Control-Request-Method: DELETE",), "OPTIONS", "OPTIONS"),
        (("Origin: https://x", "Access-Control-Request-Method: DEL ETE"), "OPTIONS", "OPTIONS"),
        (("Origin: https://x", "Access-Control-Request-Method: DELETE"), "GET", "GET"),
    ],
)
def test_only_a_preflight_is_decided_by_another_method_than_its_own(
    fields: tuple[str, ...], method: str, aim: str
) -> None:
    request = ask(*fields, method=method)
    assert (request.aim, request.is_preflight, request.method) == (aim, aim != method, method)
