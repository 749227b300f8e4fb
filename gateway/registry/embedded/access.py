"""Who calls the embedded registry over HTTP: logging in, and the token on every other call."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.registry.embedded.parameters import read_parameters
from gateway.registry.embedded.users import READ_ONLY, TTL, Users
from gateway.web.problems import shown
from gateway.web.work import Work

_log = logging.getLogger("gateway.registry")

LOGINS: Final = ("/nacos/v1/auth/login", "/nacos/v1/auth/users/login", "/nacos/v3/auth/user/login")
_FREE: Final = frozenset({*LOGINS, "/livez", "/nacos/v1/console/health/liveness", "/nacos/v1/console/health/readiness"})


class Access:
    """For `users`; None: everybody may do everything."""

    def __init__(self, users: Users | None, work: Work) -> None:
        self._users = users
        self._work = work

    async def log_in(self, request: web.Request) -> web.Response:
        """Without users whoever reaches the port may use it; SDKs that log in first get on with it."""
        if self._users is None:
            return web.json_response({"accessToken": "none", "tokenTtl": TTL, "globalAdmin": False})
        parameters = await read_parameters(request, self._work)
        name = parameters.get("username", "")
        token = await self._work.run(self._users.log_in, name, parameters.get("password", ""))
        if token is None:
            _log.warning("a login as %s from %s was refused", shown(name), request.remote)
            raise web.HTTPForbidden(text="unknown user, or a wrong password")
        return web.json_response({"accessToken": token, "tokenTtl": TTL, "globalAdmin": False, "username": name})

    @web.middleware
    async def authorise(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Nobody gets anywhere without a token, if there are users, but to log in and to see that somebody is there."""
        if self._users is not None and request.path not in _FREE:
            token = _token_of(request)
            if token or not _may_show_it_in_a_form(request):
                self._check(request, token)
        return await handler(request)

    def check_form(self, request: web.Request, parameters: Mapping[str, str]) -> None:
        """Checks the token in a form, if no other one was shown. Raises HTTPForbidden."""
        if self._users is not None and not _token_of(request) and _may_show_it_in_a_form(request):
            self._check(request, parameters.get("accessToken", ""))

    def _check(self, request: web.Request, token: str) -> None:
        assert self._users is not None
        changes = request.method != "GET" and not request.path.endswith("/listener")
        may = self._users.may(token, changes)
        if not may:
            raise web.HTTPForbidden(text="log in: the token is unknown or expired" if may is None else READ_ONLY)


def _may_show_it_in_a_form(request: web.Request) -> bool:
    """As clients of version 1 do."""
    return request.method != "GET" and request.body_exists


def _token_of(request: web.Request) -> str:
    """The token that a request shows, in any of the places that clients of some version put it in."""
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return request.headers.get("accessToken") or bearer or request.query.get("accessToken", "")
