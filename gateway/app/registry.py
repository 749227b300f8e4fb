"""`gateway registry serve`: the embedded registry alone."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack

from gateway.app.exposure import warn_of_registry
from gateway.app.sockets import Sockets
from gateway.app.takeover import State
from gateway.registry.embedded.handover import dump
from gateway.registry.embedded.server import EmbeddedRegistry

_log = logging.getLogger("gateway")


class RegistryProgram:
    """`gateway registry serve`."""

    def __init__(self, registry: EmbeddedRegistry, host: str, port: int) -> None:
        self._registry = registry
        self._host = host
        self._port = port

    async def start(self, parts: AsyncExitStack, sockets: Sockets) -> None:
        """See Program."""
        # The socket first: a port in use should fail before anything is read.
        parts.callback(sockets.release)
        await sockets.open("registry serve", ("listen", "grpc"))
        sock = sockets.one_of("listen", self._host, self._port)
        grpc = sockets.beside("grpc", sock, self._host, "a registry")
        # What is registered, of an earlier run or of the process whose place this one takes.
        self._registry.open()
        parts.push_async_callback(self._registry.stop)
        self._know(await sockets.known())
        await sockets.wait_ready(list)
        await sockets.take_over(self._know)
        # Clients last: what they are sent has to be whole.
        await self._registry.listen(sock, grpc)
        warn_of_registry(self._host, self._registry.address, self._registry.has_users)
        _log.info("registry on %s", self._registry.address)

    def _know(self, state: State) -> None:
        if state:
            self._registry.know(state)

    def state(self) -> State:
        """What is registered."""
        return dump(self._registry.store)

    async def hand_over(self) -> State:
        """See Program."""
        await self._registry.stop_listening()
        return self.state()

    async def reload(self) -> None:
        """There is nothing to reload."""

    def reopen_logs(self) -> None:
        """There is no file to open."""
