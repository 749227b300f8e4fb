"""A connection of HTTP/2 to an instance: when it takes requests, when it asks whether anybody is there, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.failures import CERTIFICATE_REFUSED, MALFORMED, REFUSED_STREAM, RESET, UNRESPONSIVE, Fault
from gateway.http.head_reader import build_request
from gateway.http.request import Request
from gateway.http2 import errors, events
from gateway.http2.blocks import response_block, trailers_block
from gateway.http2.endpoint import Endpoint
from gateway.http2.events import Event
from gateway.http2.frames import MAX_STREAM, goaway_frame, ping_frame
from gateway.http2.stream import Stream
from gateway.http2.terms import Terms
from gateway.proxy.connection import BULK, Outbox
from gateway.proxy.multiplexing import SILENCE
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import ResponseHandler, Upstream, UpstreamOwner
from gateway.proxy.upstream_session import ASKS, Session
from gateway.proxy.upstream_stream import UpstreamStream
from tests.support.fakes import FakeTransport, refused

GET = build_request("GET", "/x")
HEAD_200 = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
HEAD = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
CALL = build_request("POST", "/a.B/C", [("content-type", "application/grpc")])
CALL_HEAD = b"POST /a.B/C HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n\r\n"


class Owner(UpstreamOwner):
    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []
        super().__init__(Outbox(self.put_off), RunQueue(lambda run: None))
        self.gone: list[Upstream] = []
        self.rooms = 0

    def put_off(self, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def lost(self, upstream: Upstream) -> None:
        self.gone.append(upstream)

    def has_room(self, upstream: Upstream) -> None:
        self.rooms += 1

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.due.append(callback)


class Handler(ResponseHandler):
    """Notes what an exchange would be told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def response_received(self, data: bytes) -> None:
        self.told.append(data)

    def response_trailers(self, lines: bytes) -> None:
        self.told.append(("trailers", lines))

    def response_ended(self) -> bool:
        self.told.append("ended")
        return False

    def response_aborted(self, fault: Fault, detail: str) -> None:
        self.told.append((fault, detail))

    def response_lost(self) -> None:
        self.told.append("lost")

    def instance_stalled(self) -> None:
        self.told.append("stalled")

    def instance_drained(self) -> None:
        self.told.append("drained")

    def broken(self) -> None:
        self.told.append("broken")


class Pair:
    """A session, and the instance at the other end."""

    def __init__(self, most: int = 10, **terms: int) -> None:
        self.owner = Owner()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.session = Session(self.owner, Terms(), most, self.ready)
        self.transport = FakeTransport(self.session)
        self.out: list[bytes] = []
        self.session.connection_made(self.transport)
        self.instance = Endpoint(Terms(**terms), self.out.append, is_server=True, now=0.0)

    def turn(self) -> list[Event]:
        """Carries bytes both ways until there are none; what the instance has met."""
        found: list[Event] = []
        while True:
            due, self.owner.due = self.owner.due, []
            for callback in due:
                callback()
            data = self.transport.written
            self.transport.writes.clear()
            self.instance.feed(data, 0.0)
            while (event := self.instance.next_event()) is not None:
                found.append(event)
            data = b"".join(self.out)
            self.out.clear()
            if data:
                self.session.data_received(data)
            elif not self.owner.due:
                return found

    def send(self, request: Request = GET, head: bytes = HEAD) -> tuple[UpstreamStream, Handler]:
        stream, handler = self.session.reserve(), Handler()
        stream.handler = handler
        stream.send_request(request, head, None)
        return stream, handler


async def test_nothing_is_sent_before_the_instance_has_said_that_it_speaks_http2() -> None:
    pair = Pair()
    assert (pair.session.speaks_http2, pair.ready.done()) == (None, False)
    pair.turn()
    assert (pair.session.speaks_http2, pair.ready.done()) == (True, True)


async def test_who_speaks_something_else_is_known_by_its_first_bytes() -> None:
    pair = Pair()
    pair.session.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    pair.session.connection_lost(None)
    assert (pair.session.speaks_http2, pair.ready.done(), pair.owner.gone) == (False, True, [pair.session])


async def test_it_has_room_for_as_many_as_both_sides_want() -> None:
    pair = Pair(most=3)
    pair.turn()
    assert pair.session.room == 3
    stream, _ = pair.send()
    kept = pair.session.reserve()
    assert pair.session.room == 1
    kept.release()
    assert pair.session.room == 2
    stream.close()
    assert (pair.session.room, pair.session.is_idle) == (3, True)
    few = Pair(most=3, streams=2)
    few.turn()
    assert few.session.room == 2


async def test_a_silent_instance_that_owes_something_is_asked_once_and_given_up_if_it_says_nothing() -> None:
    pair = Pair()
    pair.turn()
    pair.session.look(100.0, SILENCE)
    _, handler = pair.send()
    pair.turn()
    pair.session.look(100.0 + SILENCE, SILENCE)
    pair.owner.outbox.flush()
    assert pair.transport.written == b""
    pair.session.look(100.1 + SILENCE, SILENCE)
    pair.owner.outbox.flush()
    assert pair.transport.written == ping_frame(b"are you?")
    assert pair.session.room == 0, "nobody else is to wait for it"
    pair.session.look(100.0 + 2 * SILENCE, SILENCE)
    assert pair.owner.gone == []
    pair.session.look(100.2 + 2 * SILENCE, SILENCE)
    assert pair.transport.is_aborted
    pair.session.connection_lost(None)
    assert handler.told == [(UNRESPONSIVE, "")]


async def test_a_refused_certificate_is_told_to_all_and_nothing_was_processed() -> None:
    pair = Pair()
    pair.turn()
    handlers = [pair.send()[1] for _ in range(2)]
    pair.session.connection_lost(refused("TLSV1_ALERT_UNKNOWN_CA"))
    assert pair.session.refusal == "the instance refuses our certificate (unknown ca)"
    assert [handler.told for handler in handlers] == [[(CERTIFICATE_REFUSED, pair.session.refusal)]] * 2


async def test_one_that_says_so_is_waited_for_and_asked_only_once_more_in_the_same_silence() -> None:
    """Servers of gRPC close a connection on which they are asked too often."""
    pair = Pair()
    pair.turn()
    pair.send()
    pair.turn()
    now = asyncio.get_running_loop().time()
    pings = 0
    for _ in range(50):
        now += SILENCE / 4
        pair.session._heard_at = min(pair.session._heard_at, now)
        pair.session.look(now, SILENCE)
        pair.owner.outbox.flush()
        pings += pair.transport.written.count(ping_frame(b"are you?"))
        pair.turn()
    assert (pings, pair.transport.is_aborted) == (ASKS, False)


@pytest.mark.parametrize("says", ["the ping", "something of a response"])
async def test_one_that_has_said_something_gets_requests_again(says: str) -> None:
    pair = Pair()
    pair.turn()
    stream, _ = pair.send()
    pair.turn()
    now = asyncio.get_running_loop().time() + 100.0
    pair.session._heard_at = now
    pair.session.look(now + SILENCE + 0.1, SILENCE)
    pair.owner.outbox.flush()
    assert pair.session.room == 0
    if says == "the ping":
        pair.turn()
    else:
        pair.transport.writes.clear()  # the ping is lost on the way
        assert stream.stream is not None
        pair.instance.send_head(pair.instance.streams[stream.stream.id], response_block(HEAD_200), False)
        pair.turn()
        pair.session.look(now + SILENCE + 0.2, SILENCE)
    assert pair.session.room == 9


async def test_one_that_owes_nothing_is_not_asked() -> None:
    pair = Pair()
    pair.turn()
    for later in range(0, 100, 10):
        pair.session.look(100.0 + later, SILENCE)
    pair.owner.outbox.flush()
    assert pair.transport.written == b""


async def test_it_leaves_when_nothing_is_under_way_and_says_goodbye_then() -> None:
    pair = Pair()
    pair.turn()
    stream, _ = pair.send()
    pair.turn()
    pair.session.leave()
    assert (pair.session.room, pair.transport.is_closed, pair.turn()) == (0, False, [])
    stream.close()
    pair.session.close_if_over()
    assert pair.transport.is_closed
    assert pair.transport.written.endswith(goaway_frame(0, 0))


async def test_one_whose_streams_are_used_up_takes_no_more_and_closes_after_the_last() -> None:
    """A busy connection between two of ours has had 2^30 requests after a day."""
    pair = Pair()
    pair.turn()
    endpoint = pair.session.endpoint
    assert endpoint is not None
    endpoint.next_stream = MAX_STREAM
    _, handler = pair.send()
    assert (pair.session.room, pair.transport.is_closed) == (0, False)
    (event,) = [event for event in pair.turn() if event.kind == events.REQUEST]
    assert event.stream is not None
    pair.instance.send_head(event.stream, response_block(b"HTTP/1.1 204 No Content\r\n\r\n"), True)
    pair.turn()
    pair.session.close_if_over()
    assert (handler.told, pair.transport.is_closed) == ([b"HTTP/1.1 204 No Content\r\n\r\n", "ended"], True)


async def test_what_goaway_leaves_out_was_not_processed_and_the_rest_is_waited_for() -> None:
    pair = Pair()
    pair.turn()
    (_, first), (_, second) = pair.send(), pair.send()
    requests = [event.stream for event in pair.turn() if event.kind == events.REQUEST]
    pair.session.data_received(goaway_frame(1, 0))
    assert (first.told, second.told, pair.session.room) == ([], [(REFUSED_STREAM, "")], 0)
    kept = requests[0]
    assert kept is not None
    pair.instance.send_head(kept, response_block(b"HTTP/1.1 204 No Content\r\n\r\n"), True)
    pair.turn()
    assert first.told == [b"HTTP/1.1 204 No Content\r\n\r\n", "ended"]


@pytest.mark.parametrize(
    ("code", "told"),
    [(errors.REFUSED_STREAM, (REFUSED_STREAM, "")), (errors.CANCEL, (RESET, "cancel")), (0x99, (RESET, "unknown"))],
)
async def test_a_reset_is_one_streams(code: int, told: object) -> None:
    pair = Pair()
    pair.turn()
    (_, first), (_, second) = pair.send(), pair.send()
    event = next(event for event in pair.turn() if event.kind == events.REQUEST)
    assert event.stream is not None
    pair.instance.reset(event.stream, code)
    pair.turn()
    assert (first.told, second.told) == ([told], [])


@pytest.mark.parametrize("is_one_packet", [True, False])
async def test_what_the_instance_cuts_off_is_passed_on_as_far_as_it_came_in_however_many_packets(
    is_one_packet: bool,
) -> None:
    pair = Pair()
    pair.turn()
    stream, handler = pair.send()
    (event,) = [event for event in pair.turn() if event.kind == events.REQUEST]
    assert event.stream is not None
    pair.instance.send_head(event.stream, response_block(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"), False)
    pair.instance.send_data(event.stream, b"abc", False)
    if not is_one_packet:
        pair.turn()
    pair.instance.reset(event.stream, errors.INTERNAL_ERROR)
    pair.turn()
    assert handler.told == [b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", (RESET, "internal_error")]
    assert stream.is_lost


@pytest.mark.parametrize(
    ("size", "told"), [(BULK, [b"a" * BULK, b"b" * BULK]), (BULK - 1, [b"a" * (BULK - 1) + b"b" * (BULK - 1)])]
)
async def test_long_pieces_of_a_packet_are_passed_on_one_by_one_and_short_ones_together(
    size: int, told: list[bytes]
) -> None:
    pair = Pair()
    pair.turn()
    (_, handler), (_, other) = pair.send(), pair.send()
    streams = [event.stream for event in pair.turn() if event.kind == events.REQUEST and event.stream is not None]
    for stream in streams:
        pair.instance.send_head(stream, response_block(b"HTTP/1.1 200 OK\r\n\r\n"), False)
    pair.turn()
    handler.told.clear()
    for stream, letter in ((streams[0], b"a"), (streams[1], b"x"), (streams[0], b"b")):
        pair.instance.send_data(stream, letter * size, False)
    pair.turn()
    assert handler.told == told
    assert other.told[1:] == [b"x" * size]


async def test_what_is_no_response_is_malformed_and_reset() -> None:
    pair = Pair()
    pair.turn()
    _, handler = pair.send()
    event = next(event for event in pair.turn() if event.kind == events.REQUEST)
    assert event.stream is not None
    pair.instance.send_head(event.stream, b"\x00\x01x\x01y", True)  # no :status
    found = pair.turn()
    ((fault, _),) = handler.told
    assert fault is MALFORMED
    assert pair.session.room == 10
    assert not pair.transport.is_aborted
    assert [event.kind for event in found if event.kind == events.RESET] in ([], [events.RESET])


SAID = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n%b\r\n"


@pytest.mark.parametrize("is_announced", [False, True])
@pytest.mark.parametrize("comes_at_once", [False, True])
async def test_a_response_with_a_length_and_trailers_ends_with_its_stream(
    is_announced: bool, comes_at_once: bool
) -> None:
    """HTTP/1.1 has one or the other. If nothing tells that there will be trailers, its length is its end."""
    pair = Pair()
    pair.turn()
    _, handler = pair.send()
    (event,) = [event for event in pair.turn() if event.kind == events.REQUEST]
    assert event.stream is not None
    head = SAID % (b"Trailer: a\r\n" if is_announced else b"")
    pair.instance.send_head(event.stream, response_block(head), False)
    pair.instance.send_data(event.stream, b"abc", False)
    if not comes_at_once:
        pair.turn()
    pair.instance.send_trailers(event.stream, trailers_block(b"\r\na: b"))
    pair.turn()
    keeps = not (is_announced or comes_at_once)
    lines = (b"content-length: 3\r\n" if keeps else b"") + (b"trailer: a\r\n" if is_announced else b"")
    assert handler.told == [b"HTTP/1.1 200 OK\r\n" + lines + b"\r\nabc", ("trailers", b"\r\na: b"), "ended"]


def malformed_length(pair: Pair, stream: Stream) -> None:
    pair.instance.send_data(stream, b"", True)


def malformed_trailers(pair: Pair, stream: Stream) -> None:
    pair.instance.send_trailers(stream, b"\x00\x01X\x01y")


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("ends", [malformed_length, malformed_trailers])
async def test_data_of_a_malformed_response_takes_nothing_from_the_window_of_all(
    ends: Callable[[Pair, Stream], None], is_paused: bool
) -> None:
    """Otherwise the connection comes to a halt, after many."""
    pair = Pair()
    pair.turn()
    stream, handler = pair.send()
    if is_paused:
        stream.pause_reading()
    (event,) = [event for event in pair.turn() if event.kind == events.REQUEST]
    assert event.stream is not None
    pair.instance.send_head(event.stream, response_block(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"), False)
    pair.instance.send_data(event.stream, b"abc", False)
    ends(pair, event.stream)
    pair.turn()
    endpoint = pair.session.endpoint
    assert endpoint is not None
    assert [item[0] for item in handler.told if isinstance(item, tuple)] == [MALFORMED]
    assert endpoint.receive_window + endpoint._returned == endpoint.terms.connection_window


async def test_an_error_of_ours_in_one_stream_is_not_anothers() -> None:
    class Broken(Handler):
        def response_received(self, data: bytes) -> None:
            raise RuntimeError("a bug")

    pair = Pair()
    pair.turn()
    (first, _), (_, second) = pair.send(), pair.send()
    broken = first.handler = Broken()
    for event in pair.turn():
        if event.kind == events.REQUEST and event.stream is not None:
            pair.instance.send_head(event.stream, response_block(b"HTTP/1.1 204 No Content\r\n\r\n"), True)
    pair.turn()
    assert (broken.told, second.told[-1], pair.transport.is_aborted) == (["broken"], "ended", False)


async def test_data_that_an_error_of_ours_has_met_takes_nothing_from_the_window_of_all() -> None:
    class Broken(Handler):
        def response_received(self, data: bytes) -> None:
            raise RuntimeError("a bug")

    pair = Pair()
    pair.turn()
    stream, _ = pair.send()
    stream.handler = Broken()
    (event,) = [event for event in pair.turn() if event.kind == events.REQUEST]
    assert event.stream is not None
    pair.instance.send_head(event.stream, response_block(HEAD_200), False)
    pair.instance.send_data(event.stream, b"abc", False)
    pair.turn()
    stream.close()
    endpoint = pair.session.endpoint
    assert endpoint is not None
    assert endpoint.receive_window + endpoint._returned == endpoint.terms.connection_window


@pytest.mark.parametrize("is_one_packet", [False, True])
async def test_trailers_of_a_call_are_passed_on_though_its_length_is_known(is_one_packet: bool) -> None:
    """nginx says a length, and sends trailers all the same."""
    pair = Pair()
    pair.turn()
    _, handler = pair.send(CALL, CALL_HEAD)
    (event,) = [event for event in pair.turn() if event.kind == events.REQUEST]
    opened = event.stream
    assert opened is not None
    pair.instance.send_head(opened, response_block(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\n"), False)
    pair.instance.send_data(opened, b"hello", False)
    if not is_one_packet:
        pair.turn()
    pair.instance.send_trailers(opened, trailers_block(b"\r\ngrpc-status: 0"))
    pair.turn()
    handler.told[0] = handler.told[0].partition(b"\r\n\r\n")
    assert handler.told == [
        (b"HTTP/1.1 200 OK\r\na: b", b"\r\n\r\n", b"hello"),
        ("trailers", b"\r\ngrpc-status: 0"),
        "ended",
    ]
