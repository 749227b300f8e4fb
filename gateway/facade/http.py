"""The façade over HTTP: what is said of instances is the sidecar's, everything else is the registry's, passed on as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.facade.naming import FacadeStore
from gateway.facade.passing import Passing
from gateway.registry.embedded.api import Api
from gateway.registry.embedded.parameters import service_key
from gateway.registry.nacos.client import TlsContexts
from gateway.web.names import OwnNames
from gateway.web.problems import Rejected
from gateway.web.work import Work

OWN: Final = frozenset(
    {
        "/nacos/v1/ns/instance",
        "/nacos/v1/ns/instance/beat",
        "/nacos/v1/ns/instance/list",
        "/nacos/v3/client/ns/instance",
        "/nacos/v3/client/ns/instance/list",
    }
)
"""What is answered here. Whatever else there is to say of instances is refused: passed on, it would go past the sidecar."""
LISTS: Final = frozenset(path for path in OWN if path.endswith("/list"))


class HttpFacade:
    """Answers an application for the registry at `servers`."""

    def __init__(
        self, store: FacadeStore, names: OwnNames, work: Work, servers: Sequence[str], tls: TlsContexts | None
    ) -> None:
        self._store = store
        self._passing = Passing(servers, None if tls is None else tls.http)
        clock = asyncio.get_running_loop().time
        self._api = Api(store, names, work, is_warming=lambda: False, saved=_saved, clock=clock)

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = self._api.app()
        app.middlewares.append(self._choose)
        return app

    @web.middleware
    async def _choose(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in OWN:
            if request.path in LISTS:
                await self._store.learn(service_key(request.query))
            return await handler(request)
        if "/ns/instance" in request.path:
            raise Rejected(404, "not_found", f"the sidecar's façade does not serve {request.path}")
        return await self._passing.on(request)

    async def close(self) -> None:
        """Closes the connections."""
        self._api.close()
        await self._passing.close()


async def _saved() -> None:
    """Nothing is kept here."""
