"""The API's listener, and what all of its endpoints have in common: who may, and how they are refused."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from dataclasses import asdict

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import ConfigError, GatewayError
from gateway.release.actions import NotAllowed, Outdated
from gateway.release.api.endpoints import Api
from gateway.release.api.reading import actor_of
from gateway.release.ledger import Conflict, Locked, NotThere
from gateway.release.service import Releases
from gateway.release.states import NotNow
from gateway.release.store import StoreError
from gateway.web.guard import guard
from gateway.web.names import OwnNames
from gateway.web.pages import console_paths, console_routes
from gateway.web.problems import Rejected, problem, problem_of, unauthorized
from gateway.web.server import WebServer
from gateway.web.work import Work

_log = logging.getLogger("gateway.release")

FREE = console_paths() | {"/livez", "/readyz", "/openapi.json"}
"""What is served without a token."""
MOST_ERRORS = 100

CODES: tuple[tuple[type[GatewayError], int, str], ...] = (
    (NotThere, 404, "not_found"),
    (NotAllowed, 403, "not_allowed"),
    (Outdated, 412, "outdated"),
    (Conflict, 409, "conflict"),
    (Locked, 409, "locked"),
    (NotNow, 409, "not_now"),
    (StoreError, 503, "database_unavailable"),
    (GatewayError, 422, "refused"),
)
"""The status and code of each error; the first that fits."""


class ReleaseServer:
    """Serves the API of `releases` on one address."""

    def __init__(self, releases: Releases) -> None:
        settings = releases.config.settings
        self._users: Mapping[str, str] = settings.users
        self._work = Work("release")
        host, port = settings.listen.host, settings.listen.port
        names = OwnNames(host, settings.allowed_hosts)
        app = web.Application(middlewares=[guard(names), self._check_user, _answer_errors])
        self.api = Api(releases, self._work)
        app.add_routes(self.api.routes())
        app.add_routes(console_routes("release"))
        self.app = app
        self._server = WebServer(app, host, port, "the release API")

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    async def start(self, sock: socket.socket | None = None) -> None:
        """Begins to listen. Raises StartError naming the address."""
        await self._server.start(sock)

    async def close(self) -> None:
        """Stops listening, and ends streams of events."""
        self.api.close()
        await self._server.close()
        self._work.close()

    @web.middleware
    async def _check_user(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._users and request.path not in FREE and not actor_of(request, self._users):
            return unauthorized("the release API wants `Authorization: Bearer TOKEN` of one of its users")
        return await handler(request)


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Rejected as rejected:
        return rejected.response()
    except ConfigError as error:
        errors = [asdict(item) for item in error.problems[:MOST_ERRORS]]
        return problem(422, "bad_files", "\n".join(str(item) for item in error.problems[:MOST_ERRORS]), errors=errors)
    except GatewayError as error:
        status, code = next((status, code) for kind, status, code in CODES if isinstance(error, kind))
        return problem(status, code, str(error))
    except web.HTTPException as error:
        return problem_of(request, error)
    except Exception:  # noqa: BLE001 - a bug; callers get a problem all the same, and the log the rest
        _log.exception("%s %s failed", request.method, request.path)
        return problem(500, "internal_error", "the release server has a fault; its log says more")
