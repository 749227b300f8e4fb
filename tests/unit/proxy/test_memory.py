"""What a connection can make the gateway hold, on each path: bytes that wait in transports, and in our own buffers."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest

from gateway.proxy.connection import BULK, HIGH_WATER
from gateway.proxy.downstream import Downstream
from gateway.proxy.request_body import REPLAY
from tests.support.bounds import Limits
from tests.support.fakes import FakeTransport, Wired

READ = 256_000
"""Bytes that one read brings at the most: the size of uvloop's buffer."""
PIPELINED = 65_536
HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"


def flood(connection: Downstream, transport: FakeTransport, data: bytes, reads: int = 100) -> int:
    """A peer that sends as long as it is read from; how many reads that were."""
    done = 0
    while done < reads and not transport.is_paused:
        connection.data_received(data)
        done += 1
    return done


def held(wired: Wired, client: Downstream, *transports: FakeTransport) -> int:
    return client.held + client.unsent_size + sum(transport.get_write_buffer_size() for transport in transports)


@pytest.mark.parametrize("size", [5, 20_000], ids=["small answers", "answers of 20 KB"])
async def test_answers_of_our_own_to_a_client_that_does_not_read(size: int) -> None:
    """Neither the answers pile up, nor the requests."""
    wired = Wired()
    route = wired.router.snapshot.routes.routes[1]
    assert route.response is not None
    route.response.whole = route.response.whole.replace(b"hello", b"a" * size)
    client, transport = wired.client(takes=False)
    for _ in range(1000):
        flood(client, transport, HELLO * (READ // len(HELLO)), 1)
        wired.turns.settle()
    assert transport.is_paused
    assert held(wired, client, transport) <= HIGH_WATER + max(BULK, size + 100) + PIPELINED + READ
    answered = wired.traffic.replies["/hello", 200]
    transport.takes = True
    transport.drain()
    wired.turns.settle()
    assert (transport.is_paused, client.held) == (False, 0)
    assert wired.traffic.replies["/hello", 200] > answered


async def test_refusals_to_a_client_that_does_not_read() -> None:
    wired = Wired()
    client, transport = wired.client(takes=False)
    none = b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ in range(1000):
        flood(client, transport, none * 100, 1)
        wired.turns.settle()
    assert held(wired, client, transport) <= HIGH_WATER + BULK + PIPELINED + READ


async def test_requests_behind_one_that_is_not_answered() -> None:
    wired = Wired()
    wired.instance()
    client, transport = wired.client()
    client.data_received(GET)
    assert flood(client, transport, GET * 1000) < 100
    assert client.held <= PIPELINED + len(GET) * 1000


async def test_an_upload_to_an_instance_that_does_not_read() -> None:
    wired = Wired()
    instance, upstream = wired.instance(takes=False)
    client, transport = wired.client()
    client.data_received(POST)
    wired.turns.settle()
    flood(client, transport, b"a" * READ)
    wired.turns.settle()
    assert transport.is_paused
    assert held(wired, client, upstream) + instance.unsent_size <= HIGH_WATER + READ + len(POST)
    upstream.drain()
    assert not transport.is_paused


async def test_an_upload_that_waits_for_a_connection() -> None:
    wired = Wired()
    client, transport = wired.client()
    client.data_received(POST + b"a" * 1000)
    assert transport.is_paused
    assert client.held <= READ
    await asyncio.gather(*wired.clients.tasks)  # the connection is made
    wired.turns.settle()
    # The first of it stays until the answer begins, for whom it is refused by.
    assert (transport.is_paused, client.held) == (False, 1000)
    client.data_received(b"a" * (REPLAY - 1000))
    assert client.held == REPLAY
    client.data_received(b"a")
    assert client.held == 0


async def test_an_answer_to_a_client_that_does_not_read() -> None:
    wired = Wired()
    instance, upstream = wired.instance()
    client, transport = wired.client(takes=False)
    client.data_received(GET)
    wired.turns.settle()
    instance.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    while not upstream.is_paused:
        instance.data_received(b"a" * READ)
    wired.turns.settle()
    assert upstream.is_paused
    assert held(wired, client, transport) <= HIGH_WATER + READ + BULK
    transport.takes = True
    transport.drain()
    assert not upstream.is_paused


async def test_an_answer_that_begins_while_the_client_does_not_read() -> None:
    """It had stopped before there was a connection to an instance that could have been told."""
    wired = Wired()
    client, _ = wired.client(takes=False)
    client.data_received(GET)
    client.pause_writing()
    await asyncio.gather(*wired.clients.tasks)
    exchange = client._exchange
    assert exchange is not None
    assert exchange.upstream is not None
    assert exchange.upstream.is_paused
    client.resume_writing()
    assert not exchange.upstream.is_paused


def json_post(size: int, sent: int) -> bytes:
    body = json.dumps({"group": "gray", "fill": "a" * size}).encode()
    head = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body[:sent]


async def test_bodies_kept_for_rules_have_an_end_together() -> None:
    """The one that is too much gets 503, and makes room by that."""
    wired = Wired(Limits(inspected_bytes=100_000), inspect_body=65_536)
    clients = [wired.client() for _ in range(3)]
    for client, _ in clients:
        client.data_received(json_post(60_000, 40_000))
    wired.turns.settle()
    assert [transport.written[:12] for _, transport in clients] == [b"", b"", b"HTTP/1.1 503"]
    assert b'"code": "overloaded"' in clients[2][1].written
    assert wired.context.inspected == 80_000
    for client, _ in clients[:2]:
        client.connection_lost(None)
    assert (wired.context.inspected, wired.traffic.in_flight) == (0, 0)


async def test_what_was_parsed_for_rules_is_dropped_once_routed() -> None:
    wired = Wired(inspect_body=65_536)
    wired.instance()
    client, _ = wired.client()
    data = json_post(1000, 2000)
    client.data_received(data[:500])
    assert wired.context.inspected > 0
    client.data_received(data[500:])
    exchange = client._exchange
    assert exchange is not None
    assert exchange.record.decision.lane == "gray"
    assert wired.context.inspected == 0


async def test_a_body_for_rules_that_comes_in_crumbs_costs_no_more_than_one_that_does_not() -> None:
    """A piece has a cost of its own, and each that is joined to the last one is copied: neither for every byte."""
    wired = Wired(inspect_body=65_536)
    wired.instance()
    client, _ = wired.client()
    data = json_post(30_000, 29_990)
    for at in range(len(data)):
        client.data_received(data[at : at + 1])
    exchange = client._exchange
    assert exchange is not None
    assert exchange.body is not None
    assert (len(exchange.body._kept), exchange.body.held) == (8, 29_990)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
    ids=["length", "chunks"],
)
async def test_an_exchange_leaves_nothing_for_the_garbage_collector(answer: bytes) -> None:
    """What refers to each other stays until the collector comes, and costs more than the rest of a small request."""
    wired = Wired()
    instance, _ = wired.instance()
    client, _ = wired.client()

    def exchange() -> None:
        client.data_received(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
        instance.data_received(answer)
        client.data_received(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        wired.turns.settle()

    exchange()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            exchange()
        assert gc.collect() == 0
    finally:
        gc.enable()
