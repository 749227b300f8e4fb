"""A listener: accepts connections, keeps the coarse clock, enforces deadlines and drains."""

from __future__ import annotations

import asyncio
import socket

from gateway.errors import StartError
from gateway.proxy.context import Context
from gateway.proxy.downstream import Downstream

TICK = 0.25
"""Seconds between two looks at the deadlines: how late a timeout may be."""


def bind(host: str, port: int, backlog: int = 1024) -> socket.socket:
    """A listening socket on the address; port 0 takes a free one. Raises StartError naming the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    sock.setblocking(False)
    return sock


class Listener:
    """One listening socket and the connections it accepted."""

    def __init__(self, sock: socket.socket, context: Context) -> None:
        self._sock = sock
        self.port: int = sock.getsockname()[1]
        self._context = context
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Begins to accept."""
        context = self._context
        self._server = await context.loop.create_server(lambda: Downstream(context), sock=self._sock)  # type: ignore[arg-type,return-value]
        self._tick()

    def _tick(self) -> None:
        context = self._context
        now = context.now = context.loop.time()
        for connection in [connection for connection in context.connections if connection.deadline < now]:
            connection.deadline_passed()
        context.origins.close_idle(now - context.timeouts.upstream_idle)
        self._timer = context.loop.call_later(TICK, self._tick)

    async def drain(self, delay: float, timeout: float) -> bool:
        """Winds down without failing a request: every answer from now on says `Connection: close`.

        For `delay` seconds new connections are still accepted (peers may not have noticed yet). Then the socket
        closes, and what is in flight has `timeout` seconds to finish. Returns whether all of it did.
        """
        context = self._context
        context.is_draining = True
        if delay:
            await asyncio.sleep(delay)
        if self._server is not None:
            self._server.close()
        deadline = context.loop.time() + timeout
        while True:
            for connection in list(context.connections):
                connection.close_if_idle()
            if not context.connections:
                return True
            if context.loop.time() >= deadline:
                return False
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Closes everything at once."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._context.connections):
            connection.close_now()
        for task in list(self._context.tasks):
            task.cancel()
        await asyncio.gather(*self._context.tasks, return_exceptions=True)
