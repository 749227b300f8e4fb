"""An aiohttp application on an address."""

from __future__ import annotations

import socket
import ssl
from functools import partial

from aiohttp import web

from gateway.errors import StartError
from gateway.settings import Address
from gateway.web.headers import HEADERS


class WebServer:
    """Serves `app` on `host:port` (port 0: a free one). `purpose` names it in errors."""

    def __init__(self, app: web.Application, host: str, port: int, purpose: str) -> None:
        self.app = app
        self._host = host
        self._purpose = purpose
        self.port = port
        self._runner: web.AppRunner | None = None

    async def open(self) -> web.Server:
        """Begins to serve connections that somebody else accepts: what is returned makes their protocols."""
        runner = self._runner = web.AppRunner(
            self.app, access_log=None, handle_signals=False, shutdown_timeout=2.0, auto_decompress=False
        )
        await runner.setup()
        assert runner.server is not None
        runner.server.request_factory = partial(self.app._make_request, _cls=_Request)
        return runner.server

    async def start(self, sock: socket.socket | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Begins to serve, on a socket that listens already or on its own. Raises StartError naming the address."""
        await self.open()
        runner = self._runner
        assert runner is not None
        try:
            if sock is None:
                await web.TCPSite(runner, self._host, self.port, ssl_context=tls).start()
            else:
                await web.SockSite(runner, sock, ssl_context=tls).start()
        except OSError as error:
            await runner.cleanup()
            detail = error.strerror or str(error)
            address = Address(host=self._host, port=self.port)
            raise StartError(f"cannot listen on {address} for {self._purpose}: {detail}") from error
        self.port = runner.addresses[0][1]

    async def close(self) -> None:
        """Stops serving."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


class _Request(web.Request):
    """A request whose responses do not say with which versions of what they were made, those of aiohttp's own included."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        await super()._prepare_hook(response)
        response.headers.popall("Server", None)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
