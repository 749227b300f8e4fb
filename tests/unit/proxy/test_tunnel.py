"""Tunnels: bytes both ways, whoever does not read stops the other, ends are passed on, and nobody has all of them."""

from __future__ import annotations

import asyncio

import pytest

from gateway.proxy.connection import HIGH_WATER
from gateway.proxy.downstream import Downstream
from gateway.proxy.upstream import Upstream
from tests.support.bounds import Limits, Timeouts
from tests.support.fakes import FakeTransport, Wired

READ = 256_000
ASK = b"GET /A/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Tunnelled:
    """A tunnel between a client and an instance, each of which may not read."""

    def __init__(self, wired: Wired, client_reads: bool = True, instance_reads: bool = True) -> None:
        self.wired = wired
        self.instance, self.there = wired.instance()
        self.client, self.here = wired.client()
        self.client.data_received(ASK)
        wired.turns.settle()
        self.instance.data_received(SWITCH)
        wired.turns.settle()
        self.here.writes.clear()
        self.there.writes.clear()
        self.here.takes, self.there.takes = client_reads, instance_reads


def connections(tunnelled: Tunnelled, sender: str) -> tuple[Downstream | Upstream, FakeTransport, FakeTransport]:
    """Who sends, on which transport, and the transport at the other end."""
    if sender == "client":
        return tunnelled.client, tunnelled.here, tunnelled.there
    return tunnelled.instance, tunnelled.there, tunnelled.here


both = pytest.mark.parametrize("sender", ["client", "instance"])


@both
async def test_bytes_pass_as_they_come(sender: str) -> None:
    wired = Wired()
    tunnelled = Tunnelled(wired)
    connection, _, there = connections(tunnelled, sender)
    for data in (b"a", b"b" * 100_000, b"c"):
        connection.data_received(data)
    wired.turns.settle()
    assert there.written == b"a" + b"b" * 100_000 + b"c"
    exchange = tunnelled.client._exchange
    assert exchange is not None
    assert (exchange.record.received, exchange.record.sent) == ((100_002, 0) if sender == "client" else (0, 100_002))


@both
async def test_who_does_not_read_stops_the_other(sender: str) -> None:
    wired = Wired()
    tunnelled = Tunnelled(wired, client_reads=sender == "client", instance_reads=sender == "instance")
    connection, here, there = connections(tunnelled, sender)
    reads = 0
    while not here.is_paused and reads < 100:
        connection.data_received(b"a" * READ)
        wired.turns.settle()
        reads += 1
    assert there.get_write_buffer_size() <= HIGH_WATER + READ
    there.takes = True
    there.drain()
    wired.turns.settle()
    assert (here.is_paused, len(there.written)) == (False, reads * READ)


async def test_much_that_was_sent_before_a_late_switch_goes_through() -> None:
    wired = Wired()
    instance, there = wired.instance()
    client, here = wired.client()
    client.data_received(ASK)
    wired.turns.settle()
    there.writes.clear()
    client.data_received(b"a" * 200_000)
    was_paused = here.is_paused
    instance.data_received(SWITCH)
    wired.turns.settle()
    assert (was_paused, here.is_paused) == (True, False)
    client.data_received(b"b")
    wired.turns.settle()
    assert there.written == b"a" * 200_000 + b"b"


async def test_a_client_that_ends_is_heard_out() -> None:
    """What it sent goes to the instance, then its end; what the instance still says comes back."""
    wired = Wired()
    tunnelled = Tunnelled(wired, instance_reads=False)
    tunnelled.client.data_received(b"a" * READ)
    assert tunnelled.client.eof_received()
    assert (tunnelled.there.has_written_eof, tunnelled.there.is_closed) == (True, False)
    tunnelled.there.drain()
    tunnelled.instance.data_received(b"bye")
    assert not tunnelled.instance.eof_received()
    wired.turns.settle()
    assert (len(tunnelled.there.written), tunnelled.here.written) == (READ, b"bye")
    assert tunnelled.here.is_closed
    assert (wired.traffic.tunnels, wired.traffic.exchanges["a"]["base"].statuses) == (0, {101: 1})


async def test_an_instance_that_ends_is_heard_out() -> None:
    wired = Wired()
    tunnelled = Tunnelled(wired, client_reads=False)
    tunnelled.instance.data_received(b"a" * READ)
    assert tunnelled.instance.eof_received()
    assert (tunnelled.here.has_written_eof, tunnelled.here.is_closed) == (True, False)
    tunnelled.here.drain()
    tunnelled.client.data_received(b"bye")
    assert not tunnelled.client.eof_received()
    tunnelled.client.connection_lost(None)
    wired.turns.settle()
    assert (len(tunnelled.here.written), tunnelled.there.written) == (READ, b"bye")
    assert (tunnelled.there.is_closed, tunnelled.there.is_aborted) == (True, False)
    assert wired.traffic.tunnels == 0


async def test_what_a_client_sent_before_it_was_lost_is_delivered() -> None:
    wired = Wired()
    tunnelled = Tunnelled(wired, instance_reads=False)
    tunnelled.client.data_received(b"a" * READ)
    tunnelled.client.connection_lost(ConnectionResetError())
    assert (tunnelled.there.is_closed, tunnelled.there.is_aborted) == (True, False)
    assert tunnelled.there.get_write_buffer_size() == READ
    assert (wired.traffic.tunnels, wired.clients.tunnels, wired.clients.tunnels_by_ip) == (0, 0, {})
    seconds, abort = wired.connecting.later[0]
    assert seconds == wired.context.timeouts.body_idle
    abort()
    assert tunnelled.there.is_aborted


async def test_what_an_instance_sent_before_it_was_lost_is_delivered() -> None:
    wired = Wired()
    tunnelled = Tunnelled(wired, client_reads=False)
    tunnelled.instance.data_received(b"a" * READ)
    tunnelled.instance.connection_lost(ConnectionResetError())
    assert (tunnelled.here.has_written_eof, tunnelled.here.is_aborted) == (True, False)
    assert tunnelled.here.get_write_buffer_size() == READ
    wired.pass_time(wired.context.timeouts.body_idle + 1)
    assert tunnelled.here.is_aborted


@both
async def test_a_tunnel_in_which_nobody_says_anything_is_closed(sender: str) -> None:
    wired = Wired(timeouts=Timeouts(tunnel_idle=100.0, body_idle=10.0))
    tunnelled = Tunnelled(wired)
    wired.pass_time(99.0)
    connections(tunnelled, sender)[0].data_received(b"a")
    wired.pass_time(99.0)
    assert (tunnelled.here.is_aborted, tunnelled.there.is_aborted) == (False, False)
    wired.pass_time(2.0)
    assert (tunnelled.here.has_written_eof, tunnelled.there.is_aborted) == (True, True)


@both
async def test_a_tunnel_whose_other_side_does_not_read_is_closed_sooner(sender: str) -> None:
    """It holds memory. That one of them still talks does not help."""
    wired = Wired(timeouts=Timeouts(tunnel_idle=100.0, body_idle=10.0))
    tunnelled = Tunnelled(wired, client_reads=sender == "client", instance_reads=sender == "instance")
    connection, here, there = connections(tunnelled, sender)
    connection.data_received(b"a" * READ)
    wired.pass_time(9.0)
    other = tunnelled.instance if sender == "client" else tunnelled.client
    other.data_received(b"still here")
    wired.pass_time(2.0)
    assert (here.has_written_eof or here.is_aborted, there.is_aborted) == (True, True)


@both
async def test_a_slow_reader_of_a_tunnel_is_let(sender: str) -> None:
    wired = Wired(timeouts=Timeouts(tunnel_idle=100.0, body_idle=10.0))
    tunnelled = Tunnelled(wired, client_reads=sender == "client", instance_reads=sender == "instance")
    connection, _, there = connections(tunnelled, sender)
    connection.data_received(b"a" * READ)
    for _ in range(5):
        there.take(wired.context.limits.body_rate * 11)
        wired.pass_time(11.0)
    assert not there.is_aborted
    wired.pass_time(11.0)
    assert there.is_aborted


async def test_tunnels_leave_the_instances_connections_to_others() -> None:
    """And requests under way have a limit of their own."""
    wired = Wired(Limits(in_flight=2))
    tunnels = [Tunnelled(wired) for _ in range(8)]
    origin = wired.origins.of(wired.address, "a")
    assert (origin.open, origin.tunnels, wired.traffic.in_flight, wired.traffic.tunnels) == (0, 8, 0, 8)
    assert wired.origins.statistics() == {"192.0.2.10:80": (0, 0, 0, 8)}
    client, here = wired.client()
    client.data_received(GET)
    await asyncio.gather(*wired.clients.tasks)
    exchange = client._exchange
    assert exchange is not None
    assert exchange.upstream is not None
    exchange.upstream.data_received(OK)
    wired.turns.settle()
    assert here.written == OK
    for tunnelled in tunnels:
        tunnelled.client.connection_lost(None)
        tunnelled.instance.connection_lost(None)
    assert (origin.tunnels, wired.traffic.tunnels, wired.clients.tunnels) == (0, 0, 0)


async def test_one_client_has_its_share_of_tunnels() -> None:
    """One that is asked for counts, so that many at once are not too many."""
    wired = Wired(Limits(tunnels_per_client=2))
    first = Tunnelled(wired)
    wired.instance()
    asking, _ = wired.client()
    asking.data_received(ASK)
    refused, here = wired.client()
    refused.data_received(ASK)
    wired.turns.settle()
    assert here.written.startswith(b"HTTP/1.1 429 ")
    assert b'"code": "too_many_tunnels"' in here.written
    assert b"Connection: close" not in here.written
    first.client.connection_lost(None)
    wired.instance()
    refused.data_received(ASK)
    assert wired.clients.tunnels == 2


async def test_all_together_have_an_end_too() -> None:
    wired = Wired(Limits(tunnels=1))
    Tunnelled(wired)
    client, here = wired.client()
    client.data_received(ASK)
    wired.turns.settle()
    assert here.written.startswith(b"HTTP/1.1 503 ")
    assert b'"code": "overloaded"' in here.written


async def test_a_request_that_did_not_become_a_tunnel_gives_its_claim_back() -> None:
    wired = Wired(Limits(tunnels=1))
    for _ in range(3):
        instance, _ = wired.instance()
        client, here = wired.client()
        client.data_received(ASK)
        wired.turns.settle()
        instance.data_received(OK)
        wired.turns.settle()
        assert here.written == OK
    assert wired.clients.tunnels == 0


async def test_an_instance_cannot_switch_before_it_has_the_whole_request() -> None:
    """What is left of the body would be taken for the other protocol's."""
    wired = Wired()
    instance, _ = wired.instance()
    client, here = wired.client()
    client.data_received(ASK[:-2] + b"Content-Length: 10\r\n\r\n12345")
    wired.turns.settle()
    instance.data_received(SWITCH)
    wired.turns.settle()
    assert here.written.startswith(b"HTTP/1.1 502 ")
