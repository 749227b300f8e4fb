"""A strict recording origin: it keeps what it received to the byte, and answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import h11

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Origin:
    """Listens on two ports: `base` and `gray`. Every connection's bytes are in `received`, by port name.

    Without a script each request is parsed with h11, which refuses what is not HTTP (then `illegal` counts; a legal message
    whose end never came counts as `unfinished`), and answered `200` with the port's name and the request's target.
    """

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self.received: list[bytes] = []
        self.requests: list[tuple[str, h11.Request, bytes]] = []
        self.connections = 0
        self.lost = 0
        self.illegal = 0
        self.unfinished = 0
        self.script: Script | None = None
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for name in ("base", "gray"):
            server = await asyncio.start_server(partial(self._track, name), "127.0.0.1", 0)
            self._servers.append(server)
            self.ports[name] = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _track(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(name, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.script is not None:
                await self.script(reader, writer)
            else:
                await self._answer_all(name, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.lost += 1
            writer.close()

    async def _answer_all(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
        raw = bytearray()
        self.received.append(b"")
        place = len(self.received) - 1
        request: h11.Request | None = None
        body = b""
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError:
                if connection.trailing_data[1]:
                    self.unfinished += 1
                else:
                    self.illegal += 1
                return
            if event is h11.NEED_DATA:
                data = await reader.read(65536)
                raw += data
                self.received[place] = bytes(raw)
                connection.receive_data(data)
            elif isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                self.requests.append((name, request, body))
                text = f"{name} {request.method.decode()} {request.target.decode()}".encode()
                headers = [("Content-Length", str(len(text)))]
                writer.write(connection.send(h11.Response(status_code=200, headers=headers, reason=b"OK")) or b"")
                writer.write(b"" if request.method == b"HEAD" else connection.send(h11.Data(data=text)) or b"")
                if request.method == b"HEAD":
                    connection.send_with_data_passthrough(h11.EndOfMessage())
                else:
                    writer.write(connection.send(h11.EndOfMessage()) or b"")
                await writer.drain()
                if connection.our_state is h11.MUST_CLOSE:
                    return
                connection.start_next_cycle()
            else:
                return

    def header(self, name: str, which: int = -1) -> str | None:
        """A header of a recorded request, the last one by default; None where it was absent."""
        _, request, _ = self.requests[which]
        values = [value.decode() for key, value in request.headers if key == name.lower().encode()]
        return ", ".join(values) if values else None
