"""The handlers that take an instance out of this program's traffic, and bring it back."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from gateway.admin.rules import author_of
from gateway.control.drains import Drain, Drains, LastInstance, NoSuchInstance
from gateway.printable import printable
from gateway.web.problems import Rejected, problem, shown

MAX_REASON = 1000
"""Characters."""


class DrainsApi:
    """Handlers over what is drained."""

    def __init__(self, drains: Drains) -> None:
        self._drains = drains

    async def drain(self, request: web.Request, body: Any) -> web.Response:
        """No new requests to an instance."""
        service, address = request.match_info["service"], request.match_info["address"]
        drain = Drain(service, address, author_of(request), _reason(body), time.time())
        try:
            self._drains.drain(drain)
        except NoSuchInstance as error:
            return problem(404, "not_found", str(error))
        except LastInstance as error:
            return problem(409, "last_instance", str(error))
        return web.json_response({"drained": self._drains.describe()})

    async def restore(self, request: web.Request, _: Any) -> web.Response:
        """Requests again."""
        try:
            self._drains.restore(request.match_info["service"], request.match_info["address"], author_of(request))
        except NoSuchInstance as error:
            return problem(404, "not_found", str(error))
        return web.json_response({"drained": self._drains.describe()})


def _reason(body: Any) -> str:
    expected = 'expected {"reason": "…"}'
    if body is None:
        return ""
    if not isinstance(body, dict):
        raise Rejected(400, "bad_request", expected)
    unknown = set(body) - {"reason"}
    if unknown:
        raise Rejected(400, "bad_request", f"{expected}: unknown key {shown(min(unknown))}")
    reason = body.get("reason", "")
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        raise Rejected(400, "bad_request", f"{expected}: a text of at most {MAX_REASON} characters")
    return printable(reason)
