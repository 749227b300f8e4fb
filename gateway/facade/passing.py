"""Requests of an application that are the registry's to respond to: passed on as they are, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

from gateway.tls.contexts import UpstreamTLS
from gateway.web.bodies import read_body
from gateway.web.problems import Rejected

MAX_BODY: Final = 14 << 20
TIMEOUT: Final = ClientTimeout(total=700.0, sock_connect=1.0)
"""Long polls take half a minute, Consul's blocking queries up to ten."""
_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host"}
)
_OURS: Final = frozenset({"content-length", "date", "server"})


class Passing:
    """To the first of `servers` that can be reached."""

    def __init__(self, servers: Sequence[str], tls: UpstreamTLS | None) -> None:
        self._servers = servers
        self._scheme = "http" if tls is None else "https"
        self._tls = tls
        self._session: ClientSession | None = None

    async def on(self, request: web.Request) -> web.Response:
        """The registry's response. Raises Rejected if there is none."""
        body = await read_body(request, MAX_BODY)
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP | _OURS]
        trouble = "there is none"
        for server in self._servers:
            try:
                return await self._exchange(
                    f"{self._scheme}://{server}{request.rel_url}", request.method, headers, body
                )
            except (ClientError, TimeoutError) as error:
                trouble = f"{error}" or type(error).__name__
        raise Rejected(503, "registry_away", f"the registry does not respond: {trouble}")

    async def _exchange(self, url: str, method: str, headers: list[tuple[str, str]], body: bytes) -> web.Response:
        if self._session is None:
            # Nothing is unpacked: what the registry compressed for the application, it gets.
            self._session = ClientSession(
                connector=TCPConnector(limit=0),
                auto_decompress=False,
                skip_auto_headers=["Accept-Encoding", "User-Agent"],
            )
        tls = self._tls
        async with self._session.request(
            method,
            url,
            headers=headers,
            data=body or None,
            timeout=TIMEOUT,
            allow_redirects=False,
            ssl=True if tls is None else tls.context,
            server_hostname=None if tls is None else tls.server_name or None,
        ) as response:
            content = bytearray()
            async for piece in response.content.iter_chunked(65536):
                content += piece
                if len(content) > MAX_BODY:
                    raise Rejected(502, "bad_response", "the registry's response is too large")
            kept = [(name, value) for name, value in response.headers.items() if name.lower() not in _HOP | _OURS]
            return web.Response(status=response.status, body=bytes(content), headers=kept)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
