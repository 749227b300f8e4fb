"""The admin API: health, metrics and what is known, over aiohttp, never on the data plane's listeners.

Loopback by default. Requests whose Host is neither loopback nor the address listened on are refused, so that a web page
cannot reach it by DNS rebinding (Caddy's `enforceHost` does the same).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.admin.problems import problem
from gateway.admin.rules import MAX_BODY
from gateway.admin.views import Sources
from gateway.errors import ProtocolError, StartError
from gateway.http.request import HeadReader, Request

_FREE = frozenset({"/livez", "/readyz", "/metrics"})
"""What is served without a token: probes and scrapers have none."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AdminServer:
    """Serves `sources` on one address."""

    def __init__(self, host: str, port: int, sources: Sources) -> None:
        self._host = host
        self._port = port
        self._sources = sources
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, sock: socket.socket | None = None) -> None:
        """Begins to listen, on a socket that listens already or on its own; `port` then holds the port.

        Raises StartError naming the address.
        """
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/v1/status", self._status),
                web.get("/api/v1/services", self._services),
                web.get("/api/v1/lanes", self._lanes),
                web.post("/api/v1/explain", self._explain),
            ]
        )
        if self._sources.rules is not None:
            app.add_routes(self._sources.rules.routes())
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
        await self._runner.setup()
        try:
            runner = self._runner
            await (web.TCPSite(runner, self._host, self._port) if sock is None else web.SockSite(runner, sock)).start()
        except OSError as error:
            await self._runner.cleanup()
            detail = error.strerror or str(error)
            raise StartError(f"cannot listen on {self._host}:{self._port} for the admin API: {detail}") from error
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stops listening."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not self._is_our_name(request.host):
            return problem(403, "wrong_host", f"the admin API does not answer for host {request.host!r}")
        origin = urlsplit(request.headers.get("Origin", "")).netloc
        if origin and origin != request.host:
            # A browser says where a page comes from that asks for something to be changed.
            return problem(403, "wrong_origin", f"the admin API does not answer pages of {origin!r}")
        token = self._sources.token
        if token and request.path not in _FREE:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
                answer = problem(401, "unauthorized", "the admin API wants `Authorization: Bearer TOKEN`")
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
        try:
            return await handler(request)
        except web.HTTPException as error:
            return problem(error.status, error.reason.lower().replace(" ", "_"), f"{request.method} {request.path}")
        except RecursionError:
            return problem(400, "bad_json", "the body is nested too deeply")

    def _is_our_name(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").lower()
        if name in ("localhost", self._host):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True  # an address cannot be re-bound; only names can

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reasons = self._sources.not_ready()
        if reasons:
            return web.Response(status=503, text="".join(f"not ready: {reason}\n" for reason in reasons))
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

    async def _explain(self, request: web.Request) -> web.Response:
        if self._sources.explain is None:
            return problem(404, "no_lanes", "a sidecar has no lanes to explain: ask the entry gateway")
        try:
            described, body = _request_of(await request.json(), self._sources.reader)
            explained = await asyncio.to_thread(self._sources.explain, described, body)
        except json.JSONDecodeError as error:
            return problem(400, "bad_json", f"the body is not JSON: {error}")
        except (ValueError, KeyError, TypeError) as error:
            return problem(
                400,
                "bad_explain",
                'expected {"method": "GET", "url": "/A/a?x=1", "headers": [["Name", "value"]], "client_ip": "…", "body": "…"}: '
                f"{error}",
            )
        except ProtocolError as error:
            return problem(error.status, error.code, f"the gateway would refuse this request: {error.detail}")
        return web.json_response(explained)


def _request_of(body: object, reader: HeadReader | None) -> tuple[Request, bytes]:
    """The request that an explain body describes, and its own body."""
    if not isinstance(body, dict):
        raise TypeError("the body is not an object")
    unknown = set(body) - {"method", "url", "headers", "client_ip", "body"}
    if unknown:
        raise ValueError(f"unknown key {min(unknown)!r}")
    headers = body.get("headers", [])
    if not isinstance(headers, list):
        raise TypeError("headers is a list of [name, value] pairs")
    pairs = [(str(name), str(value)) for name, value in headers]
    client_ip = str(ip_address(str(body.get("client_ip", "127.0.0.1"))))
    content = str(body.get("body", "")).encode()
    return Request.build(str(body.get("method", "GET")), str(body["url"]), pairs, client_ip, reader, content), content
