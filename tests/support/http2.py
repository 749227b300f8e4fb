"""Both ends of HTTP/2 in a test: raw frames, an endpoint whose output is a list, and a client that another library speaks for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
from hyperframe.frame import Frame

from gateway.http2 import events
from gateway.http2.endpoint import Endpoint
from gateway.http2.events import Event
from gateway.http2.frames import (
    END_HEADERS,
    END_STREAM,
    HEAD_SIZE,
    PREFACE,
    SETTINGS_ACK,
    head,
    settings_frame,
)
from gateway.http2.hpack import Field, encode_field
from gateway.http2.terms import Terms

GET: list[Field] = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/A/x"), (b":authority", b"shop.example")]
POST: list[Field] = [(b":method", b"POST"), *GET[1:]]
KINDS = {value: name for name, value in vars(events).items() if name.isupper() and isinstance(value, int)}


def block(fields: list[Field]) -> bytes:
    """A header block."""
    return b"".join([encode_field(*item) for item in fields])


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Any frame."""
    return head(len(payload), kind, flags, stream) + payload


def headers(stream: int, fields: list[Field], ends: bool = True) -> bytes:
    """HEADERS with a whole block."""
    return frame(1, END_HEADERS | (END_STREAM if ends else 0), stream, block(fields))


def data(stream: int, payload: bytes, ends: bool = False) -> bytes:
    """DATA."""
    return frame(0, END_STREAM if ends else 0, stream, payload)


def hello(pairs: list[tuple[int, int]] | None = None) -> bytes:
    """How a client begins: it takes the server's settings at once."""
    return PREFACE + settings_frame(pairs or []) + SETTINGS_ACK


def frames_of(written: bytes) -> Iterator[Any]:
    """The frames in what was written."""
    while written:
        found, length = Frame.parse_frame_header(memoryview(written[:9]))
        found.parse_body(memoryview(written[9 : 9 + length]))
        yield found
        written = written[9 + length :]


class End:
    """An endpoint, what it writes, and what it says has happened."""

    def __init__(self, terms: Terms | None = None, is_server: bool = True) -> None:
        self._out: list[bytes] = []
        self.endpoint = Endpoint(terms or Terms(), self._out.append, is_server, 0.0)

    @property
    def written(self) -> bytes:
        """What was written since the last look."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    @property
    def frames(self) -> list[Any]:
        """The same, as frames."""
        return list(frames_of(self.written))

    def events(self) -> list[Event]:
        """What has happened since the last look."""
        return list(iter(self.endpoint.next_event, None))

    def feed(self, *pieces: bytes, now: float = 0.0) -> list[Event]:
        """What follows from these bytes."""
        found = []
        for piece in pieces:
            self.endpoint.feed(piece, now)
            found += self.events()
        return found

    def begin(self) -> End:
        """A server whose client has begun; a client whose server has."""
        first = hello() if self.endpoint.is_server else settings_frame([]) + SETTINGS_ACK
        self.feed(first)
        _ = self.written
        return self


def told(found: list[Event]) -> list[tuple[Any, ...]]:
    """Events as values: the kind, the stream, and what there is beside."""
    values = []
    for event in found:
        rest: list[Any] = [event.payload] if event.payload else []
        if event.ends:
            rest.append("ends")
        if event.code:
            rest.append(event.code)
        values.append((KINDS[event.kind], 0 if event.stream is None else event.stream.id, *rest))
    return values


@dataclass
class Response:
    """What has come on one stream. `reset` is the error's code, -1 while there is none."""

    status: int = 0
    fields: list[Field] = field(default_factory=list)
    interims: list[int] = field(default_factory=list)
    body: bytes = b""
    trailers: list[Field] = field(default_factory=list)
    is_done: bool = False
    reset: int = -1

    def header(self, name: bytes) -> bytes | None:
        return dict(self.fields).get(name)


class H2Client:
    """A client, for which the `h2` library speaks; the test carries the bytes. `takes`: it gives window back at once."""

    def __init__(self, takes: bool = True) -> None:
        config = h2.config.H2Configuration(
            client_side=True, header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.takes = takes
        self.responses: dict[int, Response] = {}
        self.goaways: list[tuple[int, int]] = []

    def send(self) -> bytes:
        """What is to be sent."""
        return self.connection.data_to_send()

    def request(self, fields: list[Field] | None = None, body: bytes | None = None, ends: bool = True) -> Response:
        """A new request, with as much of its body as its windows take."""
        number = self.connection.get_next_available_stream_id()
        found = self.responses[number] = Response()
        self.connection.send_headers(
            number, fields or (GET if body is None else POST), end_stream=body is None and ends
        )
        if body is not None:
            self.connection.send_data(number, body, end_stream=ends)
        return found

    def number(self, response: Response) -> int:
        """The stream on which a response comes."""
        return next(number for number, found in self.responses.items() if found is response)

    def receive(self, written: bytes) -> None:
        """Takes what the server sent, whole frames."""
        while written:
            length = HEAD_SIZE + int.from_bytes(written[:3], "big")
            for event in self.connection.receive_data(written[:length]):
                self._take(event)
            written = written[length:]

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append((event.last_stream_id or 0, int(event.error_code or 0)))
            # The library takes any GOAWAY for the end of everything, which it is not (RFC 9113 §6.8).
            self.connection.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            return
        found = self.responses.get(getattr(event, "stream_id", 0) or 0, Response())
        if isinstance(event, h2.events.ResponseReceived):
            fields = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
            found.status, found.fields = int(fields[0][1]), fields[1:]
        elif isinstance(event, h2.events.InformationalResponseReceived):
            found.interims.append(int(bytes((event.headers or [])[0][1])))
        elif isinstance(event, h2.events.DataReceived):
            found.body += event.data or b""
            if self.takes and event.flow_controlled_length:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)
        elif isinstance(event, h2.events.TrailersReceived):
            found.trailers = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
        elif isinstance(event, h2.events.StreamEnded):
            found.is_done = True
        elif isinstance(event, h2.events.StreamReset):
            found.reset = int(event.error_code or 0)


class SocketClient(H2Client):
    """The same over a socket: what comes is read as it comes, and a new connection is made when the server asks for one."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False
        self._changed = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self, port: int, **options: Any) -> SocketClient:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", port, **options)
        self._reading = asyncio.create_task(self._read(reader))
        self.flush()
        return self

    def flush(self) -> None:
        """Sends what there is."""
        if self._writer is not None and not self.is_closed:
            self._writer.write(self.send())

    @property
    def has_to_leave(self) -> bool:
        """Whether the server takes no new requests."""
        return self.is_closed or bool(self.goaways)

    async def ask(self, fields: list[Field] | None = None, body: bytes | None = None) -> Response:
        """A request, and its whole response. A body is sent as its windows let it."""
        found = self.request(
            fields or (GET if body is None else POST), None if body is None else b"", ends=body is None
        )
        number = self.number(found)
        self.flush()
        async with asyncio.timeout(30):
            while body:
                room = min(self.connection.local_flow_control_window(number), 16384, len(body))
                if room:
                    self.connection.send_data(number, body[:room], end_stream=room == len(body))
                    self.flush()
                    body = body[room:]
                else:
                    await self._wait()
            while not found.is_done and found.reset < 0 and not self.is_closed:
                await self._wait()
        return found

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(HEAD_SIZE)
                self.receive(head + await reader.readexactly(int.from_bytes(head[:3], "big")))
                self.flush()
                self._changed.set()
        self.is_closed = True
        self._changed.set()

    def close(self) -> None:
        self.is_closed = True
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()


class Caller:
    """Asks on one connection, again and again, and on a new one as soon as it is to leave. `failed` is what nobody may see."""

    def __init__(self, port: int, fields: list[Field] | None = None) -> None:
        self.port = port
        self.answered = 0
        self.connections = 0
        self.failed: list[str] = []
        self._fields = fields

    async def run(self) -> None:
        """Until nobody listens any more."""
        while True:
            client = SocketClient()
            try:
                await client.connect(self.port)
            except ConnectionError:
                return
            self.connections += 1
            pending: set[asyncio.Task[None]] = set()
            while not client.has_to_leave:
                pending = {task for task in pending if not task.done()}
                while len(pending) < 4:
                    pending.add(asyncio.create_task(self._ask(client)))
                await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*pending)
            client.close()

    async def _ask(self, client: SocketClient) -> None:
        found = await client.ask(self._fields)
        if found.status == 200 and found.is_done:
            self.answered += 1
        elif not client.goaways or client.number(found) <= client.goaways[-1][0]:
            self.failed.append(f"{found} on a connection that said {client.goaways}")
