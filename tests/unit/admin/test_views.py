"""What the admin API shows of a role, and how it reads a request to explain."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.admin.server import AdminServer
from gateway.errors import ProtocolError
from gateway.failures import HEAD_TOO_LARGE
from gateway.http.head_reader import HeadReader
from tests.support.admin import ShownRole
from tests.support.strangers import ask


@pytest.fixture
def role() -> ShownRole:
    return ShownRole()


@pytest.fixture
async def port(role: ShownRole) -> AsyncIterator[int]:
    server = AdminServer("127.0.0.1", 0, role, explainer=role)
    await server.start()
    yield server.port
    await server.close()


@pytest.mark.parametrize(
    ("path", "shown", "log"),
    [
        ("status", {"role": "test"}, ["status"]),
        ("services", {"services": [{"service": "a"}]}, ["refresh", "services"]),
        ("lanes", {"lanes": [{"lane": "gray"}]}, ["refresh", "lanes"]),
        ("trends", {"services": []}, ["refresh", "trends"]),
        ("trends?services=a,b,", {"services": ["a", "b"]}, ["refresh", "trends"]),
        (
            "findings",
            {"checks": 3, "findings": [{"state": "failed"}, {"state": "warning"}], "left_out": 0},
            ["refresh", "findings"],
        ),
    ],
)
async def test_each_view_shows_one_thing(
    port: int, role: ShownRole, path: str, shown: dict[str, Any], log: list[str]
) -> None:
    status, _, body = await ask(port, "GET", f"/api/v1/{path}")
    assert (status, json.loads(body), role.log) == (200, shown, log)


async def test_to_be_ready_is_not_to_be_alive(port: int, role: ShownRole) -> None:
    assert (await ask(port, "GET", "/readyz"))[0::2] == (200, b"ok\n")
    role.reasons = ["draining", "a line\nfeed"]
    assert (await ask(port, "GET", "/readyz"))[0::2] == (503, b"not ready: draining\nnot ready: a line\\nfeed\n")
    assert (await ask(port, "GET", "/livez"))[0::2] == (200, b"ok\n")


async def test_metrics_are_fetched_before_they_are_shown(port: int, role: ShownRole) -> None:
    status, fields, body = await ask(port, "GET", "/metrics")
    assert status == 200
    assert fields["content-type"].startswith("text/plain; version=")
    assert role.log == ["refresh", "observed"]
    assert b'gateway_background_failures_total{work="a watch"} 3.0' in body.splitlines()


async def explained(port: int, body: Any) -> tuple[int, dict[str, Any]]:
    status, _, response = await ask(port, "POST", "/api/v1/explain", (), json.dumps(body).encode())
    return status, json.loads(response)


async def test_a_request_to_explain_is_read_whole(port: int, role: ShownRole) -> None:
    body = {
        "method": "PUT",
        "url": "http://shop.example/A/a?x=1",
        "headers": [["X-User", "alice"]],
        "client_ip": "::1",
        "body": "ü",
    }
    assert await explained(port, body) == (200, {"decision": "here"})
    [(request, client_ip, content)] = role.explained
    assert (request.method, request.host, request.path, client_ip) == ("PUT", "shop.example", "/A/a", "::1")
    assert content == "ü".encode()


async def test_a_request_to_explain_is_read_as_the_gateway_reads_its_own(port: int, role: ShownRole) -> None:
    """The field that carries the tag has the name that is configured."""
    role.reader = HeadReader("x-lane")
    body = {"url": "/A", "headers": [["X-Lane", "gray"], ["X-Gray-Tag", "blue"]]}
    assert (await explained(port, body))[0] == 200
    [(request, _, _)] = role.explained
    assert request.tag == b"gray"


async def test_a_request_to_explain_has_defaults(port: int, role: ShownRole) -> None:
    assert (await explained(port, {"url": "/A"}))[0] == 200
    [(request, client_ip, content)] = role.explained
    assert (request.method, request.path, client_ip, content) == ("GET", "/A", "127.0.0.1", b"")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ([], "the body must be an object"),
        ({"url": "/", "nonsense": 1}, "unknown key 'nonsense'"),
        ({}, "url is missing"),
        ({"url": 3}, "url must be text"),
        ({"url": "/", "headers": {"a": "b"}}, "headers must be a list of [name, value] pairs"),
        ({"url": "/", "headers": [["a"]]}, "headers must be a list of [name, value] pairs"),
        ({"url": "/", "headers": [["a", 1]]}, "headers must be a list of [name, value] pairs"),
        ({"url": "/", "client_ip": "nobody"}, "client_ip 'nobody' is not an IP address"),
    ],
)
async def test_what_is_no_request_is_told(port: int, role: ShownRole, body: Any, problem: str) -> None:
    status, found = await explained(port, body)
    assert (status, found["code"]) == (400, "bad_explain")
    assert found["detail"].endswith(problem)
    assert role.explained == []


async def test_a_request_that_the_gateway_would_refuse_is_told_as_it_would_be(port: int, role: ShownRole) -> None:
    def refuse(*_: object) -> dict[str, object]:
        raise ProtocolError(HEAD_TOO_LARGE, "the head is too large")

    role.explain = refuse  # type: ignore[assignment,method-assign]
    status, found = await explained(port, {"url": "/"})
    assert (status, found["code"]) == (431, "head_too_large")
    assert found["detail"] == "the gateway would refuse this request: the head is too large"


async def test_a_sidecar_explains_nothing(role: ShownRole) -> None:
    server = AdminServer("127.0.0.1", 0, role)
    await server.start()
    status, found = await explained(server.port, {"url": "/"})
    assert (status, found["code"]) == (404, "no_lanes")
    await server.close()
