"""Responses of our own, to the byte: errors in both forms, `OPTIONS *`, and what a route says itself."""

from __future__ import annotations

import json

import pytest

from gateway.failures import FAILURES, METHOD_REFUSED, NO_ROUTE, OVERLOADED, TOO_MANY_TUNNELS, Failure
from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.proxy.own_responses import CONTINUE, error_response, options_response, route_response
from gateway.routing.replies import RouteResponse


def request(*fields: str, method: str = "GET", version: str = "1.1") -> Request:
    head = "\r\n".join([f"{method} / HTTP/{version}", "Host: x", *fields, "", ""]).encode()
    return HeadReader("x-gray-tag").read(head)


PROBLEM = (
    b'{"type": "urn:gray-gateway:error:no_route", "title": "Not Found", "status": 404, "detail": "no \\u00e4", '
    b'"code": "no_route"}\n'
)


@pytest.mark.parametrize(
    ("asked", "keeps", "end"),
    [
        (request(), True, b""),
        (request(), False, b"Connection: close\r\n"),
        (request(version="1.0"), True, b"Connection: keep-alive\r\n"),
        (request(version="1.0"), False, b"Connection: close\r\n"),
        (None, False, b"Connection: close\r\n"),
        (None, True, b""),
    ],
)
def test_an_error_as_programs_read_it(asked: Request | None, keeps: bool, end: bytes) -> None:
    assert error_response(NO_ROUTE, "no ä", asked, keeps) == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n" % len(PROBLEM)
        + end + b"\r\n" + PROBLEM
    )  # fmt: skip


def test_an_error_as_people_read_it() -> None:
    text = "404 Not Found (no_route): no ä\n".encode()
    assert error_response(NO_ROUTE, "no ä", request("Accept: text/plain"), True, b"\r\nA: b") == (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nA: b\r\n\r\n"
        % len(text) + text
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "is_text"),
    [
        ("Accept: text/plain", True),
        ("accept:text/plain;q=0.9, */*", True),
        ("Accept: */*, text/plain", False),
        ("Accept: application/json", False),
        ("X-Accept: text/plain", False),
        ("Content-Type: text/plain", False),
    ],
)
def test_text_is_for_who_wants_it_first(field: str, is_text: bool) -> None:
    assert (b"Content-Type: text/plain" in error_response(NO_ROUTE, "", request(field), True)) is is_text


def test_to_head_there_is_no_body_but_its_length() -> None:
    whole = error_response(NO_ROUTE, "no ä", request(), True)
    assert (
        error_response(NO_ROUTE, "no ä", request(method="HEAD"), True) == whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (OVERLOADED, b"Retry-After: 1"),
        (TOO_MANY_TUNNELS, b"Retry-After: 1"),
        (METHOD_REFUSED, b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    ],
)
def test_what_would_help_is_said(failure: Failure, line: bytes) -> None:
    assert b"\r\n" + line + b"\r\n" in error_response(failure, "", request(), True)
    assert line not in error_response(NO_ROUTE, "", request(), True)


@pytest.mark.parametrize(
    "failure", [item for item in FAILURES.values() if item.status not in (0, 499)], ids=lambda f: f.code
)
def test_every_failure_that_a_client_is_told_is_a_problem_of_its_code_and_status(failure: Failure) -> None:
    head, _, body = error_response(failure, "why", None, False).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert (problem["status"], problem["code"], problem["detail"]) == (failure.status, failure.code, "why")
    assert problem["type"] == f"urn:gray-gateway:error:{failure.code}"
    assert head.startswith(f"HTTP/1.1 {failure.status} {problem['title']}\r\n".encode())


def test_options_of_the_server() -> None:
    allow = b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
    assert options_response(True) == b"HTTP/1.1 204 No Content\r\n" + allow + b"\r\n"
    assert options_response(False) == b"HTTP/1.1 204 No Content\r\n" + allow + b"Connection: close\r\n\r\n"


def test_go_on() -> None:
    assert CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"


HEAD = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n"


@pytest.mark.parametrize(
    ("asked", "keeps", "added", "end"),
    [
        (request(), True, b"", b"\r\nhello"),
        (request(), False, b"", b"Connection: close\r\n\r\nhello"),
        (request(), True, b"\r\nA: b", b"Connection: keep-alive\r\nA: b\r\n\r\nhello"),
        (request(version="1.0"), True, b"", b"Connection: keep-alive\r\n\r\nhello"),
        (request(method="HEAD"), True, b"", b"\r\n"),
        (request(method="HEAD"), False, b"\r\nA: b", b"Connection: close\r\nA: b\r\n\r\n"),
    ],
)
def test_a_routes_own_response(asked: Request, keeps: bool, added: bytes, end: bytes) -> None:
    assert route_response(RouteResponse(200, b"hello", {"X": "y"}), asked, keeps, added) == HEAD + end
