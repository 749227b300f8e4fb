"""The admin API and the console: health, metrics and what is known, over aiohttp, never on the data plane's listeners.

Loopback by default. It responds to requests for its own names alone and to no web page but its own (`web/guard.py`; Caddy's
`enforceHost` and `enforceOrigin` do the same), and if it has a token, to nobody without it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.admin.drains import DrainsApi
from gateway.admin.endpoints import WORK
from gateway.admin.groups import GroupsApi
from gateway.admin.live import LiveApi
from gateway.admin.openapi import describe
from gateway.admin.rules import RulesApi
from gateway.admin.table import DRAINS, ENDPOINTS, GROUPS, LIVE, RULES, VIEWS
from gateway.admin.view import Explainer, RoleView
from gateway.admin.views import Views
from gateway.control.drains import Drains
from gateway.live.records import Records
from gateway.web.guard import guard
from gateway.web.names import OwnNames
from gateway.web.pages import console_paths, console_routes
from gateway.web.problems import Rejected, problem, problem_of, unauthorized
from gateway.web.server import WebServer
from gateway.web.tokens import bearer, is_token
from gateway.web.work import Work

_log = logging.getLogger("gateway.admin")

_FREE: Final = console_paths() | {endpoint.path for endpoint in ENDPOINTS if endpoint.is_free}
_FOR_DELIVERY: Final = frozenset(endpoint.path for endpoint in ENDPOINTS if endpoint.takes_delivery_token)


class AdminServer:
    """Serves a role on `host:port` (port 0: a free one).

    `explainer`, `rules` and `groups` are what only an entry gateway has; `records` are the requests to show, `drains` the
    instances that get none.
    `names` are further names by which clients may call it; `token` is what they must have, empty: they need none.
    """

    def __init__(
        self,
        host: str,
        port: int,
        view: RoleView,
        *,
        explainer: Explainer | None = None,
        rules: RulesApi | None = None,
        groups: GroupsApi | None = None,
        records: Records | None = None,
        drains: Drains | None = None,
        names: Collection[str] = (),
        token: str = "",
    ) -> None:
        self._token = token
        self._work = Work("admin")
        app = web.Application(middlewares=[guard(OwnNames(host, names)), self._check_token, _tell_errors])
        app[WORK] = self._work
        views = Views(view, explainer, describe)
        app.add_routes([endpoint.route(views) for endpoint in VIEWS])
        self._records = records
        if records is not None:
            live = LiveApi(records, explainer)
            app.add_routes([endpoint.route(live) for endpoint in LIVE])
        if drains is not None:
            app.add_routes([endpoint.route(DrainsApi(drains)) for endpoint in DRAINS])
        if rules is not None:
            app.add_routes([endpoint.route(rules) for endpoint in RULES])
        if groups is not None:
            app.add_routes([endpoint.route(groups) for endpoint in GROUPS])
        app.add_routes(console_routes("admin"))
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

    async def open(self) -> Callable[[], asyncio.Protocol]:
        """See door.Api."""
        return await self._server.open()

    async def close(self) -> None:
        """Stops listening. Who follows the requests is let go first: nothing else ends that."""
        if self._records is not None:
            await self._records.close()
        await self._server.close()
        self._work.close()

    @web.middleware
    async def _check_token(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token and request.path not in _FREE:
            right = [self._token]
            if request.path in _FOR_DELIVERY and self._records is not None and self._records.settings.token:
                right.append(self._records.settings.token)
            given = bearer(request)
            if not any(is_token(given, item) for item in right):
                return unauthorized("the admin API needs `Authorization: Bearer TOKEN`")
        return await handler(request)


@web.middleware
async def _tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Rejected as rejected:
        return rejected.response()
    except web.HTTPException as error:
        return problem_of(request, error)
    except Exception:  # noqa: BLE001 - a bug; clients get a problem all the same, and the log the rest
        _log.exception("%s %s failed", request.method, request.path)
        return problem(500, "internal_error", "internal error; see the gateway's log")
