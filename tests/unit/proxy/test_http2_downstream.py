"""A client's connection of HTTP/2: how it begins, how it leaves without failing a request, and whom it waits for no longer."""

from __future__ import annotations

import pytest

from gateway.http2.errors import CANCEL, NO_ERROR, PROTOCOL_ERROR
from gateway.http2.frames import END_HEADERS, END_STREAM, MAX_STREAM, PING, PREFACE, SETTINGS_ACK, settings_frame
from gateway.http2.hpack import NO_TABLE
from gateway.proxy.client import LINGER
from gateway.proxy.downstream import Downstream
from gateway.proxy.http2_downstream import Http2Downstream
from gateway.settings.plane import TimeoutSettings
from tests.support.bounds import Http2, Limits, Timeouts
from tests.support.fakes import Wired
from tests.support.http2 import GET, H2Client, block, frame, frames_of, headers, hello
from tests.unit.proxy.test_client_stream import OK, Case

TIMEOUTS = TimeoutSettings()
TICK = 0.25


def ticks(case: Case, seconds: float) -> None:
    """That much time, tick by tick."""
    for _ in range(int(seconds / TICK)):
        case.wired.pass_time(TICK)
        case.go()


# --- how it begins


@pytest.mark.parametrize("size", [1, 3, 14, 16, 17, 18, 24, 1000])
async def test_the_first_bytes_decide(size: int) -> None:
    wired = Wired()
    _, here = wired.client()
    sent = hello() + headers(1, [*GET[:2], (b":path", b"/hello"), GET[3]])
    for at in range(0, len(sent), size):
        here.protocol.data_received(sent[at : at + size])
    wired.turns.settle()
    assert isinstance(here.protocol, Http2Downstream)
    assert [type(item).__name__ for item in frames_of(here.written)][-2:] == ["HeadersFrame", "DataFrame"]
    assert wired.clients.connections == {here.protocol}
    assert (wired.traffic.connections, wired.traffic.http2_started) == (1, 1)


@pytest.mark.parametrize(
    "first",
    [b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" + PREFACE, b"PRINT /hello HTTP/1.1\r\nHost: a\r\n\r\n"],
    ids=["after a request", "a method that begins so"],
)
async def test_anything_else_is_http_1_1(first: bytes) -> None:
    wired = Wired()
    _, here = wired.client()
    for at in range(len(first)):
        here.protocol.data_received(first[at : at + 1])
    wired.turns.settle()
    assert isinstance(here.protocol, Downstream)
    assert here.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"HTTP/1.1 505 " in here.written or b"PRI * " not in first


async def test_it_can_be_turned_off() -> None:
    wired = Wired()
    wired.context.http2 = None
    _, here = wired.client()
    here.protocol.data_received(hello())
    wired.turns.settle()
    assert here.written.startswith(b"HTTP/1.1 505 ")


async def test_a_preface_that_goes_wrong_is_an_error_of_http_2() -> None:
    wired = Wired()
    _, here = wired.client()
    here.protocol.data_received(PREFACE[:18])
    here.protocol.data_received(b"nonsense")
    wired.turns.settle()
    assert list(frames_of(here.written))[-1].error_code == PROTOCOL_ERROR
    assert wired.traffic.http2_failures == {"protocol_error": 1}
    assert here.has_written_eof
    wired.pass_time(LINGER + TICK)
    assert here.is_aborted


async def test_a_client_that_says_no_more_than_the_preface_is_not_waited_for() -> None:
    case = Case()
    _, here = case.wired.client()
    here.protocol.data_received(PREFACE)
    case.wired.pass_time(TIMEOUTS.head + 1)
    case.wired.pass_time(LINGER + TICK)
    case.wired.pass_time(LINGER + TICK)
    case.wired.pass_time(LINGER + TICK)
    assert here.is_closed


async def test_the_limits_of_connections_are_those_of_http_1_1() -> None:
    wired = Wired(Limits(connections_per_client=1))
    wired.client()
    _, here = wired.client()
    here.protocol.data_received(hello())
    wired.turns.settle()
    assert here.written.startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize(("head_bytes", "answers"), [(113, 2), (112, 1)])
async def test_a_trace_counts_in_a_head_though_it_is_looked_up_without_it(head_bytes: int, answers: int) -> None:
    wired = Wired(Limits(head_bytes=head_bytes))
    _, here = wired.client()
    trace = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    hello_ = [*GET[:2], (b":path", b"/hello"), (b":authority", b"shop.example")]
    for number, fields in ((1, hello_), (3, [*hello_, trace])):
        first = hello() if number == 1 else b""
        table = NO_TABLE if number == 1 else b""
        here.protocol.data_received(first + frame(1, END_HEADERS | END_STREAM, number, table + block(fields)))
    wired.turns.settle()
    heads = [item.data for item in frames_of(here.written) if type(item).__name__ == "HeadersFrame"]
    assert [b"\x88" in item[:2] for item in heads] == [True, answers == 2]


# --- how it leaves


async def test_a_drain_lets_the_client_know_first_and_serves_what_it_had_sent() -> None:
    case = Case()
    first = case.ask()
    case.wired.context.is_draining = True
    case.wired.pass_time(TICK)
    second = case.client.request()  # crosses the GOAWAY
    sent = case.client.send()
    case.wired.turns.settle()
    case.client.receive(case.here.written)
    case.here.writes.clear()
    assert case.client.goaways == [(MAX_STREAM, NO_ERROR)]
    case.wired.instance()
    case.here.protocol.data_received(sent + case.client.send())
    case.go()
    assert case.client.goaways == [(MAX_STREAM, NO_ERROR), (3, NO_ERROR)]
    assert not case.here.has_written_eof
    for upstream in [item.exchange.upstream for item in case.here.protocol._streams.values()]:
        assert upstream is not None
        upstream.data_received(OK + b"Content-Length: 2\r\n\r\nok")
        case.go()
    assert [(found.status, found.body, found.reset) for found in (first, second)] == [(200, b"ok", -1)] * 2
    assert case.here.has_written_eof


async def test_a_client_that_does_not_return_the_ping_is_not_waited_for() -> None:
    case = Case()
    case.wired.context.is_draining = True
    case.wired.pass_time(TICK)
    assert not case.here.protocol._has_left
    for _ in range(int(LINGER / TICK) + 2):
        case.wired.pass_time(TICK)
    case.wired.turns.settle()
    assert [item.last_stream_id for item in frames_of(case.here.written) if type(item).__name__ == "GoAwayFrame"] == [
        MAX_STREAM,
        0,
    ]
    assert case.here.has_written_eof


async def test_a_request_that_comes_too_late_may_be_sent_elsewhere() -> None:
    case = Case()
    case.ask()
    case.wired.context.is_draining = True
    ticks(case, 1)
    _ = case.here.written
    case.here.writes.clear()
    case.here.protocol.data_received(headers(3, GET))
    case.wired.turns.settle()
    assert case.here.written == b""
    assert list(case.here.protocol._streams) == [1]


async def test_an_old_connection_is_left_and_each_at_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[float] = []
    for draw in (0.0, 0.5, 1.0):
        monkeypatch.setattr("gateway.proxy.http2_downstream.random", lambda draw=draw: draw)
        case = Case(Wired(http2=Http2(max_age=100.0), timeouts=Timeouts(response=1000.0)))
        found = case.ask()
        seconds = 0.0
        while not case.client.goaways:
            ticks(case, 1)
            seconds += 1
        left.append(seconds)
        assert case.client.goaways == [(MAX_STREAM, NO_ERROR), (1, NO_ERROR)]
        case.answer(OK + b"Content-Length: 0\r\n\r\n")
        assert (found.status, found.reset) == (200, -1)
        assert case.here.has_written_eof
    assert left == [91.0, 101.0, 111.0]


async def test_an_idle_connection_is_left() -> None:
    case = Case()
    case.ask([*GET[:2], (b":path", b"/hello"), GET[3]])
    ticks(case, TIMEOUTS.keep_alive - 1)
    assert case.client.goaways == []
    ticks(case, 2)
    assert case.client.goaways == [(MAX_STREAM, NO_ERROR), (1, NO_ERROR)]
    assert case.here.has_written_eof


async def test_a_drained_listener_asks_idle_connections_to_go() -> None:
    case = Case()
    case.here.protocol.close_if_idle()
    case.here.protocol.close_if_idle()
    case.go()
    assert case.client.goaways == [(MAX_STREAM, NO_ERROR), (0, NO_ERROR)]
    assert case.here.has_written_eof


# --- who is not there


async def test_a_client_that_is_silent_is_asked_and_stays_if_it_is_there() -> None:
    case = Case(Wired(http2=Http2(ping=10.0), timeouts=Timeouts(response=1000.0)))
    found = case.ask()
    ticks(case, 100)
    case.answer(OK + b"Content-Length: 0\r\n\r\n")
    assert found.status == 200


async def test_a_client_that_is_gone_is_noticed() -> None:
    case = Case(Wired(http2=Http2(ping=10.0), timeouts=Timeouts(response=1000.0)))
    case.ask()
    for _ in range(100):
        case.wired.pass_time(TICK)
    case.wired.turns.settle()
    pings = [item for item in frames_of(case.here.written) if type(item).__name__ == "PingFrame"]
    assert [item.opaque_data for item in pings] == [b"present?"]
    assert case.here.is_aborted
    assert case.there.is_aborted
    assert case.wired.traffic.in_flight == 0


async def test_an_instance_that_is_late_is_504_and_only_that_stream_ends() -> None:
    case = Case()
    found = case.ask()
    case.wired.pass_time(TIMEOUTS.response + 1)
    case.go()
    assert (found.status, found.is_done) == (504, True)
    assert case.ask([*GET[:2], (b":path", b"/hello"), GET[3]]).status == 200


async def test_a_body_that_stops_is_408() -> None:
    case = Case()
    found = case.ask([(b":method", b"POST"), *GET[1:]], b"hello", ends=False)
    case.wired.pass_time(TIMEOUTS.body_idle + 1)
    case.go()
    assert found.status == 408


# --- the transport


async def test_a_client_that_does_not_read_is_not_read_from_either() -> None:
    """CVE-2019-9512, CVE-2019-9515: answers to control frames pile up no further than a transport's buffer."""
    wired = Wired(http2=Http2(control=1_000_000))
    _, here = wired.client(takes=False)
    here.protocol.data_received(hello())
    while not here.is_paused:
        here.protocol.data_received(frame(PING, 0, 0, b"12345678") * 100)
        wired.turns.settle()
    assert here.get_write_buffer_size() < 65536 + 2 * 17 * 100
    here.takes = True
    here.drain()
    assert not here.is_paused


async def test_much_of_one_client_is_worked_on_in_turns() -> None:
    wired = Wired()
    wired.turns.cost = 1.0  # every look at the clock finds the turn over
    _, here = wired.client()
    hello_path = [*GET[:2], (b":path", b"/hello"), GET[3]]
    here.protocol.data_received(hello() + b"".join([headers(number, hello_path) for number in range(1, 101, 2)]))
    assert here.is_paused
    assert wired.traffic.http2_started < 50
    wired.turns.settle()
    assert wired.traffic.http2_started == 50
    assert not here.is_paused


async def test_a_stop_cuts_everything_off() -> None:
    case = Case()
    case.ask()
    case.here.protocol.close_now()
    assert case.here.is_aborted
    assert case.there.is_aborted
    case.here.protocol.connection_lost(None)
    assert (case.wired.traffic.in_flight, case.wired.traffic.connections) == (0, 0)
    assert case.wired.clients.connections == set()


async def test_two_clients_hear_from_their_own_streams_only() -> None:
    case = Case()
    other = H2Client()
    _, there = case.wired.client()
    there.protocol.data_received(other.send())
    case.wired.turns.settle()
    other.receive(there.written)
    found = case.ask()
    other.connection.send_headers(1, GET, end_stream=True)
    other.connection.reset_stream(1, CANCEL)
    there.protocol.data_received(other.send())
    case.answer(OK + b"Content-Length: 2\r\n\r\nok")
    assert (found.status, found.body) == (200, b"ok")


async def test_settings_are_taken_while_it_runs() -> None:
    case = Case()
    case.here.protocol.data_received(settings_frame([(4, 1)]) + SETTINGS_ACK)
    found = case.ask()
    case.client.connection.update_settings({4: 100})
    case.answer(OK + b"Content-Length: 2\r\n\r\nok")
    assert (found.status, found.body) == (200, b"ok")
