"""`gateway inject serve`: the webhook that adds sidecars, over TLS."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.app.sockets import Sockets
from gateway.app.takeover import State
from gateway.daemons import keep_running
from gateway.errors import ConfigError
from gateway.files import read_file
from gateway.injection.pod import Options
from gateway.injection.webhook import PATH, application
from gateway.tls.certificates import Certificate, ListenerTLS
from gateway.web.server import WebServer

_log = logging.getLogger("gateway.injection")

LOOK_AGAIN = 10.0
"""Seconds between two looks at the certificate, which cert-manager and kubelet replace."""


class InjectionProgram:
    """Listens on `host:port` with a certificate and its key, files that somebody else replaces. Raises ConfigError."""

    def __init__(self, host: str, port: int, cert: Path, key: Path, options: Options) -> None:
        self._host = host
        self._port = port
        self._files = (cert, key)
        self._content = self._read()
        self._tls = ListenerTLS([Certificate(str(cert), str(key))])
        self._server = WebServer(application(options), host, port, "the webhook")

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    async def start(self, parts: AsyncExitStack, sockets: Sockets) -> None:
        """See Program."""
        parts.callback(sockets.release)
        await sockets.open("inject serve", ("listen",))
        sock = sockets.one_of("listen", self._host, self._port)
        await sockets.known()
        await sockets.wait_ready(list)
        await sockets.take_over(lambda _: None)
        parts.push_async_callback(self._server.close)
        await self._server.start(sock, self._tls.context)
        parts.callback(keep_running("following the webhook's certificate", self._follow).cancel)
        _log.info("webhook on https://%s:%d%s", self._host, self._server.port, PATH)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            await self.reload()

    async def reload(self) -> None:
        """Takes the certificate that there is now; a bad one changes nothing."""
        try:
            content = await asyncio.to_thread(self._read)
            if content == self._content:
                return
            certificate = await asyncio.to_thread(Certificate, *map(str, self._files))
        except ConfigError as error:
            _log.warning("%s; the certificate in use stays", error)
            return
        self._content = content
        self._tls.replace([certificate])
        _log.info("a new certificate, until %s", certificate.expires.date())

    def _read(self) -> tuple[bytes, ...]:
        """What the two files say; of one that cannot be read, nothing: that is told when it is used."""
        contents = []
        for file in self._files:
            try:
                contents.append(read_file(file))
            except OSError:
                contents.append(b"")
        return tuple(contents)

    def state(self) -> State:
        """There is nothing that a successor has to know."""
        return {}

    async def hand_over(self) -> State:
        """See Program."""
        await self._server.close()
        return {}

    def reopen_logs(self) -> None:
        """There is no file to open."""
