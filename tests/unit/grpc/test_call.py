"""Which requests are gRPC calls, and of what."""

from __future__ import annotations

import pytest

from gateway.grpc.call import is_call, is_grpc, split_call
from gateway.http.head_reader import build_request

HEAD = b"POST /a.B/C HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc; charset=utf-8", True),
        (b"application/grpc-web", False),
        (b"application/grpc-web+proto", False),
        (b"application/grpcx", False),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_the_content_type_says_so(kind: bytes, expected: bool) -> None:
    head = HEAD % (b"Content-Type: " + kind)
    assert (is_grpc(kind), is_call(head, 21)) == (expected, expected)


@pytest.mark.parametrize("line", [b"x-note: application/grpc", b"accept: */*"])
def test_nothing_else_does(line: bytes) -> None:
    assert not is_call(HEAD % line, 21)


def test_only_a_post_is_one() -> None:
    kind = [("Content-Type", "application/grpc")]
    assert [build_request(method, "/a.B/C", kind).is_grpc for method in ("POST", "GET", "PUT")] == [True, False, False]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/shop.Orders/Get", ("shop.Orders", "Get")),
        ("/Orders/Get", ("Orders", "Get")),
        ("/a/b/c", None),
        ("/a", None),
        ("//Get", None),
        ("/a/", None),
    ],
)
def test_a_path_is_a_service_and_a_method(path: str, expected: tuple[str, str] | None) -> None:
    assert split_call(path) == expected
