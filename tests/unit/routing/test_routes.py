"""The route table: longest prefix at a segment boundary, a named host first."""

from __future__ import annotations

import pytest

from gateway.routing.routes import Route, RouteTable

TABLE = RouteTable(
    [
        Route("/A", "a"),
        Route("/A/deep", "deep"),
        Route("/slash/", "slash"),
        Route("/A", "a-of-shop", host="Shop.example"),
    ]
)


@pytest.mark.parametrize(
    ("host", "path", "service"),
    [
        ("any", "/A", "a"),
        ("any", "/A/", "a"),
        ("any", "/A/x/y", "a"),
        ("any", "/A/deep", "deep"),
        ("any", "/A/deep/x", "deep"),
        ("any", "/A/deeper", "a"),
        ("any", "/AB", None),
        ("any", "/a", None),
        ("any", "/", None),
        ("any", "*", None),
        ("any", "/slash", "slash"),
        ("any", "/slash/x", "slash"),
        ("shop.example", "/A/x", "a-of-shop"),
        ("shop.example", "/slash", "slash"),
    ],
)
def test_find(host: str, path: str, service: str | None) -> None:
    route = TABLE.find(host, path)
    assert (route.service if route else None) == service


def test_root_takes_the_rest() -> None:
    table = RouteTable([Route("/", "web"), Route("/A", "a")])
    assert table.find("any", "/x/y").service == "web"  # type: ignore[union-attr]
    assert table.find("any", "/A/x").service == "a"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "kept", "segments"), [("/A", "/A", 1), ("/A/", "/A", 1), ("/a/b//", "/a/b", 2), ("/", "/", 0)]
)
def test_a_path_has_no_slash_at_its_end(path: str, kept: str, segments: int) -> None:
    route = Route(path, "a", strip_prefix=True)
    assert (route.path, route.prefix, route.segments) == (kept, kept.encode(), segments)
    assert route.told == b"X-Forwarded-Prefix: " + kept.encode() + b"\r\n"
    assert Route(path, "a").segments == 0
