"""`gateway release serve` put together."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from pathlib import Path

from gateway.app.sockets import Sockets
from gateway.app.takeover import State
from gateway.errors import StartError
from gateway.release.api.server import ReleaseServer
from gateway.release.service import Releases
from gateway.release.settings import load_release
from gateway.settings import Address

_log = logging.getLogger("gateway.release")


class ReleaseProgram:
    """`gateway release serve`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def start(self, parts: AsyncExitStack, sockets: Sockets) -> None:
        """See Program."""
        config = load_release(self._path)
        settings = config.settings
        parts.callback(sockets.release)
        await sockets.open("release serve", ("listen",))
        sock = sockets.one_of("listen", settings.listen.host, settings.listen.port)
        # One server a state: two would start everything twice.
        releases = Releases(config)
        parts.enter_context(releases.alone())
        await parts.enter_async_context(releases)
        server = ReleaseServer(releases)
        await sockets.wait_ready(list)
        await server.start(sock)
        parts.push_async_callback(server.close)
        if not settings.users and settings.listen.host not in ("127.0.0.1", "::1", "localhost"):
            _log.warning("anyone who can reach the release API on %s can use it: set users", settings.listen)
        _log.info(
            "release server on %s, files in %s", Address(host=settings.listen.host, port=server.port), config.files
        )

    def state(self) -> State:
        """Everything is in its database."""
        return {}

    async def hand_over(self) -> State:
        """See Program. Two servers at once are refused: this one ends first."""
        raise StartError(
            "a release server cannot hand over: stop it and start the new one; everything else keeps running in the meantime"
        )

    async def reload(self) -> None:
        """The files are read again for whatever they are needed for."""

    def reopen_logs(self) -> None:
        """There is no file to open."""
