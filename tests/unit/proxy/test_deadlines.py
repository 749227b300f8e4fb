"""Every phase has one deadline for the whole of it: what trickles renews none, on either side."""

from __future__ import annotations

import asyncio

import pytest

from gateway.proxy.client import LINGER
from tests.support.bounds import Limits, Timeouts
from tests.support.fakes import FakeTransport, Wired

TIMEOUTS = Timeouts(head=10.0, body_idle=20.0, body_grace=30.0, response=40.0, keep_alive=50.0)
GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@pytest.fixture
async def wired() -> Wired:
    return Wired(Limits(body_rate=100), TIMEOUTS, inspect_body=65_536)


def status(transport: FakeTransport) -> bytes:
    """The status of the last head that was written."""
    return transport.written.rpartition(b"HTTP/1.1 ")[2][:3]


def elapse(wired: Wired, seconds: float) -> None:
    wired.pass_time(seconds)
    wired.turns.settle()


async def test_a_head_that_trickles_has_one_deadline(wired: Wired) -> None:
    client, here = wired.client()
    for byte in GET[:9]:
        client.data_received(bytes([byte]))
        elapse(wired, 1.0)
    assert here.written == b""
    client.data_received(b"/")
    elapse(wired, 2.0)
    assert status(here) == b"408"


async def test_it_begins_with_the_first_byte_not_with_the_connection(wired: Wired) -> None:
    client, here = wired.client()
    elapse(wired, 9.0)
    client.data_received(b"G")
    elapse(wired, 9.0)
    client.data_received(GET[1:])
    assert here.written == b""
    assert client._exchange is not None


async def test_empty_lines_renew_nothing(wired: Wired) -> None:
    client, here = wired.client()
    client.data_received(HELLO)
    for _ in range(2):
        elapse(wired, 24.0)
        client.data_received(b"\r\n")
    elapse(wired, 3.0)
    assert here.is_closed


@pytest.mark.parametrize("target", [b"/A/x", b"/hello"], ids=["to an instance", "to nobody"])
async def test_a_body_that_does_not_begin_is_cut_off(wired: Wired, target: bytes) -> None:
    """By the deadline of bodies, whoever is to get it."""
    wired.instance()
    client, here = wired.client()
    client.data_received(POST.replace(b"/A/x", target))
    elapse(wired, 19.0)
    assert here.written == b""
    elapse(wired, 2.0)
    assert (status(here), b'"code": "body_timeout"' in here.written) == (b"408", True)


@pytest.mark.parametrize("target", [b"/A/x", b"/hello"], ids=["to an instance", "to nobody"])
async def test_a_body_that_drips_is_cut_off(wired: Wired, target: bytes) -> None:
    wired.instance()
    client, here = wired.client()
    client.data_received(POST.replace(b"/A/x", target))
    for _ in range(3):
        elapse(wired, 10.0)
        client.data_received(b"a")
    elapse(wired, 1.0)
    assert (status(here), b'"code": "body_too_slow"' in here.written) == (b"408", True)


async def test_a_body_kept_for_rules_that_drips_is_cut_off(wired: Wired) -> None:
    client, here = wired.client()
    client.data_received(
        b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    )
    for _ in range(3):
        elapse(wired, 10.0)
        client.data_received(b"a")
    elapse(wired, 1.0)
    assert (status(here), b'"code": "body_too_slow"' in here.written) == (b"408", True)


@pytest.mark.parametrize(
    "drop",
    [
        pytest.param([b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 100], id="a head"),
        pytest.param([bytes([byte]) for byte in LONG], id="byte by byte"),
        pytest.param([b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 60, id="interim answers"),
    ],
)
async def test_an_answers_head_that_trickles_has_one_deadline(wired: Wired, drop: list[bytes]) -> None:
    instance, there = wired.instance()
    client, here = wired.client()
    client.data_received(GET)
    for piece in drop[:39]:
        elapse(wired, 1.0)
        instance.data_received(piece)
    wired.turns.settle()
    assert b"HTTP/1.1 504" not in here.written
    elapse(wired, 2.0)
    assert (status(here), b'"code": "response_timeout"' in here.written) == (b"504", True)
    assert there.is_aborted


async def test_it_begins_when_the_request_is_whole(wired: Wired) -> None:
    instance, _ = wired.instance()
    client, here = wired.client()
    client.data_received(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\n")
    for _ in range(2):
        elapse(wired, 15.0)
        client.data_received(b"a" * 3000)
    instance.data_received(b"HTTP/1.1 ")
    elapse(wired, 39.0)
    assert here.written == b""
    elapse(wired, 2.0)
    assert status(here) == b"504"


async def test_the_body_of_an_answer_has_one_between_two_pieces(wired: Wired) -> None:
    """Event streams are such bodies: they may last."""
    instance, _ = wired.instance()
    client, here = wired.client()
    client.data_received(GET)
    instance.data_received(LONG)
    for _ in range(5):
        elapse(wired, 19.0)
        instance.data_received(b"a")
    was_closed = here.is_closed
    elapse(wired, 21.0)
    assert (was_closed, here.is_closed) == (False, True)
    assert wired.traffic.upstream_errors == {("a", "base", "response_stalled"): 1}


async def test_a_slow_reader_is_judged_by_its_rate(wired: Wired) -> None:
    """A transport that was told to pause says nothing for as long as most of what waits is still there."""
    instance, _ = wired.instance()
    client, here = wired.client(takes=False)
    client.data_received(GET)
    instance.data_received(LONG + b"a" * 200_000)
    wired.turns.settle()
    for _ in range(5):
        here.take(100 * 21)
        elapse(wired, 21.0)
    was_cut = here.is_aborted
    here.take(100 * 10)
    elapse(wired, 21.0)
    assert (was_cut, here.is_aborted) == (False, True)
    assert (wired.traffic.upstream_errors, wired.traffic.in_flight) == ({}, 0)


async def test_an_instance_that_takes_a_body_slowly_is_judged_by_its_rate(wired: Wired) -> None:
    _, there = wired.instance(takes=False)
    client, here = wired.client()
    client.data_received(POST + b"a" * 200_000)
    wired.turns.settle()
    for _ in range(5):
        there.take(100 * 21)
        elapse(wired, 21.0)
    assert here.written == b""
    elapse(wired, 21.0)
    assert (status(here), b"did not accept the request body" in here.written) == (b"504", True)


async def test_what_an_instance_was_waited_for_is_not_held_against_the_client(wired: Wired) -> None:
    """The client may send only while the instance takes: of all else it is not the one to blame."""
    _, there = wired.instance(takes=False)
    there.high = 0
    client, here = wired.client()
    client.data_received(POST)
    for _ in range(4):  # four pauses of 19 s are more than the 30 s of grace
        client.data_received(b"a")
        wired.turns.settle()
        elapse(wired, 19.0)
        there.drain()
    client.data_received(b"a")
    elapse(wired, 19.0)
    assert b"HTTP/1.1" not in here.written
    assert not there.is_closed


async def test_a_client_that_takes_older_answers_slowly_does_not_put_off_the_next_ones_deadline(wired: Wired) -> None:
    wired.instance()
    client, here = wired.client(takes=False)
    client.data_received(GET)
    client.pause_writing()
    elapse(wired, 39.0)
    client.resume_writing()
    elapse(wired, 2.0)
    here.drain()
    assert status(here) == b"504"


async def test_a_client_that_asks_and_does_not_read_is_closed(wired: Wired) -> None:
    """It is told nothing: it would not read it."""
    client, here = wired.client(takes=False)
    for _ in range(1000):
        if here.is_paused:
            break
        client.data_received(HELLO * 100)
        wired.turns.settle()
    elapse(wired, 21.0)
    assert (here.is_aborted, wired.traffic.refused) == (True, {})


async def test_what_waits_for_a_client_when_its_connection_is_to_close_has_time(wired: Wired) -> None:
    """The end of an answer is not cut off since a slow reader has not taken it yet."""
    instance, _ = wired.instance()
    client, here = wired.client(takes=False)
    client.data_received(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    instance.data_received(LONG.replace(b"1000000", b"60000") + b"a" * 60_000)
    wired.turns.settle()
    for _ in range(20):
        here.take(100 * 21)
        elapse(wired, 21.0)
    assert not here.is_aborted
    elapse(wired, 21.0)
    assert here.is_aborted


async def test_a_refused_client_is_read_from_for_a_moment_however_much_it_sends(wired: Wired) -> None:
    client, here = wired.client()
    client.data_received(b"nonsense\r\n\r\n")
    for _ in range(4):
        client.data_received(b"a" * 1000)
        elapse(wired, LINGER / 4)
    assert here.has_written_eof
    elapse(wired, 0.1)
    assert here.is_aborted


async def test_waiting_for_a_connection_has_a_deadline_of_its_own() -> None:
    wired = Wired(timeouts=Timeouts(connect=0.01))
    for _ in range(4):
        wired.instance()
        client, _ = wired.client()
        client.data_received(GET)
    client, here = wired.client()
    client.data_received(GET)
    await asyncio.gather(*wired.clients.tasks)
    wired.turns.settle()
    assert b'"code": "upstream_busy"' in here.written
    assert wired.origins.of(wired.address, "a").waiting == 0
