"""Heads that are not complete yet: refused as soon as they can never become one, each byte looked at once."""

from __future__ import annotations

import collections

import pytest

from gateway.errors import ProtocolError
from gateway.http.grammar import MAX_METHOD, check_partial, check_partial_response, too_large

GET = b"GET / HTTP/1.1\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("data", "status", "code", "detail"),
    [
        (b"\x16\x03\x01\x02", 400, "bad_request_line", "this is not HTTP/1.1: it does not begin with a method"),
        (b"GET\t/", 400, "bad_request_line", "this is not HTTP/1.1: no space follows the method"),
        (b"GET / HTTP/1.1\nHost: a", 400, "bad_line_end", "a line ends with a bare LF, not with CRLF"),
        (GET + b"A: b\rc", 400, "bad_line_end", "a CR is not followed by LF"),
        (GET + b"A: \0", 400, "bad_character", "there is a NUL byte in the head"),
        (GET + b"A: \x1b", 400, "bad_field", "there is a control character (0x1b) in the head"),
        (b"GET /\x7f", 400, "bad_request_line", "there is a control character (0x7f) in the head"),
        (GET + b"A\r\n", 400, "bad_field", "a field line is not `name: value`"),
        (GET + b"A: b\r\nC : d\r\n", 400, "bad_field", "a field line is not `name: value`"),
        (
            GET + b"A: b\r\n c\r\n",
            400,
            "obs_fold",
            "a field line begins with white space: values on several lines are not accepted",
        ),
        (
            "GET /ü HTTP/1.1\r\n".encode(),
            400,
            "bad_request_line",
            "the target has a character that must be percent-encoded: a space, or one that is not ASCII",
        ),
        (
            b"GET /a b HTTP/1.1\r\n",
            400,
            "bad_request_line",
            "the target has a character that must be percent-encoded: a space, or one that is not ASCII",
        ),
        (b"GET /\r\n", 400, "bad_request_line", "the request line is not `METHOD target HTTP/1.1`"),
        (b"PRI * HTTP/2.0\r\n", 505, "bad_version", "only HTTP/1.1 and HTTP/1.0 are supported"),
        (b"M" * (MAX_METHOD + 1), 501, "method_too_long", "the method is longer than 64 bytes"),
    ],
)
def test_what_can_never_become_a_request(data: bytes, status: int, code: str, detail: str) -> None:
    with pytest.raises(ProtocolError) as error:
        check_partial(data)
    assert (error.value.failure.status, error.value.failure.code, error.value.detail) == (status, code, detail)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"<html>", "it does not begin with HTTP/1.1 or HTTP/1.0"),
        (b"HTTP/2", "it does not begin with HTTP/1.1 or HTTP/1.0"),
        (b"HTTP/1.1 200 OK\nA: b\n", "a line ends with a bare LF, not with CRLF"),
        (OK + b"A: b\r\n\n", "a line ends with a bare LF, not with CRLF"),
        (b"HTTP/1.1 999 Denied\r\n", "the status 999 is not between 100 and 599"),
        (b"HTTP/1.1 099 x\r\n", "the status 099 is not between 100 and 599"),
        (b"HTTP/1.1 2000 OK\r\n", "the status line is not `HTTP/1.1 200 text`"),
        (b"HTTP/1.2 200 OK\r\n", "the status line is not `HTTP/1.1 200 text`"),
        (OK + b"No colon\r\n", "a field line is not `name: value`"),
        (OK + b"A: b\x01", "there is a control character (0x01) in the head"),
    ],
)
def test_what_can_never_become_an_answer(data: bytes, detail: str) -> None:
    with pytest.raises(ProtocolError) as error:
        check_partial_response(data)
    assert error.value.detail == detail


@pytest.mark.parametrize(
    ("check", "data"),
    [
        (check_partial, GET + b"Host: a\r\nX: \xff\t\r\n\r"),
        (check_partial, b"M" * MAX_METHOD + b" / HTTP/1.0\r\n"),
        (check_partial_response, OK + b"A: b\r\n\r"),
    ],
)
def test_what_may_become_one_is_left_alone_however_it_comes(check: object, data: bytes) -> None:
    for size in range(1, len(data) + 1):
        for start in range(size):
            check(data[:size], start)  # type: ignore[operator]


@pytest.mark.parametrize("fault", [b"\n", b"\0", b"\x1b", b"\ra", b" : b\r\n", b"\r\n \r\n"])
@pytest.mark.parametrize("begun", [GET + b"A: b\r\nC: d", OK + b"A: b\r\nC: d"])
def test_a_fault_is_seen_among_the_new_bytes(begun: bytes, fault: bytes) -> None:
    check = check_partial if begun[:1] == b"G" else check_partial_response
    begun = begun[: -len(b": d")] if b":" in fault else begun
    data = begun + fault
    sizes = iter(range(len(begun) + 1, len(data) + 1))
    with pytest.raises(ProtocolError):
        collections.deque((check(data[:size], size - 1) for size in sizes), 0)


@pytest.mark.parametrize("check", [check_partial, check_partial_response])
def test_what_was_seen_is_not_looked_at_again(check: object) -> None:
    """Or a head that trickles in would cost its square."""
    seen = (GET if check is check_partial else OK) + b"No colon\r\nA: \0\nB: c\r\nD"
    seen = b"x" * 100 + seen
    check(seen + b": e\r\nF: g\r\n", len(seen))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET /" + b"a" * 300, 414, "target_too_long"),
        (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target_too_long"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 300, 431, "head_too_large"),
        (b"M" * 300, 501, "method_too_long"),
        (b"M" * 300 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_too_long"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 300 + b"\nB: c\r\n\r\n", 400, "bad_line_end"),
    ],
)
def test_what_is_too_large(head: bytes, status: int, code: str) -> None:
    error = too_large(head, 256, 100)
    assert (error.failure.status, error.failure.code) == (status, code)
