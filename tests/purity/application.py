"""An application that has never heard of lanes: it names itself, calls the next service, and forwards what its mode says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from tests.purity.messages import END, Answer, Caller, Callers, Messages, field

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


def modes_for(before: str | None) -> list[str]:
    """The modes that keep the lane behind a service of mode `before`: nobody forwards a trace that ended there."""
    keeps_trace = before is None or before in KEEPS_TRACE
    return [mode for mode in MODES if mode != LOSES and (keeps_trace or mode != NEEDS_TRACE)]


class Application:
    """One process of a service, as far as anybody outside can tell: `label` is `service.tag.number`."""

    def __init__(self, label: str, mode: str, outbound: int, next_service: str) -> None:
        self._label = label
        self._forwarded = MODES[mode]
        self._next = next_service
        self._callers = Callers(outbound)
        self._connecting: set[asyncio.Task[None]] = set()
        self.clients: set[Client] = set()

    async def start(self, port: int) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Client(self), "127.0.0.1", port, backlog=4096
        )

    async def close(self) -> None:
        self._server.close()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for client in list(self.clients):
            client.transport.close()
        self._callers.close()

    def serve(self, head: bytes, client: Client) -> None:
        """Answers, after the next service has."""
        if not self._next:
            client.answer(200, self._label.encode())
            return
        lines = [b"GET /next HTTP/1.1", b"Host: " + self._next.encode()]
        for name in self._forwarded:
            value = field(head, name)
            if value is not None:
                lines.append(name + b": " + value)
        self._call(b"\r\n".join(lines) + END, client)

    def _call(self, request: bytes, client: Client) -> None:
        caller = self._callers.take()
        if caller is not None:
            # If it has none, the sidecar had closed it in the meantime.
            self._ask(caller, request, client, lambda: self._call(request, client))
            return
        task = asyncio.get_running_loop().create_task(self._connect_and_call(request, client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect_and_call(self, request: bytes, client: Client) -> None:
        try:
            caller = await self._callers.make()
        except OSError as error:
            self._fail(client, repr(error))
            return
        self._ask(caller, request, client, lambda: self._fail(client, "the connection was closed"))

    def _ask(self, caller: Caller, request: bytes, client: Client, lost: Callable[[], None]) -> None:
        def answered(answer: Answer | None) -> None:
            if answer is None:
                lost()
                return
            if answer.is_kept:
                self._callers.put(caller)
            if answer.status == 200:
                client.answer(200, b"%b%b%b" % (self._label.encode(), ARROW.encode(), answer.body))
            else:
                told = (self._label.encode(), answer.status, self._next.encode(), answer.body)
                client.answer(502, b"%b got %d from %b: %b" % told)

        caller.ask(request, answered)

    def _fail(self, client: Client, why: str) -> None:
        client.answer(502, f"{self._label} could not call {self._next}: {why}".encode())


class Client(Messages):
    """A connection to an application, with one request at a time."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        self._application = application

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._application.clients.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._application.clients.discard(self)

    def message(self, head: bytes, body: bytes) -> None:
        self._application.serve(head, self)

    def answer(self, status: int, text: bytes) -> None:
        """The response to the request that came."""
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text))
