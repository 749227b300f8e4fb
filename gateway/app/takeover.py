"""A new process in the place of one that runs: the listening sockets change hands while both serve.

The process that runs offers them at a Unix socket, which only its own user can open. A new one

1. gets copies of the sockets (SCM_RIGHTS), and as often as it likes what the other one knows that it cannot find out
   itself (`state`);
2. makes itself ready, and accepts connections beside the other one: both take them from the same queue, so that none is
   ever refused or lost;
3. says `go`. The other one gives up its admin API and registry, sends what it knows one last time, and drains.

One that fails before `go` has changed nothing. After the sockets, which come with a first message, messages are JSON with
their length before it: the two processes may be of different versions.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gateway import __version__
from gateway.errors import StartError

_log = logging.getLogger("gateway")

PROTOCOL: Final = 1
PATIENCE: Final = 30.0
"""Seconds that either side waits for a message of the other one."""
MOST_SOCKETS: Final = 253
"""What one message can carry (SCM_MAX_FD of Linux)."""

State = dict[str, Any]
"""What one process hands to the next: JSON."""

_SIZE: Final = struct.Struct("!I")
_PEER: Final = struct.Struct("3i")


class Predecessor:
    """The process that runs, whose place this one is to take. `sockets` are by name, each listening."""

    def __init__(
        self,
        sockets: dict[str, list[socket.socket]],
        pid: int,
        version: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.sockets = sockets
        self.pid = pid
        self.version = version
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def find(path: Path, role: str) -> Predecessor | None:
        """The process that offers its sockets at `path`; None if there is none.

        Raises StartError if there is one whose place cannot be taken.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(PATIENCE)
            await asyncio.to_thread(sock.connect, str(path))
            pid, user = _peer_of(sock)
            if user not in (0, os.geteuid()):
                raise ValueError(f"process {pid} there belongs to user {user}, whose sockets are not trusted")
            first, descriptors = await asyncio.to_thread(_receive_sockets, sock)
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            return None
        except (OSError, ValueError, TypeError) as error:
            sock.close()
            raise StartError(f"cannot take over at {path}: {error}") from error
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        sock.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        problem = _problem(first, role, len(sockets))
        if problem:
            for item in sockets:
                item.close()
            writer.close()
            raise StartError(f"cannot take over at {path}: {problem}")
        by_name: dict[str, list[socket.socket]] = {}
        for name, item in zip(first["sockets"], sockets, strict=True):
            item.setblocking(False)
            by_name.setdefault(name, []).append(item)
        return Predecessor(by_name, pid, first["version"], reader, writer)

    async def state(self) -> State:
        """What it knows. Raises StartError if it is gone."""
        return await self._ask("state")

    async def go(self) -> State:
        """Has it give up its place; what it knew at the end, nothing if it is gone: then there is nobody else, either."""
        try:
            return await self._ask("go")
        except StartError as error:
            _log.warning("%s", error)
            return {}
        finally:
            self.close()

    def close(self) -> None:
        """Leaves it alone."""
        self._writer.close()

    async def _ask(self, what: str) -> State:
        try:
            async with asyncio.timeout(PATIENCE):
                await _send(self._writer, {"ask": what})
                response = await _receive(self._reader)
        except (OSError, ValueError, TimeoutError) as error:
            raise StartError(f"cannot take over from process {self.pid}: it no longer responds") from error
        if not isinstance(response, dict):
            raise StartError(f"cannot take over from process {self.pid}: it has ended")
        return response


class Offer:
    """Offers the place of this process to a new one at `path`, from `start` until closed."""

    def __init__(self, path: Path, role: str) -> None:
        """Raises StartError if nothing can be offered at `path`."""
        self._path = path
        self._role = role
        # Under another name at first: the process that offers here is replaced in one step, when this process serves.
        self._own_path = path.with_name(f"{path.name}.{os.getpid()}")
        if path.exists() and not path.is_socket():
            raise StartError(f"cannot offer a takeover at {path}: something else is there and would be replaced")
        self._server: asyncio.Server | None = None
        self._is_busy = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            self._own_path.unlink(missing_ok=True)
            self._socket.bind(str(self._own_path))
            self._socket.listen()
            self._socket.setblocking(False)
            self._inode = self._own_path.stat().st_ino
        except OSError as error:
            self._socket.close()
            raise StartError(f"cannot offer a takeover at {path}: {error.strerror or error}") from error
        finally:
            os.umask(mask)

    async def start(
        self,
        sockets: Sequence[tuple[str, socket.socket]],
        state: Callable[[], State],
        hand_over: Callable[[], Awaitable[State]],
        left: Callable[[], None],
    ) -> None:
        """Begins to offer `sockets`, with their names.

        `state` returns what a successor has to know; `hand_over` does too, after it has given up all that two processes
        cannot have at once. `left` is called when that is done.
        """
        self._sockets = sockets
        self._state = state
        self._hand_over = hand_over
        self._left = left
        self._server = await asyncio.start_unix_server(self._serve, sock=self._socket)
        self._own_path.replace(self._path)

    def close(self) -> None:
        """Ends."""
        if self._server is None:
            self._socket.close()
        else:
            self._server.close()
        for path in (self._own_path, self._path):
            with contextlib.suppress(OSError):
                if path.stat().st_ino == self._inode:  # not a successor's
                    path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The loop's own socket may only be looked at.
        with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as sock:
            pid, _ = _peer_of(sock)
            names = [name for name, _ in self._sockets]
            first: State = {"protocol": PROTOCOL, "version": __version__, "role": self._role, "sockets": names}
            if self._is_busy:
                first = {"protocol": PROTOCOL, "error": "another process is doing that already"}
            descriptors = [] if self._is_busy else [item.fileno() for _, item in self._sockets]
            try:
                socket.send_fds(sock, [_framed(first)], descriptors)
            except OSError:
                descriptors = []  # it is gone
        if descriptors:
            self._is_busy = True
            _log.info("process %d is getting ready to take over", pid)
            if not await self._respond(reader, writer):
                _log.warning("process %d did not take over: it has ended", pid)
            self._is_busy = False
        writer.close()

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Responds until this process has given up its place; False if the other one has gone before."""
        try:
            while (message := await _receive(reader)) is not None:
                if message != {"ask": "go"}:
                    await _send(writer, self._state())
                    continue
                try:
                    await _send(writer, await self._hand_over())
                finally:
                    self._left()
                return True
        except (OSError, ValueError):
            pass
        return False


def _problem(first: Mapping[str, Any], role: str, count: int) -> str:
    """Why a predecessor's place cannot be taken; empty: it can."""
    if first.get("protocol") != PROTOCOL:
        return f"the running process speaks another protocol version ({first.get('protocol')}, not {PROTOCOL}): restart"
    if "error" in first:
        return str(first["error"])
    if first.get("role") != role:
        return f"`gateway {first.get('role')}` runs there, not `gateway {role}`"
    if len(first.get("sockets", ())) != count:
        return "its sockets did not arrive"
    return ""


def _peer_of(sock: socket.socket) -> tuple[int, int]:
    """Who is at the other end of a Unix socket: the numbers of the process and of its user."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0, os.geteuid()  # only Linux reports it; what keeps others out is the socket's mode
    pid, user, _ = _PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return pid, user


def _receive_sockets(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(sock, 65536, MOST_SOCKETS)
    if len(data) < _SIZE.size:
        raise ValueError("the running process is stopping")
    (size,) = _SIZE.unpack_from(data)
    while len(data) < _SIZE.size + size:
        more = sock.recv(65536)
        if not more:
            raise ValueError("the running process is stopping")
        data += more
    message = json.loads(data[_SIZE.size :])
    return dict(message), list(descriptors)


def _framed(message: Mapping[str, Any]) -> bytes:
    data = json.dumps(message).encode()
    return _SIZE.pack(len(data)) + data


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(await asyncio.to_thread(_framed, message))
    await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> Any:
    """The next message; None if the other end is gone."""
    try:
        (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
        data = await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        return None
    return await asyncio.to_thread(json.loads, data)
