"""An origin that speaks HTTP/2, by the h2 library: what it was sent is kept, and each request is answered by a script."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

Headers = list[tuple[str, str]]
Answer = Callable[["Call"], Awaitable[None]]


class Call:
    """One request, and the way to answer it."""

    def __init__(self, connection: Connection, stream: int, headers: Headers) -> None:
        self.connection = connection
        self.stream = stream
        self.headers = headers
        self.trailers: Headers = []
        self.parts: list[bytes] = []
        self.reset: int | None = None
        self.is_whole = asyncio.Event()
        self.came = asyncio.Event()
        self.room = asyncio.Event()

    def header(self, name: str) -> str | None:
        """The first value of a field."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def fields(self) -> Headers:
        """The fields that are not pseudo-fields."""
        return [(name, value) for name, value in self.headers if not name.startswith(":")]

    @property
    def path(self) -> str:
        return self.header(":path") or ""

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    async def whole(self) -> bytes:
        """The body, when all of it has come."""
        await self.is_whole.wait()
        return self.body

    def send_headers(self, *headers: tuple[str, str], ends: bool = False) -> None:
        self.connection.h2.send_headers(self.stream, list(headers), end_stream=ends)
        self.connection.flush()

    async def send_data(self, data: bytes, ends: bool = False) -> None:
        """Sends data as the peer takes it."""
        h2 = self.connection.h2
        while data:
            size = min(len(data), h2.local_flow_control_window(self.stream), h2.max_outbound_frame_size)
            if size > 0:
                h2.send_data(self.stream, data[:size])
                data = data[size:]
                self.connection.flush()
            else:
                self.room.clear()
                await self.room.wait()
        if ends:
            h2.end_stream(self.stream)
            self.connection.flush()

    def send_trailers(self, *headers: tuple[str, str]) -> None:
        self.connection.h2.send_headers(self.stream, list(headers), end_stream=True)
        self.connection.flush()

    def refuse(self, code: int) -> None:
        self.connection.h2.reset_stream(self.stream, code)
        self.connection.flush()


class Connection(asyncio.Protocol):
    """One connection to the origin."""

    def __init__(self, origin: H2Origin) -> None:
        self.origin = origin
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="latin-1", validate_inbound_headers=True)
        )
        self.calls: dict[int, Call] = {}
        self.transport: asyncio.Transport | None = None
        self.is_open = True
        self.goodbye: h2.events.ConnectionTerminated | None = None
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.origin.connections.append(self)
        if self.origin.is_mute:
            return
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=self.origin.settings)
        self.h2.initiate_connection()
        if self.origin.window:
            self.h2.increment_flow_control_window(self.origin.window)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        for call in self.calls.values():
            call.reset = -1
            call.is_whole.set()
            call.came.set()
            call.room.set()

    def flush(self) -> None:
        if self.transport is not None:
            self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.origin.is_mute:
            return
        try:
            found = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.origin.illegal.append(repr(error))
            self.flush()
            return
        for event in found:
            self._take(event)
        self.flush()

    def _take(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", 0) or 0
        call = self.calls.get(stream)
        if isinstance(event, h2.events.RequestReceived):
            call = self.calls[stream] = Call(self, stream, [(str(n), str(v)) for n, v in event.headers])
            self.origin.calls.append(call)
            self.origin.spawn(call)
        elif isinstance(event, h2.events.DataReceived) and call is not None:
            call.parts.append(event.data)
            call.came.set()
            if self.origin.takes:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.TrailersReceived) and call is not None:
            call.trailers = [(str(n), str(v)) for n, v in event.headers]
        elif isinstance(event, h2.events.StreamEnded) and call is not None:
            call.is_whole.set()
        elif isinstance(event, h2.events.StreamReset) and call is not None:
            call.reset = event.error_code
            for waiting in (call.is_whole, call.came, call.room):
                waiting.set()
        elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
            for other in self.calls.values():
                other.room.set()
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goodbye = event


async def echo(call: Call) -> None:
    """Answers with the path and the body."""
    body = await call.whole()
    text = f"{call.header(':method')} {call.path} ".encode() + body
    call.send_headers((":status", "200"), ("content-length", str(len(text))))
    await call.send_data(b"" if call.header(":method") == "HEAD" else text, ends=True)


class H2Origin:
    """Listens on a port of loopback. `takes`: it gives back the window of what it was sent; `is_mute`: it says nothing at all."""

    def __init__(self, answer: Answer = echo) -> None:
        self.answer = answer
        self.settings: dict[h2.settings.SettingCodes, int] = {}
        self.window = 0
        self.takes = True
        self.is_mute = False
        self.calls: list[Call] = []
        self.connections: list[Connection] = []
        self.illegal: list[str] = []
        self.problems: list[Exception] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def spawn(self, call: Call) -> None:
        task = asyncio.get_running_loop().create_task(self._run(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, call: Call) -> None:
        try:
            await self.answer(call)
        except (h2.exceptions.StreamClosedError, h2.exceptions.ProtocolError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - the test says what it was
            self.problems.append(error)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            if connection.transport is not None:
                connection.transport.abort()
