"""The admin API: health, metrics and what is known, over aiohttp, never on the data plane's listeners.

Loopback by default. It answers to its own names alone and to no web page but its own (`web/guard.py`; Caddy's `enforceHost`
and `enforceOrigin` do the same), and where it has a token, to nobody without it.
"""

from __future__ import annotations

import hmac
import logging
import socket
from ipaddress import ip_address
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.admin.endpoints import ANY, taking
from gateway.admin.views import Sources
from gateway.errors import ProtocolError
from gateway.http.head_reader import HeadReader, build_request
from gateway.http.request import Request
from gateway.printable import printable
from gateway.web.guard import guard
from gateway.web.names import OwnNames
from gateway.web.problems import Rejected, problem, shown
from gateway.web.server import WebServer
from gateway.web.work import Work

_log = logging.getLogger("gateway.admin")

_FREE = frozenset({"/livez", "/readyz", "/metrics"})
"""What is served without a token: probes and scrapers have none."""
MAX_EXPLAIN = 2 << 20
"""Bytes of a request to explain: a body that rules look at has 1 MiB at most."""


class AdminServer:
    """Serves `sources` on one address."""

    def __init__(self, host: str, port: int, sources: Sources) -> None:
        self._sources = sources
        self._work = Work("admin")
        app = web.Application(middlewares=[guard(OwnNames(host, sources.names)), self._check_token, _answer_errors])
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/status", self._status),
                web.get("/api/v1/services", self._services),
                web.get("/api/v1/lanes", self._lanes),
                web.post("/api/v1/explain", taking(self._work, self._explain, MAX_EXPLAIN, ANY)),
            ]
        )
        if sources.rules is not None:
            app.add_routes(sources.rules.routes(self._work))
        self.app = app
        self._server = WebServer(app, host, port, "the admin API")

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    async def start(self, sock: socket.socket | None = None) -> None:
        """Begins to listen, on a socket that listens already or on its own; `port` then holds the port.

        Raises StartError naming the address.
        """
        await self._server.start(sock)

    async def close(self) -> None:
        """Stops listening."""
        await self._server.close()
        self._work.close()

    @web.middleware
    async def _check_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        token = self._sources.token
        if token and request.path not in _FREE:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            is_right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
            if scheme.lower() != "bearer" or not is_right:
                answer = problem(401, "unauthorized", "the admin API wants `Authorization: Bearer TOKEN`")
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
        return await handler(request)

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reasons = self._sources.not_ready()
        if reasons:
            return web.Response(status=503, text="".join(f"not ready: {printable(reason)}\n" for reason in reasons))
        return web.Response(text="ok\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        if self._sources.refresh is not None:
            await self._sources.refresh()
        return web.Response(body=self._sources.metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._sources.status())

    async def _services(self, _: web.Request) -> web.Response:
        return web.json_response({"services": self._sources.services()})

    async def _lanes(self, _: web.Request) -> web.Response:
        return web.json_response({"lanes": self._sources.lanes()})

    async def _explain(self, _: web.Request, body: Any) -> web.Response:
        explain = self._sources.explain
        if explain is None:
            return problem(404, "no_lanes", "a sidecar has no lanes to explain: ask the entry gateway")

        def explained() -> dict[str, object]:
            return explain(*_asked(body, self._sources.reader))

        try:
            return web.json_response(await self._work.run(explained))
        except ProtocolError as error:
            return problem(
                error.failure.status, error.failure.code, f"the gateway would refuse this request: {error.detail}"
            )


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Rejected as rejected:
        return rejected.answer()
    except web.HTTPException as error:
        answer = problem(error.status, error.reason.lower().replace(" ", "_"), f"{request.method} {request.path}")
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except Exception:  # noqa: BLE001 - a bug; callers get a problem all the same, and the log the rest
        _log.exception("%s %s failed", request.method, request.path)
        return problem(500, "internal_error", "the gateway has a fault; its log says more")


def _asked(body: Any, reader: HeadReader | None) -> tuple[Request, str, bytes]:
    """The request that an explain body describes, who asks, and its own body. Raises Rejected, and ProtocolError."""
    if not isinstance(body, dict):
        raise _bad_explain("the body is not an object")
    unknown = set(body) - {"method", "url", "headers", "client_ip", "body"}
    if unknown:
        raise _bad_explain(f"unknown key {shown(min(unknown))}")
    method, url, client_ip, content = (
        _text_of(body, key, default)
        for key, default in (("method", "GET"), ("url", None), ("client_ip", "127.0.0.1"), ("body", ""))
    )
    headers = body.get("headers", [])
    if not isinstance(headers, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in headers
    ):
        raise _bad_explain("headers is a list of [name, value] pairs")
    try:
        address = str(ip_address(client_ip))
    except ValueError:
        raise _bad_explain(f"client_ip {shown(client_ip)} is no IP address") from None
    try:
        data = content.encode()
        return build_request(method, url, headers, reader=reader, body=data), address, data
    except ValueError:
        raise _bad_explain(f"url {shown(url)} is no URL") from None


def _text_of(body: dict[str, Any], key: str, default: str | None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise _bad_explain(f"{key} is a text" if key in body else f"{key} is missing")
    return value


def _bad_explain(detail: str) -> Rejected:
    expected = '{"method": "GET", "url": "/A/a?x=1", "headers": [["Name", "value"]], "client_ip": "…", "body": "…"}'
    return Rejected(400, "bad_explain", f"expected {expected}: {detail}")
