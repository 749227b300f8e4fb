"""Messages between the supervisor and a worker, over the socket pair that the worker was started with.

Pickled, as `multiprocessing` does it: both ends are this very program, and nobody else holds the sockets.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from typing import Any

_SIZE = struct.Struct("!I")

Message = tuple[str, tuple[Any, ...]]
"""What it is about, and the values that belong to it: built-in types, settings and lane groups."""


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @staticmethod
    async def over(sock: socket.socket) -> Channel:
        """The channel over one socket of the pair."""
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        return Channel(reader, writer)

    def send(self, name: str, *values: Any) -> None:
        """Sends a message; what the other end cannot take yet waits here. Nothing happens if it is gone."""
        if self._writer.is_closing():
            return
        data = pickle.dumps((name, values), pickle.HIGHEST_PROTOCOL)
        self._writer.write(_SIZE.pack(len(data)) + data)

    async def receive(self) -> Message | None:
        """The next message, None if the other end is gone."""
        try:
            (size,) = _SIZE.unpack(await self._reader.readexactly(_SIZE.size))
            message: Message = pickle.loads(await self._reader.readexactly(size))  # noqa: S301
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return message

    async def flush(self) -> None:
        """Waits until what was sent is on its way."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        """Closes this end; the other one notices."""
        self._writer.close()
