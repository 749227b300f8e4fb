"""The listening sockets of a process: given by its supervisor, taken over from the process before it, or its own.

Each has the name of the setting that says where it listens: `listen`, `admin`, `inbound`, …
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from gateway.app.systemd import inherited_sockets
from gateway.app.takeover import Offer, Predecessor, State
from gateway.errors import StartError
from gateway.proxy.server import bind
from gateway.registry.embedded.ports import grpc_port
from gateway.settings.nacosports import PORT_OFFSET

_log = logging.getLogger("gateway")

PATIENCE: Final = 30.0
"""Seconds that a process has to be ready to take another one's place."""
GRACE: Final = 5.0
"""Seconds that connections wait in a supervisor's socket for a process that is not ready."""
LOOK: Final = 0.02
"""Seconds between two looks whether it is."""


class Sockets:
    """Made once for a process. `takeover` is where processes meet that take each other's place; None: nowhere."""

    def __init__(self, takeover: Path | None = None) -> None:
        self._path = takeover
        self._given: dict[str, list[socket.socket]] = {}
        self._predecessor: Predecessor | None = None
        self._is_activated = False
        self._used: list[tuple[str, socket.socket]] = []
        self._offer: Offer | None = None

    async def open(self, role: str, names: Collection[str]) -> None:
        """Looks what there is for a role that listens on sockets of these names. Raises StartError."""
        self._given = inherited_sockets()
        self._is_activated = bool(self._given)
        for name in self._given:
            if name not in names:
                known = ", ".join(names)
                raise StartError(
                    f"LISTEN_FDNAMES: `{role}` has no socket {name!r} (FileDescriptorName= is one of {known})"
                )
        if self._path is not None:
            self._predecessor = await Predecessor.find(self._path, role)
            self._offer = Offer(self._path, role)

    def of(self, name: str, host: str, port: int, count: int = 1) -> list[socket.socket]:
        """The sockets of a name: `count` of them, or those that are there already, however many.

        Those of a supervisor are used wherever they listen, those of a predecessor if they listen on that very address.
        Raises StartError if the address cannot be had.
        """
        sockets = self._given.pop(name, [])
        if not sockets and self._predecessor is not None:
            theirs = self._predecessor.sockets.pop(name, [])
            sockets = [sock for sock in theirs if _listens_on(sock, host, port)]
            for sock in theirs:
                if sock not in sockets:
                    sock.close()
        if not sockets:
            sockets = _bound(host, port, count)
        self._used.extend((name, sock) for sock in sockets)
        return sockets

    def one_of(self, name: str, host: str, port: int) -> socket.socket:
        """The socket of a name that has only one. See `of`."""
        sock, *others = self.of(name, host, port)
        if others:
            raise StartError(f"LISTEN_FDNAMES: {name!r} names one socket, not {1 + len(others)}")
        return sock

    def beside(self, name: str, first: socket.socket, host: str, purpose: str) -> socket.socket:
        """The socket for gRPC beside one for HTTP: clients expect it 1000 ports above. Raises StartError."""
        port = first.getsockname()[1]
        try:
            return self.one_of(name, host, grpc_port(port))
        except StartError as error:
            raise StartError(
                f"{error}; over gRPC, the clients of {purpose} at port {port} expect it {PORT_OFFSET} higher"
            ) from error

    async def wait_ready(self, not_ready: Callable[[], list[str]]) -> None:
        """Waits until a process that gets connections at once can serve them.

        Raises StartError if it cannot, and another process does so in the meantime.
        """
        unused = next(iter(self._given), None)
        if unused is not None:
            raise StartError(f"LISTEN_FDNAMES: nothing listens on the socket {unused!r} with this configuration")
        if self._predecessor is None and not self._is_activated:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (GRACE if self._predecessor is None else PATIENCE)
        while reasons := not_ready():
            if loop.time() >= deadline:
                if self._predecessor is None:
                    return
                pid = self._predecessor.pid
                raise StartError(
                    f"not ready to take over from process {pid}, which keeps running: {'; '.join(reasons)}"
                )
            await asyncio.sleep(LOOK)

    async def known(self) -> State:
        """What the process knows whose place is to be taken; nothing if there is none. Raises StartError."""
        return {} if self._predecessor is None else await self._predecessor.state()

    async def take_over(self, know: Callable[[State], None]) -> None:
        """Has that process give up its place, and gives `know` what it knew at the end.

        From here on nobody else serves: what it knew helps, and what cannot be used of it is dropped.
        """
        predecessor, self._predecessor = self._predecessor, None
        if predecessor is None:
            return
        state = await predecessor.go()
        _log.info("took over from process %d (version %s)", predecessor.pid, predecessor.version)
        try:
            know(state)
        except Exception as error:  # noqa: BLE001 - the other process may be of a version that nobody knows here
            _log.error("the state of process %d cannot be used: %s: %s", predecessor.pid, type(error).__name__, error)

    async def offer(
        self, state: Callable[[], State], hand_over: Callable[[], Awaitable[State]], left: Callable[[], None]
    ) -> None:
        """Lets another process take this one's place from now on: see `takeover.Offer`."""
        if self._offer is not None:
            await self._offer.start(self._used, state, hand_over, left)

    def close(self) -> None:
        """Ends that, and leaves a process alone whose place was not taken; closes the sockets that were not used."""
        unused = list(self._given.values())
        self._given = {}
        if self._predecessor is not None:
            unused += self._predecessor.sockets.values()
            self._predecessor.close()
            self._predecessor = None
        for sockets in unused:
            for sock in sockets:
                sock.close()
        if self._offer is not None:
            self._offer.close()

    def release(self) -> None:
        """Closes the sockets that were used."""
        for _, sock in self._used:
            sock.close()


def dealt(sockets: Sequence[socket.socket], count: int) -> list[list[socket.socket]]:
    """The sockets for each of `count` workers: everybody has one at least, and each is somebody's."""
    if len(sockets) >= count:
        return [list(sockets[index::count]) for index in range(count)]
    return [[sockets[index % len(sockets)]] for index in range(count)]


def _bound(host: str, port: int, count: int) -> list[socket.socket]:
    sock = bind(host, port)
    if count == 1:
        return [sock]
    # Only the workers are to share the port: the first socket, which shares with nobody, shows that it is free.
    port = sock.getsockname()[1]
    sock.close()
    return [bind(host, port, shared=True) for _ in range(count)]


def _listens_on(sock: socket.socket, host: str, port: int) -> bool:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        known = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except OSError:
        return False
    return sock.getsockname()[:2] in [address[:2] for *_, address in known]
