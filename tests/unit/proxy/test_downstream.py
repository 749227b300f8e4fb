"""A client's connection: requests one after the other, refusals that close, and limits on what one may hold."""

from __future__ import annotations

import re

import pytest

from gateway.proxy.downstream import MAX_BLANKS
from tests.support.bounds import Limits, Timeouts
from tests.support.fakes import FakeTransport, Wired

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
SAID = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def statuses(here: FakeTransport) -> list[bytes]:
    """The statuses that a client was sent, in order."""
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", here.written)


def code(here: FakeTransport) -> bytes:
    """The code of the last error that a client was sent."""
    return here.written.rpartition(b'"code": "')[2].partition(b'"')[0]


async def test_requests_in_one_packet_are_responded_to_in_their_order() -> None:
    wired = Wired()
    instance, there = wired.instance()
    client, here = wired.client()
    client.data_received(HELLO + GET + HELLO)
    wired.turns.settle()
    assert here.written == SAID
    instance.data_received(OK)
    wired.turns.settle()
    assert here.written == SAID + OK + SAID
    assert there.written.count(b"GET ") == 1
    assert client.is_idle


async def test_a_request_behind_a_body_begins_where_the_body_ends() -> None:
    wired = Wired()
    instance, there = wired.instance()
    client, here = wired.client()
    client.data_received(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo")
    client.data_received(b"dy" + HELLO[:9])
    wired.turns.settle()
    assert there.written.endswith(b"\r\n\r\nbody")
    instance.data_received(OK)
    client.data_received(HELLO[9:])
    wired.turns.settle()
    assert here.written == OK + SAID


@pytest.mark.parametrize(
    ("limit", "refused"),
    [
        (Limits(connections=2), b"503"),
        (Limits(connections_per_client=2), b"429"),
    ],
    ids=["of all", "of one address"],
)
async def test_a_connection_too_many_is_refused_and_closed(limit: Limits, refused: bytes) -> None:  # type: ignore[valid-type]
    wired = Wired(limit)
    first, second, third = (wired.client() for _ in range(3))
    wired.turns.settle()
    assert [statuses(here) for _, here in (first, second, third)] == [[], [], [refused]]
    assert b"\r\nConnection: close\r\n" in third[1].written
    assert third[1].has_written_eof
    third[0].data_received(HELLO)
    wired.turns.settle()
    assert statuses(third[1]) == [refused]
    assert (wired.traffic.connections, sum(wired.clients.by_ip.values())) == (3, 3)
    third[0].connection_lost(None)
    first[0].connection_lost(None)
    assert (wired.traffic.connections, sum(wired.clients.by_ip.values())) == (1, 1)
    fourth, here = wired.client()
    fourth.data_received(HELLO)
    wired.turns.settle()
    assert here.written == SAID


async def test_a_request_too_many_is_refused_and_the_connection_stays() -> None:
    wired = Wired(Limits(in_flight=1))
    wired.instance()
    busy, _ = wired.client()
    busy.data_received(GET)
    client, here = wired.client()
    client.data_received(HELLO)
    wired.turns.settle()
    assert (statuses(here), code(here)) == ([b"503"], b"overloaded")
    assert not here.has_written_eof
    busy.connection_lost(None)
    client.data_received(HELLO)
    wired.turns.settle()
    assert statuses(here) == [b"503", b"200"]


async def test_a_few_empty_lines_before_a_request_are_passed_over() -> None:
    wired = Wired()
    client, here = wired.client()
    client.data_received(b"\r\n" * MAX_BLANKS + HELLO + b"\r\n" + HELLO)
    client.data_received(b"\r")
    client.data_received(b"\n" + HELLO)
    wired.turns.settle()
    assert here.written == SAID * 3
    client.data_received(b"\r\n" * (MAX_BLANKS + 1) + HELLO)
    wired.turns.settle()
    assert statuses(here)[3:] == [b"400"]
    assert here.has_written_eof


@pytest.mark.parametrize("size", [0, 1], ids=["whole", "byte by byte"])
async def test_a_head_has_a_largest_size(size: int) -> None:
    wired = Wired(Limits(head_bytes=1024, target_bytes=256))
    for length, status in ((1024, b"200"), (1025, b"431")):
        client, here = wired.client()
        start = b"GET /hello HTTP/1.1\r\nHost: x\r\nX: "
        head = start + b"y" * (length - len(start) - 4) + b"\r\n\r\n"
        assert len(head) == length
        for piece in [head[at : at + 1] for at in range(length)] if size else [head]:
            client.data_received(piece)
        wired.turns.settle()
        assert statuses(here) == [status]
        assert here.has_written_eof is (status != b"200")


async def test_requests_behind_the_one_under_way_are_kept_up_to_a_limit() -> None:
    wired = Wired(Limits(pipelined_bytes=1024))
    instance, _ = wired.instance()
    client, here = wired.client()
    client.data_received(GET)
    paused = []
    for _ in range(1024 // len(HELLO) + 1):
        paused.append(here.is_paused)
        client.data_received(HELLO)
    assert (any(paused), here.is_paused) == (False, True)
    instance.data_received(OK)
    wired.turns.settle()
    assert statuses(here) == [b"200"] * (len(paused) + 1)
    assert not here.is_paused


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
    ],
)
async def test_where_the_next_request_would_start_is_not_guessed(request_: bytes, status: bytes) -> None:
    wired = Wired()
    client, here = wired.client()
    client.data_received(request_ + HELLO)
    client.data_received(HELLO)
    wired.turns.settle()
    assert statuses(here) == [status]
    assert b"\r\nConnection: close\r\n" in here.written
    assert here.has_written_eof
    assert wired.traffic.in_flight == 0


@pytest.mark.parametrize("fields", [b"Connection: close\r\n", b"connection: x, Close\r\n"])
async def test_a_client_that_closes_is_responded_to_once(fields: bytes) -> None:
    wired = Wired()
    client, here = wired.client()
    client.data_received(HELLO.replace(b"\r\n\r\n", b"\r\n" + fields + b"\r\n") + HELLO)
    wired.turns.settle()
    assert statuses(here) == [b"200"]
    assert b"\r\nConnection: close\r\n" in here.written
    assert here.has_written_eof or here.is_closed


async def test_an_idle_connection_is_kept_for_its_time_and_closed_without_a_word() -> None:
    wired = Wired(timeouts=Timeouts(keep_alive=75.0, head=10.0))
    client, here = wired.client()
    client.data_received(HELLO)
    wired.turns.settle()
    wired.pass_time(75.0)
    closed = [here.is_closed]
    wired.pass_time(0.1)
    closed.append(here.is_closed)
    assert closed == [False, True]
    assert here.written == SAID


async def test_a_client_that_hangs_up_takes_its_request_along() -> None:
    wired = Wired()
    _, there = wired.instance()
    client, here = wired.client()
    client.data_received(GET + HELLO)
    assert client.eof_received() is False
    client.connection_lost(None)
    wired.turns.settle()
    assert (here.written, there.is_closed, wired.traffic.in_flight, wired.clients.connections) == (b"", True, 0, set())


async def test_what_a_client_holds_here_is_known() -> None:
    wired = Wired()
    client, _ = wired.client()
    client.data_received(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
    held = [client.held]
    other, _ = wired.client()
    other.data_received(GET[:7])
    held.append(other.held)
    assert held == [3, 7]
    assert not other.is_idle
    for task in wired.clients.tasks:
        task.cancel()
