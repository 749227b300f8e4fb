"""An authorization service, as far as all that tests have it do is alike."""

from __future__ import annotations

import asyncio
from typing import Any


class AuthorizationService:
    """Listens on a port of its own, and has each connection served by `talk`."""

    def __init__(self) -> None:
        self.connections = 0
        self.open = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, **options: Any) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **options)
        self.port = self._server.sockets[0].getsockname()[1]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers questions for ever. What the other side's end raises is no error."""
        raise NotImplementedError

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            await self.talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()
            self._tasks.discard(task)

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
