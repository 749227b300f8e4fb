"""An instance that answers before it has the whole body, closes, and resets what goes on coming: its answer is passed on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.instance import Instance
from tests.support.loops import on_both_loops
from tests.support.origin import Origin
from tests.support.proxy import Client, Proxy

TRIES = 100
SIZE = 4_000_000
ANSWER = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large"


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A server in a thread of its own: it reads a little, answers, and closes with the rest unread, which resets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(1000)
                    connection.sendall(ANSWER)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


async def upload(client: Client, piece: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        for _ in range(SIZE // 65536):
            await client.send(piece)


@on_both_loops
@pytest.mark.parametrize(
    "framing", [b"Content-Length: %d" % SIZE, b"Transfer-Encoding: chunked"], ids=["length", "chunks"]
)
async def test_an_early_413_reaches_the_client_each_time(proxy: Proxy, origin: Origin, framing: bytes) -> None:
    piece = b"a" * 65536
    if framing.startswith(b"T"):
        piece = b"%x\r\n" % len(piece) + piece + b"\r\n"
    statuses: list[int] = []
    with refusing() as port:
        proxy.router.snapshot = proxy.snapshot([Instance("127.0.0.1", port)])
        for _ in range(TRIES):
            client = await proxy.connect()
            await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n" + piece)

            uploading = asyncio.create_task(upload(client, piece))
            answer = await client.answer()
            statuses.append(answer.status)
            client.writer.transport.abort()
            await uploading
    assert {status: statuses.count(status) for status in set(statuses)} == {413: TRIES}
