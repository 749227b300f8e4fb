"""Writes of one turn of the loop go out together, in order, and many bytes are not gathered."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from gateway.proxy.connection import BULK, Connection, Outbox
from gateway.proxy.runqueue import RunQueue
from tests.support.wait import until


class Transport(asyncio.Transport):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_broken = False

    def is_closing(self) -> bool:
        return self.is_broken

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))


@pytest.fixture
def turn() -> list[Callable[[], None]]:
    """What is to be called at the end of this turn."""
    return []


@pytest.fixture
def outbox(turn: list[Callable[[], None]]) -> Outbox:
    return Outbox(turn.append)


def connect(outbox: Outbox) -> tuple[Connection, Transport]:
    connection, transport = Connection(outbox, RunQueue(lambda run: None)), Transport()
    connection.transport = transport
    return connection, transport


def test_a_turns_writes_go_out_at_its_end(outbox: Outbox, turn: list[Callable[[], None]]) -> None:
    (one, first), (two, second) = connect(outbox), connect(outbox)
    one.write(b"a")
    two.write(b"b")
    one.write(b"c")
    assert (first.writes, second.writes) == ([], [])
    assert len(turn) == 1
    turn.pop()()
    assert (first.writes, second.writes) == ([b"ac"], [b"b"])
    one.write(b"d")
    assert len(turn) == 1


def test_many_bytes_are_sent_at_once_behind_what_waits(outbox: Outbox, turn: list[Callable[[], None]]) -> None:
    connection, transport = connect(outbox)
    connection.write(b"head")
    connection.write(b"x" * BULK)
    assert transport.writes == [b"head" + b"x" * BULK]  # which is how this transport writes two at a time
    connection.write(b"y")
    turn.pop()()
    assert transport.writes[1:] == [b"y"]


def test_tls_gets_many_bytes_as_they_are(outbox: Outbox) -> None:
    connection, transport = connect(outbox)
    connection.is_encrypted = True
    connection.write(b"head")
    connection.write(b"x" * BULK)
    assert transport.writes == [b"head", b"x" * BULK]


def test_what_waited_is_not_written_to_a_transport_that_closes(outbox: Outbox) -> None:
    connection, transport = connect(outbox)
    connection.write(b"head")
    transport.is_broken = True
    connection.write(b"x" * BULK)
    assert (transport.writes, connection.unsent) == ([], b"")


def test_a_lost_connection_takes_nothing(outbox: Outbox, turn: list[Callable[[], None]]) -> None:
    connection, transport = connect(outbox)
    connection.write(b"a")
    connection.transport = None
    turn.pop()()
    connection.write(b"b")
    connection.write(b"x" * BULK)
    assert transport.writes == []
    assert turn == []


def test_a_transport_that_fails_keeps_nobody_else_waiting(outbox: Outbox, turn: list[Callable[[], None]]) -> None:
    class Broken(Transport):
        def write(self, data: Any) -> None:
            raise RuntimeError

    (one, _), (two, second) = connect(outbox), connect(outbox)
    one.transport = Broken()
    one.write(b"a")
    two.write(b"b")
    turn.pop()()
    assert (second.writes, turn) == ([b"b"], [])


def test_what_is_gathered_has_an_end(outbox: Outbox, turn: list[Callable[[], None]]) -> None:
    """A transport that is told of many bytes can say that nobody reads them."""
    connection, transport = connect(outbox)
    for _ in range(5):
        connection.write(b"x" * (BULK // 4))
    assert transport.writes == [b"x" * BULK]
    turn.pop()()
    assert transport.writes[1:] == [b"x" * (BULK // 4)]


@pytest.mark.parametrize("size", [BULK, BULK // 3])
async def test_a_connection_that_broke_in_this_turn_is_written_to_no_more(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each further write would be a line of the event loop's in the log."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection = Connection(Outbox(loop.call_soon), RunQueue(lambda run: None))
        await loop.create_connection(lambda: connection, *listening.getsockname())  # type: ignore[type-var]
        peer, _ = listening.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        for _ in range(100):
            connection.write(bytes(size))
        await until(lambda: connection.transport is None)
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
