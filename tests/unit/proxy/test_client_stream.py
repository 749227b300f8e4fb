"""A client's stream in front of an instance that speaks HTTP/1: requests up, responses down, cancels, windows, tunnels."""

from __future__ import annotations

import pytest

from gateway.http2.errors import CANCEL, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR
from gateway.proxy.connection import HIGH_WATER
from gateway.routing.entry import EntryRouter
from gateway.settings.plane import TimeoutSettings
from tests.support.bounds import Http2, Limits
from tests.support.fakes import Wired
from tests.support.http2 import GET, POST, H2Client, Response

OK = b"HTTP/1.1 200 OK\r\n"
TIMEOUTS = TimeoutSettings()


class Case:
    """A client of HTTP/2, and one connection to an instance that is kept for its first request."""

    def __init__(self, wired: Wired | None = None, takes: bool = True, instance_takes: bool = True) -> None:
        self.wired = wired or Wired()
        self.instance, self.there = self.wired.instance(instance_takes)
        _, self.here = self.wired.client()
        self.client = H2Client(takes)
        self.go()

    def go(self) -> None:
        """Carries what there is, both ways, until there is nothing."""
        while True:
            self.wired.turns.settle()
            written, self.here.writes = self.here.written, []
            self.client.receive(written)
            data = self.client.send()
            if data:
                self.here.protocol.data_received(data)
            elif not written:
                return

    def ask(self, *args: object, **others: object) -> Response:
        found = self.client.request(*args, **others)  # type: ignore[arg-type]
        self.go()
        return found

    def answer(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.instance.data_received(piece)
            self.go()

    def sent(self) -> tuple[list[bytes], bytes]:
        """What the instance got: the head's lines, and the body."""
        head, _, body = self.there.written.partition(b"\r\n\r\n")
        return head.split(b"\r\n"), body

    @property
    def errors(self) -> dict[str, int]:
        return {kind: count for (_, _, kind), count in self.wired.traffic.upstream_errors.items()}


async def test_a_request_reaches_the_instance_as_http_1_1() -> None:
    case = Case()
    case.ask([*GET, (b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2"), (b"te", b"trailers")])
    lines, body = case.sent()
    assert lines[:5] == [
        b"GET /x HTTP/1.1",
        b"host: shop.example",
        b"accept: */*",
        b"cookie: a=1; b=2",
        b"X-Forwarded-For: 192.0.2.1",
    ]
    assert (lines[-1], body) == (b"Via: 2 gray-gateway", b"")


RESPONSES = [
    pytest.param([OK + b"Content-Length: 5\r\n\r\nhello"], [(b"content-length", b"5")], b"hello", id="a length"),
    pytest.param([OK + b"Content-Length: 5\r\n\r\nhe", b"llo"], [(b"content-length", b"5")], b"hello", id="in pieces"),
    pytest.param([OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"], [], b"hello", id="chunks"),
    pytest.param([OK + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhe", b"llo\r\n", b"0\r\n\r\n"], [], b"hello", id="chunks in pieces"),
    pytest.param([b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"], [(b"a", b"b")], b"", id="none"),
    pytest.param([OK + b"Connection: close, X\r\nX: y\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n"], [(b"content-length", b"0")], b"", id="fields of one hop"),
]  # fmt: skip


@pytest.mark.parametrize(("pieces", "fields", "body"), RESPONSES)
async def test_a_response_reaches_the_client(
    pieces: list[bytes], fields: list[tuple[bytes, bytes]], body: bytes
) -> None:
    case = Case()
    found = case.ask()
    case.answer(*pieces)
    assert (found.fields, found.body, found.is_done, found.reset) == (fields, body, True, -1)
    assert case.wired.traffic.in_flight == 0
    assert case.here.protocol.endpoint.streams == {}
    assert case.here.protocol._streams == {}


async def test_a_body_that_ends_with_its_connection() -> None:
    case = Case()
    found = case.ask()
    case.answer(OK + b"\r\n", b"he", b"llo")
    assert not found.is_done
    case.instance.eof_received()
    case.instance.connection_lost(None)
    case.go()
    assert (found.body, found.is_done) == (b"hello", True)


async def test_a_response_to_head_has_a_length_and_no_body() -> None:
    case = Case()
    found = case.ask([(b":method", b"HEAD"), *GET[1:]])
    case.answer(OK + b"Content-Length: 5\r\n\r\n")
    assert (found.fields, found.body, found.is_done) == ([(b"content-length", b"5")], b"", True)


async def test_trailers_of_chunks_reach_the_client() -> None:
    case = Case()
    found = case.ask()
    case.answer(
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nGrpc-Status: 0\r\nContent-Length: 9\r\n\r\n"
    )
    assert (found.body, found.trailers, found.is_done) == (b"hello", [(b"grpc-status", b"0")], True)


async def test_interim_responses_reach_the_client() -> None:
    case = Case()
    found = case.ask()
    case.answer(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    )
    assert (found.interims, found.status, found.is_done) == ([103, 100], 200, True)


async def test_an_interim_head_is_one_the_second_time_too() -> None:
    """Heads are remembered whole: what comes after one in its packet is not a part of it."""
    case = Case()
    for _ in range(2):
        found = case.ask()
        case.answer(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello")
        assert (found.interims, found.status, found.body, found.is_done) == ([103], 200, b"hello", True)


async def test_what_a_client_expects_is_said_at_once() -> None:
    case = Case()
    found = case.ask([*POST, (b"expect", b"100-continue"), (b"content-length", b"2")], ends=False)
    assert found.interims == [100]
    case.client.connection.send_data(1, b"ab", end_stream=True)
    case.go()
    assert case.sent()[1] == b"ab"


async def test_a_cut_off_response_is_a_reset() -> None:
    case = Case()
    found = case.ask()
    case.answer(OK + b"Content-Length: 5\r\n\r\nhel")
    case.instance.connection_lost(ConnectionResetError())
    case.go()
    assert (found.body, found.is_done, found.reset) == (b"hel", False, INTERNAL_ERROR)
    assert case.errors == {"truncated": 1}


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", OK + b"Content-Length: x\r\n\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"],
    ids=["no head", "no length", "no chunk"],
)
async def test_what_is_no_response_is_502_and_the_connection_goes_on(sent: bytes) -> None:
    case = Case()
    found = case.ask()
    case.answer(sent)
    assert (found.status, found.header(b"content-type"), found.is_done) == (502, b"application/problem+json", True)
    assert case.errors == {"bad_response": 1}
    case.instance, case.there = case.wired.instance()
    second = case.ask()
    case.answer(OK + b"Content-Length: 0\r\n\r\n")
    assert second.status == 200


async def test_a_route_responds_itself() -> None:
    case = Case()
    found = case.ask([(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/hello"), (b":authority", b"a")])
    assert (found.status, found.body, found.is_done) == (200, b"hello", True)


# --- request bodies


async def test_a_body_without_a_length_becomes_chunks() -> None:
    case = Case()
    case.ask(POST, b"hello", ends=False)
    lines, body = case.sent()
    assert b"transfer-encoding: chunked" in lines
    assert body == b"5\r\nhello\r\n"
    case.client.connection.send_data(1, b"!", end_stream=True)
    case.go()
    assert case.sent()[1] == b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"


async def test_an_end_by_itself_and_trailers_end_the_chunks() -> None:
    for finish in ["data", "trailers"]:
        case = Case()
        case.ask(POST, b"hello", ends=False)
        if finish == "data":
            case.client.connection.end_stream(1)
        else:
            case.client.connection.send_headers(1, [(b"x-gray-tag", b"gray")], end_stream=True)
        case.go()
        assert case.sent()[1] == b"5\r\nhello\r\n0\r\n\r\n"


async def test_a_body_with_a_length_is_passed_on_as_it_is() -> None:
    case = Case()
    case.ask([*POST, (b"content-length", b"5")], b"he", ends=False)
    case.client.connection.send_data(1, b"llo", end_stream=True)
    case.go()
    lines, body = case.sent()
    assert b"content-length: 5" in lines
    assert body == b"hello"


async def test_window_comes_back_only_as_the_instance_takes_the_body() -> None:
    case = Case(instance_takes=False)
    connection = case.client.connection
    case.ask([*POST, (b"content-length", b"1000000")], b"", ends=False)
    sent = 0
    while (size := min(connection.local_flow_control_window(1), 16384)) > 0:
        connection.send_data(1, b"x" * size)
        sent += size
        case.go()
    window = case.here.protocol.endpoint.terms.stream_window
    assert sent <= window + HIGH_WATER + 16384
    assert case.there.get_write_buffer_size() <= sent + 1000
    case.there.drain()
    case.go()
    assert connection.local_flow_control_window(1) >= window // 2


async def test_all_streams_together_send_no_more_than_the_connection_may_hold() -> None:
    """A hundred streams whose instances read nothing."""
    wired = Wired(http2=Http2(connection_window=200_000), instances=100)
    case = Case(wired, instance_takes=False)
    there = [case.there, *[wired.instance(False)[1] for _ in range(99)]]
    connection = case.client.connection
    for number in range(100):
        case.ask([*POST, (b"content-length", b"1000000")], b"", ends=False)
        while (size := min(connection.local_flow_control_window(2 * number + 1), 16384)) > 0:
            connection.send_data(2 * number + 1, b"x" * size)
            case.go()
    held = sum(transport.get_write_buffer_size() for transport in there)
    assert held <= 200_000 + HIGH_WATER + 16384 + 100 * 500


async def test_a_response_before_the_body_ends_the_stream_without_an_error() -> None:
    case = Case()
    found = case.ask(POST, b"hello", ends=False)
    case.answer(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
    assert (found.status, found.is_done, found.reset) == (413, True, NO_ERROR)
    assert case.here.protocol._streams == {}


# --- the client goes, or does not read


async def test_a_reset_cancels_the_request() -> None:
    case = Case()
    case.ask()
    case.client.connection.reset_stream(1, CANCEL)
    case.go()
    assert case.there.is_aborted
    assert case.wired.traffic.in_flight == 0
    assert case.wired.traffic.exchanges["a"]["base"].statuses == {499: 1}


async def test_a_client_that_goes_cancels_all_its_requests() -> None:
    case = Case()
    case.ask()
    case.here.protocol.connection_lost(None)
    assert case.there.is_aborted
    assert (case.wired.traffic.in_flight, case.wired.traffic.connections, case.wired.clients.connections) == (
        0,
        0,
        set(),
    )


async def test_a_client_that_does_not_read_stops_its_instance() -> None:
    case = Case(takes=False)
    found = case.ask()
    case.answer(OK + b"Content-Length: 1000000\r\n\r\n")
    while not case.there.is_paused:
        case.answer(b"x" * 16384)
    endpoint = case.here.protocol.endpoint
    assert HIGH_WATER < endpoint.pending <= HIGH_WATER + 16384
    case.client.connection.acknowledge_received_data(65535, 1)
    case.go()
    case.client.takes = True
    while len(found.body) < 65535 + endpoint.pending:
        case.client.connection.increment_flow_control_window(65535)
        case.client.connection.increment_flow_control_window(65535, 1)
        case.go()
    assert not case.there.is_paused


async def test_a_client_that_does_not_read_for_long_is_cut_off() -> None:
    case = Case(takes=False)
    found = case.ask()
    case.answer(OK + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000)
    case.wired.pass_time(TIMEOUTS.body_idle + 1)
    case.go()
    assert found.reset == CANCEL
    assert case.here.protocol._streams == {}
    assert case.here.protocol.endpoint.pending == 0


async def test_all_streams_together_hold_a_bounded_sum() -> None:
    """CVE-2019-9511, CVE-2019-9517: a hundred streams whose reader stalls."""
    wired = Wired(http2=Http2(pending=100_000), instances=100)
    case = Case(wired, takes=False)
    pairs = [(case.instance, case.there), *[wired.instance() for _ in range(49)]]
    for _ in pairs:
        case.ask()
    endpoint = case.here.protocol.endpoint
    for instance, _ in pairs:
        instance.data_received(OK + b"Content-Length: 1000000\r\n\r\n")
    for instance, there in pairs:
        while not there.is_paused:
            instance.data_received(b"x" * 16384)
    case.go()
    assert endpoint.pending <= 100_000 + 16384
    assert [there.is_paused for _, there in pairs] == [True] * 50
    refused = case.ask()
    assert refused.reset == 7
    assert wired.traffic.http2_failures == {"buffered_bytes": 1}
    case.client.takes = True
    case.client.connection.increment_flow_control_window(10_000_000)
    for number in range(1, 101, 2):
        case.client.connection.increment_flow_control_window(1_000_000, number)
    case.go()
    assert endpoint.pending == 0
    assert [there.is_paused for _, there in pairs] == [False] * 50


# --- malformed


async def test_a_malformed_request_is_400_and_a_reset() -> None:
    case = Case()
    found = case.ask([*GET, (b"connection", b"close")])
    assert (found.status, found.reset) == (400, PROTOCOL_ERROR)
    assert b"bad_request" in found.body
    assert case.there.written == b""
    assert case.wired.traffic.refused == {"bad_request": 1}
    assert case.ask().reset == -1


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ([*GET[:2], (b":path", b"/a/../b"), GET[3]], 400, "bad_target"),
        ([*GET[:3], (b":authority", b"u@a")], 400, "bad_host"),
        (GET[:3], 400, "bad_host"),
        ([(b":method", b"TRACE"), *GET[1:]], 405, "method_refused"),
        ([(b":method", b"CONNECT"), (b":authority", b"a:1")], 405, "method_refused"),
        ([(b":method", b"CONNECT"), (b":protocol", b"connect-udp"), *GET[1:]], 501, "unknown_protocol"),
        ([*GET, *[(b"a", b"b")] * 101], 431, "head_too_large"),
        ([*GET[:2], (b":path", b"/" + b"a" * 20_000), GET[3]], 414, "target_too_long"),
        ([*GET, (b"expect", b"a miracle")], 417, "unknown_expectation"),
    ],
)
async def test_what_http_1_1_would_refuse_is_refused(fields: list[tuple[bytes, bytes]], status: int, code: str) -> None:
    case = Case()
    found = case.ask(fields)
    assert (found.status, found.is_done, code in found.body.decode()) == (status, True, True)
    assert case.there.written == b""


async def test_trailers_that_are_none_end_the_request() -> None:
    case = Case()
    found = case.ask(POST, b"hello", ends=False)
    case.client.connection.send_headers(1, [(b"connection", b"close")], end_stream=True)
    case.go()
    assert (found.status, found.is_done) == (400, True)
    assert case.there.is_aborted


async def test_a_bug_of_ours_is_500_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case()
    other = case.ask()
    monkeypatch.setattr(EntryRouter, "route", lambda *_: 1 / 0)
    assert case.ask().status == 500
    monkeypatch.undo()
    assert case.wired.traffic.internal_errors == 1
    case.answer(OK + b"Content-Length: 0\r\n\r\n")
    assert other.status == 200


# --- WebSockets

CONNECT = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:], (b"sec-websocket-version", b"13")]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nA: b\r\n\r\n"


async def test_an_extended_connect_becomes_a_tunnel() -> None:
    case = Case()
    found = case.ask(CONNECT, ends=False)
    lines, _ = case.sent()
    assert lines[0] == b"GET /x HTTP/1.1"
    assert {b"Connection: Upgrade", b"Upgrade: websocket"} <= set(lines)
    assert [len(line) for line in lines if line.startswith(b"sec-websocket-key: ")] == [19 + 24]
    case.client.connection.send_data(1, b"early")
    case.go()
    case.there.writes.clear()
    case.answer(SWITCH + b"first")
    assert (found.status, found.fields, found.body) == (200, [(b"a", b"b")], b"first")
    assert case.there.written == b"early"
    assert case.wired.traffic.tunnels == 1
    case.client.connection.send_data(1, b" and late")
    case.answer(b" and last")
    case.go()
    assert (case.there.written, found.body) == (b"early and late", b"first and last")
    case.client.connection.end_stream(1)
    case.go()
    assert case.there.has_written_eof
    case.instance.eof_received()
    case.instance.connection_lost(None)
    case.go()
    assert (found.is_done, case.wired.traffic.tunnels, case.here.protocol._streams) == (True, 0, {})


async def test_an_instance_that_ends_a_tunnel_ends_the_stream() -> None:
    case = Case()
    found = case.ask(CONNECT, ends=False)
    case.answer(SWITCH)
    case.instance.connection_lost(ConnectionResetError())
    case.go()
    assert (found.is_done, found.reset, case.wired.traffic.tunnels) == (True, NO_ERROR, 0)


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403), (OK + b"Content-Length: 0\r\n\r\n", 502)],
    ids=["it refuses", "it takes it for a GET"],
)
async def test_an_instance_that_does_not_switch(answer: bytes, status: int) -> None:
    case = Case()
    found = case.ask(CONNECT, ends=False)
    case.answer(answer)
    assert (found.status, case.wired.traffic.tunnels) == (status, 0)


async def test_a_switch_that_nobody_asked_for_is_502() -> None:
    case = Case()
    found = case.ask()
    case.answer(SWITCH)
    assert found.status == 502


async def test_tunnels_have_their_limits() -> None:
    case = Case(Wired(Limits(tunnels=0)))
    assert case.ask(CONNECT, ends=False).status == 503


async def test_a_tunnel_that_the_client_resets_is_closed() -> None:
    case = Case()
    case.ask(CONNECT, ends=False)
    case.answer(SWITCH)
    case.client.connection.reset_stream(1, CANCEL)
    case.go()
    assert case.there.is_closed
    assert case.wired.traffic.tunnels == 0
