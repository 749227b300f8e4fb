"""TLS and plain text on one socket, before the connection is anybody's."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.proxy import peeking
from gateway.proxy.peeking import PeekingServer
from gateway.proxy.server import bind
from gateway.tls.refusing import RefusingContext
from tests.support.wait import until


class Arrivals:
    """What connections talk to: each keeps what it was sent."""

    def __init__(self) -> None:
        self.arriving: set[Any] = set()
        self.received = b""
        self.failures: list[Exception] = []

    def arrive(self) -> Any:
        arrivals = self

        class Protocol(asyncio.Protocol):
            clients = arrivals

            def connection_made(self, transport: Any) -> None:
                arrivals.arriving.discard(self)

            def data_received(self, data: bytes) -> None:
                arrivals.received += data

        protocol = Protocol()
        self.arriving.add(protocol)
        return protocol

    def failed(self, _: str, error: Exception) -> None:
        self.failures.append(error)


class Peeking:
    def __init__(self) -> None:
        self.arrivals = Arrivals()
        sock = bind("127.0.0.1", 0)
        self.port = sock.getsockname()[1]
        context = RefusingContext(ssl.PROTOCOL_TLS_SERVER)
        self.server = PeekingServer(
            asyncio.get_running_loop(),
            sock,
            self.arrivals.arrive,
            context=lambda: context,
            failed=self.arrivals.failed,
            timeout=10.0,
        )

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))


@pytest.fixture
async def here() -> AsyncIterator[Peeking]:
    here = Peeking()
    yield here
    here.server.abort()
    here.server.close()


async def test_plain_text_arrives_with_its_first_byte(here: Peeking) -> None:
    with here.connect() as client:
        await until(lambda: here.server.silent == 1)
        client.sendall(b"GET /")
        await until(lambda: here.arrivals.received == b"GET /")
        assert (here.server.silent, here.arrivals.arriving, here.arrivals.failures) == (0, set(), [])


async def test_a_handshake_that_fails_is_told_and_leaves_nothing_behind(here: Peeking) -> None:
    with here.connect() as client:
        client.sendall(b"\x16\x03\x01\x00\x05hello")
        await until(lambda: here.arrivals.failures)
        client.settimeout(10)
        assert client.recv(100)[:1] == b"\x15", "an alert"
    assert (here.server.silent, here.arrivals.arriving, here.arrivals.received) == (0, set(), b"")


async def test_one_that_closes_without_a_word_is_nobody_s_failure(here: Peeking) -> None:
    here.connect().close()
    with here.connect():
        await until(lambda: here.server.silent == 1)
    await until(lambda: here.server.silent == 0)
    assert (here.arrivals.arriving, here.arrivals.failures) == (set(), [])


async def test_those_that_stay_silent_are_dropped_and_those_that_have_spoken_are_not(here: Peeking) -> None:
    with here.connect() as silent, here.connect() as speaks:
        await until(lambda: here.server.silent == 2)
        now = asyncio.get_running_loop().time()
        here.server.drop_silent(now - 10)
        assert here.server.silent == 2
        speaks.sendall(b"x")
        here.server.drop_silent(now)
        assert here.server.silent == 0
        silent.settimeout(10)
        assert silent.recv(1) == b""
        await until(lambda: here.arrivals.received == b"x")


async def test_without_file_descriptors_it_waits_for_some(here: Peeking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peeking, "PAUSE", 0.01)
    accepted = here.server._sock

    class Exhausted:
        """A socket that cannot accept once."""

        def fileno(self) -> int:
            return accepted.fileno()

        def accept(self) -> Any:
            here.server._sock = accepted
            raise OSError(errno.EMFILE, "too many open files")

        def close(self) -> None:
            accepted.close()

    here.server._sock = Exhausted()  # type: ignore[assignment]
    with here.connect() as client:
        client.sendall(b"x")
        await until(lambda: here.arrivals.received == b"x")
