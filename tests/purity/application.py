"""An application that has never heard of lanes: it names itself, calls the next service, and forwards what its mode says."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

MODES: Final = {
    "header": (b"x-gray-tag",),
    "baggage": (b"baggage",),
    "traceparent": (b"traceparent",),
    "x-request-id": (b"x-request-id",),
    "agent": (b"traceparent", b"baggage"),
    "nothing": (),
}
"""What an application forwards of the headers of its request."""
NEEDS_TRACE: Final = "traceparent"
LOSES: Final = "nothing"
KEEPS_TRACE: Final = ("traceparent", "agent")
ARROW: Final = " > "
BODY_TIMEOUT: Final = 30.0


def modes_for(before: str | None) -> list[str]:
    """The modes that keep the lane behind a service of mode `before`: nobody forwards a trace that ended there."""
    keeps_trace = before is None or before in KEEPS_TRACE
    return [mode for mode in MODES if mode != LOSES and (keeps_trace or mode != NEEDS_TRACE)]


class Application:
    """One process of a service, as far as anybody outside can tell: `label` is `service.tag.number`."""

    def __init__(self, label: str, mode: str, outbound: int, next_service: str) -> None:
        self._label = label
        self._forwarded = MODES[mode]
        self._outbound = outbound
        self._next = next_service
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, writer in self._idle:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                _, fields, _ = await read_message(reader)
                status, text = await self._answer(fields)
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text))
                await writer.drain()
        self._tasks.discard(task)
        writer.close()

    async def _answer(self, fields: dict[bytes, bytes]) -> tuple[int, bytes]:
        own = self._label.encode()
        if not self._next:
            return 200, own
        lines = [b"GET /next HTTP/1.1", b"Host: " + self._next.encode()]
        lines += [name + b": " + fields[name] for name in self._forwarded if name in fields]
        try:
            status, text = await self._call(b"\r\n".join(lines) + b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError) as error:
            return 502, f"{self._label} could not call {self._next}: {error!r}".encode()
        if status != 200:
            return 502, b"%b got %d from %b: %b" % (own, status, self._next.encode(), text)
        return 200, own + ARROW.encode() + text

    async def _call(self, request: bytes) -> tuple[int, bytes]:
        while True:
            is_kept = bool(self._idle)
            reader, writer = self._idle.pop() if is_kept else await asyncio.open_connection("127.0.0.1", self._outbound)
            try:
                writer.write(request)
                first, fields, text = await read_message(reader)
            except (OSError, asyncio.IncompleteReadError):
                writer.close()
                if not is_kept:
                    raise
                continue  # the sidecar had closed it in the meantime
            if fields.get(b"connection") == b"close":
                writer.close()
            else:
                self._idle.append((reader, writer))
            return int(first.split()[1]), text


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """One message whose body, if there is one, has a length: its first line, its fields by lower-case name, its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip()
    return first, fields, await reader.readexactly(int(fields.get(b"content-length", b"0")))
