"""The façade over HTTP: what is said of instances is the sidecar's, everything else is the registry's, passed on as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from aiohttp.typedefs import Handler

from gateway.facade.naming import FacadeStore
from gateway.registry.embedded.api import Api
from gateway.registry.embedded.parameters import service_key
from gateway.registry.nacos.client import TlsContexts
from gateway.web.bodies import read_body
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
MAX_BODY: Final = 14 << 20
TIMEOUT: Final = ClientTimeout(total=90.0, sock_connect=1.0)
"""Long polls take half a minute."""
_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host"}
)
_OURS: Final = frozenset({"content-length", "content-encoding", "date", "server"})


class HttpFacade:
    """Answers an application for the registry at `servers`."""

    def __init__(
        self, store: FacadeStore, names: OwnNames, work: Work, servers: Sequence[str], tls: TlsContexts | None
    ) -> None:
        self._store = store
        self._servers = servers
        self._scheme = "http" if tls is None else "https"
        self._tls = True if tls is None else tls.http
        self._api = Api(store, names, work, lambda: False, _saved, clock=asyncio.get_running_loop().time)
        self._session: ClientSession | None = None

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
            raise Rejected(404, "not_found", f"the sidecar's façade does not answer {request.path}")
        return await self._passed_on(request)

    async def _passed_on(self, request: web.Request) -> web.Response:
        body = await read_body(request, MAX_BODY)
        headers = [
            (name, value) for name, value in request.headers.items() if name.lower() not in _HOP | {"content-length"}
        ]
        if self._session is None:
            self._session = ClientSession(connector=TCPConnector(limit=0), auto_decompress=False)
        trouble = "there is none"
        for server in self._servers:
            try:
                async with self._session.request(
                    request.method,
                    f"{self._scheme}://{server}{request.rel_url}",
                    headers=headers,
                    data=body or None,
                    timeout=TIMEOUT,
                    allow_redirects=False,
                    ssl=self._tls,
                ) as response:
                    content = await response.content.read(MAX_BODY + 1)
                    while len(content) <= MAX_BODY and (more := await response.content.read(MAX_BODY)):
                        content += more
                    if len(content) > MAX_BODY:
                        raise Rejected(502, "bad_response", "the registry's answer is too large")
                    kept = [(n, v) for n, v in response.headers.items() if n.lower() not in _HOP | _OURS]
                    answer = web.Response(status=response.status, body=content, headers=kept)
                    if "content-encoding" in response.headers:
                        answer.headers["Content-Encoding"] = response.headers["content-encoding"]
                    return answer
            except (ClientError, TimeoutError) as error:
                trouble = f"{error}" or type(error).__name__
        raise Rejected(503, "registry_away", f"the registry does not answer: {trouble}")

    async def close(self) -> None:
        """Closes the connections."""
        self._api.close()
        if self._session is not None:
            await self._session.close()


async def _saved() -> None:
    """Nothing is kept here."""
