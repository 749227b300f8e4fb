"""What becomes of a head when somebody has let the request pass: for all who look at it, and for the service."""

from __future__ import annotations

from gateway.http.grammar import field_pattern
from gateway.http.head_reader import HeadReader, build_request
from gateway.http.permission import Permission
from gateway.http.request import Request
from gateway.routing.forward import forward_head

NAMES = frozenset({b"x-user", b"cookie"})


def made(*fields: tuple[str, str]) -> Request:
    return build_request(
        "GET", "/a?b=1", [("X-Forwarded-For", "1.2.3.4"), *fields, ("X-Last", "1")], reader=HeadReader("x-gray-tag")
    )


def test_fields_of_its_names_are_gone_and_its_own_are_there() -> None:
    request = made(("X-User", "root"), ("X-Users", "2"), ("x-user", "admin"), ("Cookie", "a=1"))
    assert request.cookie("a") == "1"
    request.permit("asked", Permission(b"X-User: ann\r\nX-Role: r\r\n"), NAMES)
    assert request.header(field_pattern(rb"x-user")) == "ann"
    assert request.header(field_pattern(rb"x-role")) == "r"
    assert request.cookie("a") is None
    assert b"root" not in request.head
    assert b"admin" not in request.head
    lines = forward_head(request, request.target, [b"X-Own: 1\r\n"]).split(b"\r\n")
    assert lines == [
        b"GET /a?b=1 HTTP/1.1", b"Host: localhost", b"X-Users: 2", b"X-Last: 1", b"X-User: ann", b"X-Role: r", b"X-Own: 1",
        b"Via: 1.1 gray-gateway", b"", b"",
    ]  # fmt: skip


def test_the_next_one_may_replace_it_and_nothing_else_moves() -> None:
    request = made(("X-User", "root"))
    request.permit(1, Permission(b"X-User: ann\r\n"), NAMES)
    request.permit(2, Permission(b"X-User: bob\r\n"), NAMES)
    lines = forward_head(request, b"/other", []).split(b"\r\n")
    assert [line for line in lines if b"User" in line] == [b"X-User: bob"]
    assert lines[0] == b"GET /other HTTP/1.1"
    assert b"Host: localhost" in lines
    assert b"X-Last: 1" in lines
    assert request.permissions is not None
    assert set(request.permissions) == {1, 2}


def test_without_names_and_fields_the_head_is_as_it_was() -> None:
    request = made(("X-User", "root"))
    before = request.head
    request.permit(1, Permission(), frozenset())
    assert request.head == before


def test_nor_do_trailers_say_what_is_for_the_answer_to_say() -> None:
    request = made()
    request.permit(1, Permission(b"X-User: ann\r\n"), NAMES)
    reader = HeadReader("x-gray-tag")
    assert reader.read_trailers(request, b"\r\nX-User: root\r\nX_User: root\r\nX-Sum: 1") == b"\r\nX-Sum: 1"


def test_twins_of_what_a_route_sets_or_removes_go_too() -> None:
    request = made(("X-Env", "a"), ("x_env", "b"), ("X.Env", "c"), ("X_Other", "d"), ("X-Other", "e"))
    request.cut_named(frozenset({b"x-env", b"x_other"}))
    lines = forward_head(request, request.target, []).split(b"\r\n")
    assert [line for line in lines if line[-3:-1] == b": "] == [b"X-Other: e", b"X-Last: 1"]
