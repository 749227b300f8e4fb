"""HTTP/1.1 as cheap as it can be, since what the load and the applications need of the machine, the mesh does not get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, cast

END: Final = b"\r\n\r\n"


class Answer(NamedTuple):
    """A response, and whether its connection stays open."""

    status: int
    body: bytes
    is_kept: bool


def field(head: bytes, name: bytes) -> bytes | None:
    """The value of the first field of that name, in lower case, if there is one."""
    at = head.lower().find(b"\r\n%b:" % name)
    if at < 0:
        return None
    value, _, _ = head[at + len(name) + 3 :].partition(b"\r\n")
    return value.strip()


class Messages(asyncio.Protocol):
    """A connection on which messages arrive whose bodies, if they have any, have a length."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's only looks like one

    def data_received(self, data: bytes) -> None:
        data = self._data + data if self._data else data
        while (end := data.find(END)) >= 0:
            head, begin = data[:end], end + len(END)
            size = int(field(head, b"content-length") or 0)
            if len(data) < begin + size:
                break
            body, data = data[begin : begin + size], data[begin + size :]
            self.message(head, body)
        self._data = data

    def message(self, head: bytes, body: bytes) -> None:
        """One has arrived."""
        raise NotImplementedError


class Caller(Messages):
    """A connection for one request at a time. `served` is how many it has carried."""

    def __init__(self) -> None:
        super().__init__()
        self._answered: Callable[[Answer | None], None] | None = None
        self.served = 0

    def ask(self, request: bytes, answered: Callable[[Answer | None], None]) -> None:
        """Sends a request; None is the answer if the connection closes without one."""
        self.served += 1
        self._answered = answered
        self.transport.write(request)

    def message(self, head: bytes, body: bytes) -> None:
        is_kept = field(head, b"connection") != b"close"
        if not is_kept:
            self.transport.close()
        self._end(Answer(int(head[9:12]), body, is_kept))

    def connection_lost(self, error: Exception | None) -> None:
        self._end(None)

    def _end(self, answer: Answer | None) -> None:
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(answer)


class Callers:
    """The connections to one port, each used again while idle, at most `most` times (0: any number)."""

    def __init__(self, port: int, most: int = 0) -> None:
        self._port = port
        self._most = most
        self._idle: list[Caller] = []

    def take(self) -> Caller | None:
        """One that is idle."""
        while self._idle:
            caller = self._idle.pop()
            if not caller.transport.is_closing():
                return caller
        return None

    async def make(self) -> Caller:
        """A new one. Raises OSError."""
        _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", self._port)
        return caller

    def put(self, caller: Caller) -> None:
        """Takes one back that has had its answer."""
        if self._most and caller.served >= self._most:
            caller.transport.close()
        else:
            self._idle.append(caller)

    def close(self) -> None:
        for caller in self._idle:
            caller.transport.close()
