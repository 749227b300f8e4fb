"""`gateway inject serve`: the webhook that adds sidecars, over TLS."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Final

from gateway.app.sockets import Sockets
from gateway.app.takeover import State
from gateway.daemons import keep_running
from gateway.errors import GatewayError
from gateway.injection.certificates import Certificates
from gateway.injection.pod import Options
from gateway.injection.webhook import PATH, application
from gateway.tls.certificates import ListenerTLS
from gateway.web.server import WebServer

_log = logging.getLogger("gateway.injection")

LOOK_AGAIN: Final = 10.0
"""Seconds between two looks at the certificate, which others replace."""


class InjectionProgram:
    """Listens on `host:port` with the certificate that `certificates` gives."""

    def __init__(self, host: str, port: int, certificates: Certificates, options: Options) -> None:
        self._host = host
        self._port = port
        self._certificates = certificates
        self._tls: ListenerTLS | None = None
        self._trouble = ""
        self._server = WebServer(application(options), host, port, "the webhook")

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    async def start(self, parts: AsyncExitStack, sockets: Sockets) -> None:
        """See Program."""
        parts.push_async_callback(self._certificates.close)
        certificate = await self._certificates.look()
        assert certificate is not None, "the first look gives one"
        tls = self._tls = ListenerTLS([certificate])
        parts.callback(sockets.release)
        await sockets.open("inject serve", ("listen",))
        sock = sockets.one_of("listen", self._host, self._port)
        await sockets.known()
        await sockets.wait_ready(list)
        await sockets.take_over(lambda _: None)
        parts.push_async_callback(self._server.close)
        await self._server.start(sock, tls.context)
        parts.callback(keep_running("following the webhook's certificate", self._follow).cancel)
        _log.info("webhook on https://%s:%d%s", self._host, self._server.port, PATH)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            await self.reload()

    async def reload(self) -> None:
        """Takes the certificate that there is now; a bad one changes nothing."""
        try:
            certificate = await self._certificates.look()
        except GatewayError as error:
            if str(error) != self._trouble:
                _log.warning("%s; the certificate in use stays", error)
            self._trouble = str(error)
            return
        self._trouble = ""
        if certificate is not None and self._tls is not None:
            self._tls.replace([certificate])
            _log.info("a new certificate, until %s", certificate.expires.date())

    def state(self) -> State:
        """There is nothing that a successor has to know."""
        return {}

    async def hand_over(self) -> State:
        """See Program."""
        await self._server.close()
        return {}

    def reopen_logs(self) -> None:
        """There is no file to open."""
