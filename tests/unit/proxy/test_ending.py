"""How an exchange ends: with a response of our own, cut short, given up; each of them once, and accounted for."""

from __future__ import annotations

import pytest

from tests.support.bounds import Timeouts
from tests.support.fakes import FakeTransport, Wired

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"


def closes(here: FakeTransport) -> bool:
    return here.has_written_eof or here.is_closed


@pytest.fixture
async def wired() -> Wired:
    return Wired(timeouts=Timeouts(response=30.0, body_idle=60.0))


async def test_a_routes_own_response_waits_for_the_body_and_says_nothing_of_it(wired: Wired) -> None:
    client, here = wired.client()
    client.data_received(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo")
    wired.turns.settle()
    written = [here.written]
    client.data_received(b"dy")
    wired.turns.settle()
    written.append(here.written)
    assert written == [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"]
    assert not closes(here)
    assert wired.traffic.replies == {("/hello", 200): 1}
    assert client.held == 0


@pytest.mark.parametrize(
    ("request_", "start", "keeps"),
    [
        (HELLO, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
        (
            HELLO.replace(b"1.1", b"1.0"),
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            False,
        ),
        (HELLO.replace(b"GET", b"HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 204 No Content\r\nAllow: ", True),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 204 No Content\r\nAllow: ", False),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n", True),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n", False),
    ],
)
async def test_responses_of_our_own_and_what_becomes_of_the_connection(
    wired: Wired, request_: bytes, start: bytes, keeps: bool
) -> None:
    client, here = wired.client()
    client.data_received(request_)
    wired.turns.settle()
    assert here.written.startswith(start)
    assert (b"\r\nConnection: close\r\n" not in here.written, not closes(here)) == (keeps, keeps)
    assert wired.traffic.in_flight == 0


async def test_while_draining_every_response_of_our_own_closes(wired: Wired) -> None:
    wired.context.is_draining = True
    for request in (HELLO, b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"):
        client, here = wired.client()
        client.data_received(request)
        wired.turns.settle()
        assert b"\r\nConnection: close\r\n" in here.written
        assert closes(here)


async def test_nobody_routed_is_counted_by_why(wired: Wired) -> None:
    client, _ = wired.client()
    for target in (b"/nowhere", b"/elsewhere"):
        client.data_received(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    client.data_received(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert wired.traffic.refused == {"no_route": 2}
    assert wired.traffic.replies == {("*", 204): 1}


async def test_a_response_that_does_not_come_is_504_and_the_instances_doing(wired: Wired) -> None:
    _, there = wired.instance()
    client, here = wired.client()
    client.data_received(GET)
    wired.pass_time(30.0)
    assert here.written == b""
    wired.pass_time(0.1)
    wired.turns.settle()
    assert here.written.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    assert b"service a did not " in here.written
    assert there.is_aborted
    assert not closes(here)  # the request was whole, the next one can follow
    assert wired.traffic.in_flight == 0


async def test_a_response_that_stops_is_cut_short_so_that_the_client_can_tell(wired: Wired) -> None:
    instance, there = wired.instance()
    client, here = wired.client()
    client.data_received(GET)
    instance.data_received(LONG)
    wired.pass_time(60.1)
    wired.turns.settle()
    assert here.written == LONG
    assert closes(here)
    assert there.is_aborted
    assert wired.traffic.exchanges["a"]["base"].statuses == {200: 1}


async def test_a_client_that_leaves_is_499_and_nobodys_fault(wired: Wired) -> None:
    _, there = wired.instance()
    client, _ = wired.client()
    client.data_received(GET)
    client.connection_lost(None)
    assert there.is_aborted
    assert wired.traffic.exchanges["a"]["base"].statuses == {499: 1}
    assert wired.traffic.upstream_errors == {}


@pytest.mark.parametrize(("sent", "status"), [(b"", 499), (LONG, 200)])
async def test_an_end_of_this_program_cuts_off_what_is_under_way(wired: Wired, sent: bytes, status: int) -> None:
    instance, there = wired.instance()
    client, here = wired.client()
    client.data_received(GET)
    if sent:
        instance.data_received(sent)
    client.close_now()
    assert (here.is_aborted, there.is_aborted) == (True, True)
    assert wired.traffic.exchanges["a"]["base"].statuses == {status: 1}
    client.connection_lost(None)
    assert (wired.traffic.in_flight, wired.traffic.exchanges["a"]["base"].statuses) == (0, {status: 1})


async def test_a_slow_but_steady_client_is_not_cut_off(wired: Wired) -> None:
    """It is judged by what it takes: 500 bytes a second unless the settings say otherwise."""
    instance, _ = wired.instance()
    client, here = wired.client(takes=False)
    here.high = 0
    client.data_received(GET)
    instance.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"a" * 100_000)
    wired.turns.settle()
    for _ in range(3):
        here.take(30_100)
        wired.pass_time(60.1)
    open_until = here.is_closed
    here.take(100)
    wired.pass_time(60.1)
    assert (open_until, here.is_closed) == (False, True)
