"""No client and no instance holds the process: what it piles up is worked on a slice a turn, and others are served between."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.http.response import MAX_INTERIM
from gateway.proxy.connection import LARGE
from gateway.proxy.request_body import PIECE
from gateway.proxy.runqueue import SLICE
from tests.support.fakes import FakeTransport, Wired

HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO_BACK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /A/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"1\r\na\r\n"
MANY = CHUNK * 120_000 + b"0\r\n\r\n"
"""Many times a piece."""


@pytest.fixture
async def wired() -> Wired:
    """A listener where each piece of work takes a slice of its turn."""
    wired = Wired()
    wired.turns.cost = 2 * SLICE
    return wired


def answers(transport: FakeTransport) -> int:
    return transport.written.count(HELLO_BACK)


def steps(wired: Wired, transport: FakeTransport, count: bytes) -> list[int]:
    """How much more of something there was in what was written, after each turn until nothing is left to do."""
    seen = [0]
    while not wired.turns.is_quiet:
        wired.turns.next()
        seen.append(transport.written.count(count))
    return [after - before for before, after in pairwise(seen)]


@pytest.mark.parametrize(
    "request_", [HELLO, b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"]
)
async def test_a_pipeline_is_answered_a_slice_a_turn(wired: Wired, request_: bytes) -> None:
    client, transport = wired.client()
    client.data_received(request_ * 20)
    assert transport.is_paused
    done = steps(wired, transport, b"HTTP/1.1 ")
    assert (sum(done), max(done), transport.is_paused) == (20, 2, False)


async def test_others_are_served_between(wired: Wired) -> None:
    flood, _ = wired.client()
    other, transport = wired.client()
    flood.data_received(HELLO * 1000)
    other.data_received(HELLO)
    wired.turns.next()
    assert answers(transport) == 1


async def test_two_that_flood_take_turns(wired: Wired) -> None:
    (one, first), (two, second) = wired.client(), wired.client()
    one.data_received(HELLO * 50)
    two.data_received(HELLO * 50)
    for _ in range(40):
        wired.turns.next()
    assert abs(answers(first) - answers(second)) <= 4
    wired.turns.settle()
    assert (answers(first), answers(second)) == (50, 50)


async def test_a_pipeline_that_is_cut_anywhere_is_answered_whole(wired: Wired) -> None:
    client, transport = wired.client()
    data = HELLO * 7
    for at in range(0, len(data), 11):
        if not transport.is_paused:
            client.data_received(data[at : at + 11])
        else:  # what the kernel holds meanwhile
            wired.turns.settle()
            client.data_received(data[at : at + 11])
    wired.turns.settle()
    assert answers(transport) == 7


async def test_a_body_cut_into_many_chunks_is_read_a_slice_a_turn(wired: Wired) -> None:
    _, upstream = wired.instance()
    client, transport = wired.client()
    client.data_received(POST + MANY + HELLO)
    done = steps(wired, upstream, CHUNK)
    assert (sum(done), upstream.written.endswith(MANY)) == (120_000, True)
    assert max(done) <= 4 * PIECE // len(CHUNK)
    assert not transport.is_paused
    other, served = wired.client()
    other.data_received(HELLO)
    wired.turns.settle()
    assert answers(served) == 1


async def test_what_stands_behind_such_a_body_is_the_next_request(wired: Wired) -> None:
    instance, _ = wired.instance()
    client, transport = wired.client()
    client.data_received(POST + MANY + HELLO)
    wired.turns.settle()
    instance.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    wired.turns.settle()
    assert transport.written == b"HTTP/1.1 204 No Content\r\n\r\n" + HELLO_BACK


async def test_an_answer_cut_into_many_chunks_is_passed_on_a_slice_a_turn(wired: Wired) -> None:
    instance, upstream = wired.instance()
    client, transport = wired.client()
    client.data_received(GET)
    wired.turns.settle()
    instance.data_received(CHUNKED)
    instance.data_received(MANY)
    done = steps(wired, transport, CHUNK)
    assert (sum(done), transport.written) == (120_000, CHUNKED + MANY)
    assert max(done) <= 4 * PIECE // len(CHUNK)
    assert not upstream.is_paused
    assert wired.origins.of(wired.address, "a").idle == 1


async def test_an_instance_that_breaks_off_meanwhile_has_said_what_it_said(wired: Wired) -> None:
    instance, _ = wired.instance()
    client, transport = wired.client()
    client.data_received(GET)
    wired.turns.settle()
    instance.data_received(CHUNKED)
    instance.data_received(MANY)
    instance.connection_lost(ConnectionResetError())
    wired.turns.settle()
    assert transport.written == CHUNKED + MANY
    assert wired.traffic.exchanges["a"]["base"].statuses == {200: 1}


async def test_a_client_that_leaves_meanwhile_leaves_nothing(wired: Wired) -> None:
    wired.instance()
    client, _ = wired.client()
    client.data_received(POST + MANY)
    client.connection_lost(None)
    wired.turns.settle()
    assert (wired.traffic.in_flight, wired.traffic.internal_errors, client.held) == (0, 0, 0)


async def test_a_long_read_is_the_last_of_its_turn(wired: Wired) -> None:
    """libuv would read on as long as more is there, 8 MB of one connection in a turn."""
    instance, upstream = wired.instance()
    client, transport = wired.client()
    client.data_received(GET)
    wired.turns.settle()
    instance.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"a" * LARGE)
    assert (upstream.is_paused, len(transport.written) > LARGE) == (True, True)
    wired.turns.settle()
    assert not upstream.is_paused


async def test_a_pause_for_others_does_not_end_one_for_a_slow_reader(wired: Wired) -> None:
    instance, upstream = wired.instance()
    client, transport = wired.client(takes=False)
    client.data_received(GET)
    wired.turns.settle()
    instance.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"a" * LARGE)
    wired.turns.settle()
    assert upstream.is_paused
    transport.drain()
    assert not upstream.is_paused


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


async def test_interim_answers_have_an_end(wired: Wired) -> None:
    instance, _ = wired.instance()
    client, transport = wired.client()
    client.data_received(GET)
    wired.turns.settle()
    instance.data_received(INTERIM * MAX_INTERIM)
    instance.data_received(INTERIM)
    wired.turns.settle()
    assert transport.written.count(b"HTTP/1.1 103 ") == MAX_INTERIM
    assert b"502 Bad Gateway" in transport.written
    assert wired.traffic.upstream_errors == {("a", "base", "bad_response"): 1}
