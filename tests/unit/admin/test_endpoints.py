"""How an endpoint is served: its handler gets the JSON value of a body of a type and size that it takes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.endpoints import ANY, SMALL, WORK, Endpoint
from gateway.web.problems import Rejected
from gateway.web.work import Work

Client = TestClient[web.Request, web.Application]


class Handlers:
    def __init__(self) -> None:
        self.bodies: list[Any] = []

    async def take(self, request: web.Request, body: Any) -> web.Response:
        self.bodies.append(body)
        return web.Response(text=request.match_info.get("name", ""))


@web.middleware
async def refuse(request: web.Request, handler: Any) -> Any:
    try:
        return await handler(request)
    except Rejected as rejected:
        return rejected.response()


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def client(handlers: Handlers) -> AsyncIterator[Client]:
    app = web.Application(middlewares=[refuse])
    app[WORK] = Work("test")
    endpoints = [
        Endpoint("GET", "/look", Handlers.take, "looks"),
        Endpoint("POST", "/any", Handlers.take, "takes any type", limit=SMALL, types=ANY),
        Endpoint("PATCH", "/lanes/{name}", Handlers.take, "takes JSON", limit=10),
    ]
    app.add_routes([endpoint.route(handlers) for endpoint in endpoints])
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_the_body_comes_as_a_value(client: Client, handlers: Handlers) -> None:
    async with client.patch("/lanes/gray", data=b'{"a": 1}', headers={"Content-Type": "application/json"}) as response:
        assert (response.status, await response.text()) == (200, "gray")
    async with client.patch("/lanes/gray") as response:
        assert response.status == 200
    assert handlers.bodies == [{"a": 1}, None]


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b'{"a": 1}', "text/plain", "unsupported_media_type"),
        (b'{"a":12345}', "application/json", "too_large"),
        (b"{", "application/json", "bad_json"),
    ],
)
async def test_what_it_does_not_take_does_not_reach_the_handler(
    client: Client, handlers: Handlers, body: bytes, kind: str, code: str
) -> None:
    async with client.patch("/lanes/gray", data=body, headers={"Content-Type": kind}) as response:
        assert json.loads(await response.text())["code"] == code
    assert handlers.bodies == []


async def test_an_endpoint_may_take_any_type(client: Client, handlers: Handlers) -> None:
    async with client.post("/any", data=b"[1]", headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 200
    assert handlers.bodies == [[1]]


async def test_what_takes_no_body_leaves_it_unread_and_can_be_asked_for_its_head(
    client: Client, handlers: Handlers
) -> None:
    async with client.get("/look", data=b"{", headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 200
    async with client.head("/look") as response:
        assert response.status == 200
    assert handlers.bodies == [None, None]
