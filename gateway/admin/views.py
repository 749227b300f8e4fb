"""The handlers of what the admin API shows: a role as it is at this moment."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.admin.collector import Collector
from gateway.admin.endpoints import WORK
from gateway.admin.view import Explainer, RoleView
from gateway.errors import ProtocolError
from gateway.http.head_reader import HeadReader, build_request
from gateway.http.request import Request
from gateway.printable import printable
from gateway.web.problems import Rejected, problem, shown

MAX_EXPLAIN: Final = 2 << 20
"""Bytes of a request to explain: a body that rules look at has 1 MiB at most."""

MOST_FINDINGS: Final = 100
"""Findings that a response has: of a thousand lanes without instances, a hundred are enough."""


class Views:
    """Shows a role; `explainer` is None if it matches no lanes. `describe` makes the description of the API."""

    def __init__(
        self, view: RoleView, explainer: Explainer | None = None, describe: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self._view = view
        self._describe = describe
        self._explainer = explainer

    async def livez(self, _: web.Request, __: Any) -> web.Response:
        """Whether the process runs at all."""
        return web.Response(text="ok\n")

    async def readyz(self, _: web.Request, __: Any) -> web.Response:
        """Whether it should get traffic; if not, why: 503."""
        reasons = self._view.not_ready()
        if reasons:
            return web.Response(status=503, text="".join(f"not ready: {printable(reason)}\n" for reason in reasons))
        return web.Response(text="ok\n")

    async def metrics(self, _: web.Request, __: Any) -> web.Response:
        """The metrics in Prometheus' text format."""
        await self._view.refresh()
        content = Collector(self._view.observed()).exposition()
        return web.Response(body=content, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, request: web.Request, _: Any) -> web.Response:
        """The API itself."""
        return web.json_response(await request.app[WORK].run(self._describe))

    async def status(self, _: web.Request, __: Any) -> web.Response:
        """The role itself."""
        return web.json_response(self._view.status())

    async def services(self, _: web.Request, __: Any) -> web.Response:
        """Services and their instances."""
        await self._view.refresh()
        return web.json_response({"services": self._view.services()})

    async def mirrors(self, _: web.Request, __: Any) -> web.Response:
        """The latest differences that mirrors have found."""
        await self._view.refresh()
        return web.json_response({"mirrored": self._view.mirrored()})

    async def trends(self, request: web.Request, _: Any) -> web.Response:
        """Requests of late by tag."""
        await self._view.refresh()
        services = [name for name in request.query.get("services", "").split(",") if name]
        return web.json_response(self._view.trends(services))

    async def findings(self, _: web.Request, __: Any) -> web.Response:
        """What is not as it has to be. What could not be found out is not told: it says nothing of the program."""
        await self._view.refresh()
        found = [finding for finding in self._view.findings() if finding["state"] != "skipped"]
        wrong = sorted(
            (finding for finding in found if finding["state"] != "ok"), key=lambda finding: finding["state"] != "failed"
        )
        shown = wrong[:MOST_FINDINGS]
        return web.json_response({"checks": len(found), "findings": shown, "left_out": len(wrong) - len(shown)})

    async def lanes(self, _: web.Request, __: Any) -> web.Response:
        """Lanes in order."""
        await self._view.refresh()
        return web.json_response({"lanes": self._view.lanes()})

    async def explain(self, request: web.Request, body: Any) -> web.Response:
        """The decision for a request."""
        explainer = self._explainer
        if explainer is None:
            return problem(404, "no_lanes", "a sidecar has no lanes to explain: query the entry gateway")

        def explained() -> dict[str, object]:
            return explainer.explain(*_request_of(body, explainer.reader))

        try:
            return web.json_response(await request.app[WORK].run(explained))
        except ProtocolError as error:
            failure = error.failure
            return problem(failure.status, failure.code, f"the gateway would refuse this request: {error.detail}")


def _request_of(body: Any, reader: HeadReader) -> tuple[Request, str, bytes]:
    """The request that an explain body describes, its client's address, and its own body. Raises Rejected, and ProtocolError."""
    if not isinstance(body, dict):
        raise _bad_explain("the body must be an object")
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
        raise _bad_explain("headers must be a list of [name, value] pairs")
    try:
        address = str(ip_address(client_ip))
    except ValueError:
        raise _bad_explain(f"client_ip {shown(client_ip)} is not an IP address") from None
    data = content.encode()
    return build_request(method, url, headers, reader=reader, body=data), address, data


def _text_of(body: dict[str, Any], key: str, default: str | None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise _bad_explain(f"{key} must be text" if key in body else f"{key} is missing")
    return value


def _bad_explain(detail: str) -> Rejected:
    expected = '{"method": "GET", "url": "/A/a?x=1", "headers": [["Name", "value"]], "client_ip": "…", "body": "…"}'
    return Rejected(400, "bad_explain", f"expected {expected}: {detail}")
