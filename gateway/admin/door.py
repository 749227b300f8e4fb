"""The admin API's listener of a sidecar: probes and scrapers are served here, and everything else by what is loaded for it then.

There is a sidecar beside every instance, and most are asked by nobody but a kubelet and Prometheus. The whole API (aiohttp, the
console, the editing of rules) is a third of such a process. So plain requests for `/livez`, `/readyz` and `/metrics` are answered
without it. The first other request loads it, in a thread, and that connection is its own from then on.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable
from typing import Final, Protocol

from gateway.admin.view import RoleView
from gateway.errors import StartError
from gateway.printable import printable
from gateway.settings import Address
from gateway.web.headers import HEADERS
from gateway.web.names import OwnNames

_log = logging.getLogger("gateway.admin")

TEXT: Final = "text/plain; charset=utf-8"
MAX_HEAD: Final = 8192
"""Bytes of a plain request's head."""
IDLE: Final = 75.0
"""Seconds that a connection may be without a request."""
_PLAIN: Final = re.compile(
    rb"GET (/livez|/readyz|/metrics) HTTP/1\.1\r\n"
    # What probes and scrapers send. A browser sends more, and what it sends must be judged: `web/guard.py`.
    rb"(?:(?:Host: ([^\r\n]*)|(?:User-Agent|Accept|Accept-Encoding|Connection|X-Prometheus-Scrape-Timeout-Seconds)"
    rb": [^\r\n]*)\r\n)*\r\n",
    re.IGNORECASE,
)
_PATH: Final = re.compile(rb"GET /(?:livez|readyz|metrics) HTTP/1\.1\r\n")
_HOST: Final = re.compile(rb"\r\nHost:", re.IGNORECASE)
_CLOSES: Final = re.compile(rb"\r\nConnection: *close *\r\n", re.IGNORECASE)
_REASONS: Final = {200: b"OK", 503: b"Service Unavailable"}


class Api(Protocol):
    """The whole of the admin API: see AdminServer."""

    async def open(self) -> Callable[[], asyncio.Protocol]:
        """Begins to serve connections that somebody else has accepted: with protocols of this factory."""
        ...

    async def close(self) -> None:
        """Stops serving."""
        ...


class AdminDoor:
    """Listens on `host:port` for the admin API of a role. `load` is called in a thread, once: what it returns makes the API."""

    def __init__(
        self, host: str, port: int, view: RoleView, load: Callable[[], Callable[[], Api]], names: OwnNames
    ) -> None:
        self.port = port
        self.view = view
        self.names = names
        self._host = host
        self._load = load
        self._server: asyncio.Server | None = None
        self._api: Api | None = None
        self._loading: asyncio.Task[Callable[[], asyncio.Protocol]] | None = None
        self.waiting: set[Knock] = set()

    async def start(self, sock: socket.socket | None = None) -> None:
        """Begins to listen, on a socket that listens already or on its own. Raises StartError naming the address."""
        loop = asyncio.get_running_loop()
        try:
            if sock is None:
                self._server = await loop.create_server(lambda: Knock(self), self._host, self.port)
            else:
                self._server = await loop.create_server(lambda: Knock(self), sock=sock)
        except OSError as error:
            address = Address(host=self._host, port=self.port)
            raise StartError(f"cannot listen on {address} for the admin API: {error.strerror or error}") from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def whole(self) -> Callable[[], asyncio.Protocol]:
        """What makes protocols of the whole API, loaded when it is asked for first."""
        if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
            self._loading = asyncio.get_running_loop().create_task(self._open())
        return await asyncio.shield(self._loading)

    async def _open(self) -> Callable[[], asyncio.Protocol]:
        self._api = (await asyncio.to_thread(self._load))()
        return await self._api.open()

    async def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()
        for knock in list(self.waiting):
            knock.close()
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)
        if self._api is not None:
            await self._api.close()


class Knock(asyncio.Protocol):
    """A connection of which it is not known yet whether it needs the whole API."""

    def __init__(self, door: AdminDoor) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._handing_over: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = transport  # type: ignore[assignment]
        self._door.waiting.add(self)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._received += data
        while self._received and self._handing_over is None and self._transport is not None:
            end = self._received.find(b"\r\n\r\n") + 4
            if end < 4:
                if len(self._received) > MAX_HEAD or not _begins_plainly(self._received):
                    self._hand_over()
                return
            if not self._serve(self._received[:end]):
                self._hand_over()
                return
            self._received = self._received[end:]

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._transport = None
        self._forget()

    def close(self) -> None:
        """Closes it."""
        if self._transport is not None:
            self._transport.close()

    def _serve(self, head: bytes) -> bool:
        """Responds to a plain request; False if it is not one."""
        match = _PLAIN.fullmatch(head)
        if match is None or len(_HOST.findall(head)) != 1 or not match[2]:
            return False
        if not self._door.names.includes(match[2].strip().lower().decode("latin-1")):
            return False
        status, kind, body = _RESPONSES[match[1]](self._door.view)
        closes = _CLOSES.search(head) is not None
        fields = {"Content-Type": kind, "Content-Length": f"{len(body)}", **HEADERS}
        if closes:
            fields["Connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        assert self._transport is not None
        self._transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n" % (status, _REASONS[status], lines.encode("ascii")) + body)
        self._wait()
        if closes:
            self.close()
            self._transport = None
        return True

    def _hand_over(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()
        self._handing_over = asyncio.get_running_loop().create_task(self._pass_on())

    async def _pass_on(self) -> None:
        try:
            factory = await self._door.whole()
        except Exception:  # noqa: BLE001 - a bug, or a module that is not there any more: the next one tries again
            _log.exception("the admin API cannot be loaded")
            self.close()
            return
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._forget()
        protocol = factory()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        protocol.data_received(self._received)

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(IDLE, self.close)

    def _forget(self) -> None:
        self._door.waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()


def _begins_plainly(data: bytes) -> bool:
    """Whether what has come of a request may still become a plain one."""
    line, found, _ = data.partition(b"\r\n")
    if found:
        return _PATH.match(data) is not None
    return any(f"GET {path} HTTP/1.1\r".encode().startswith(line) for path in ("/livez", "/readyz", "/metrics"))


def _livez(_: RoleView) -> tuple[int, str, bytes]:
    return 200, TEXT, b"ok\n"


def _readyz(view: RoleView) -> tuple[int, str, bytes]:
    reasons = view.not_ready()
    if not reasons:
        return 200, TEXT, b"ok\n"
    return 503, TEXT, "".join(f"not ready: {printable(reason)}\n" for reason in reasons).encode()


def _metrics(view: RoleView) -> tuple[int, str, bytes]:
    from prometheus_client.exposition import CONTENT_TYPE_LATEST  # who is never scraped does without

    from gateway.admin.collector import Collector

    return 200, CONTENT_TYPE_LATEST, Collector(view.observed()).exposition()


_RESPONSES: Final[dict[bytes, Callable[[RoleView], tuple[int, str, bytes]]]] = {
    b"/livez": _livez,
    b"/readyz": _readyz,
    b"/metrics": _metrics,
}
