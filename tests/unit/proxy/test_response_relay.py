"""What an instance sends, and what of it reaches the client: to the byte, in every version and framing."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from gateway.http.response import MAX_INTERIM
from gateway.proxy.response_body import FEW
from gateway.routing.plans import BackendPlan, EditPlan, RoutePlan
from tests.support.fakes import FakeTransport, Wired

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
OLD = b"GET /A/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
CLOSING = b"GET /A/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
HEAD = b"HEAD /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
EXPECTING = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
FIVE = b"Content-Length: 5\r\n"
CODED = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
CLOSE, KEEP = b"Connection: close\r\n", b"Connection: keep-alive\r\n"


class Case:
    """A request to an instance, and what the client has got of the response."""

    def __init__(
        self, request: bytes = GET, trusted: tuple[IPv4Network, ...] = (), plans: tuple[RoutePlan, ...] = ()
    ) -> None:
        self.wired = Wired(trusted=trusted, plans=plans)
        self.instance, self.there = self.wired.instance()
        self.client, self.here = self.wired.client()
        self.client.data_received(request)
        self.wired.turns.settle()

    def send(self, *pieces: bytes) -> FakeTransport:
        for piece in pieces:
            self.instance.data_received(piece)
            self.wired.turns.settle()
        return self.here

    def end(self) -> FakeTransport:
        self.instance.eof_received()
        self.instance.connection_lost(None)
        self.wired.turns.settle()
        return self.here

    @property
    def errors(self) -> dict[str, int]:
        return {kind: count for (_, _, kind), count in self.wired.traffic.upstream_errors.items()}


CASES = [
    pytest.param(GET, OK + FIVE + b"\r\nhello", OK + FIVE + b"\r\nhello", True, id="a length"),
    pytest.param(GET, OK + CODED + b"\r\n" + HELLO, OK + CODED + b"\r\n" + HELLO, True, id="chunks"),
    pytest.param(GET, b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n", True, id="no body"),
    pytest.param(GET, b"HTTP/1.1 304 Not Modified\r\n" + FIVE + b"\r\n", b"HTTP/1.1 304 Not Modified\r\n" + FIVE + b"\r\n", True, id="a length of no body"),
    pytest.param(HEAD, OK + FIVE + b"\r\n", OK + FIVE + b"\r\n", True, id="to HEAD"),
    pytest.param(GET, OK + FIVE + CLOSE + b"\r\nhello", OK + FIVE + b"\r\nhello", True, id="the instance closes: that is its own hop"),
    pytest.param(GET, OK + b"Keep-Alive: 5\r\nConnection: Keep-Alive, X-Own\r\nX-Own: 1\r\n" + FIVE + b"\r\nhello", OK + FIVE + b"\r\nhello", True, id="fields of one hop"),
    pytest.param(CLOSING, OK + FIVE + b"\r\nhello", OK + FIVE + CLOSE + b"\r\nhello", False, id="the client closes"),
    pytest.param(OLD, OK + FIVE + b"\r\nhello", OK + FIVE + KEEP + b"\r\nhello", True, id="HTTP/1.0 that keeps"),
    pytest.param(OLD, OK + CODED + b"\r\n" + HELLO, OK + CLOSE + b"\r\nhello", False, id="chunks to HTTP/1.0"),
    pytest.param(GET, b"HTTP/1.0 200 OK\r\n" + FIVE + b"\r\nhello", OK + FIVE + b"\r\nhello", True, id="from HTTP/1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "sent", "received", "keeps"), CASES)
@pytest.mark.parametrize("size", [0, 1], ids=["whole", "byte by byte"])
async def test_what_the_client_gets(request_: bytes, sent: bytes, received: bytes, keeps: bool, size: int) -> None:
    case = Case(request_)
    here = case.send(*([sent[at : at + 1] for at in range(len(sent))] if size else [sent]))
    assert here.written == received
    assert (not here.is_closed and not here.has_written_eof) is keeps
    assert case.errors == {}
    assert case.wired.traffic.in_flight == 0


@pytest.mark.parametrize(
    ("request_", "received"),
    [
        (GET, OK + CODED + b"\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (CLOSING, OK + CODED + CLOSE + b"\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (OLD, OK + CLOSE + b"\r\nhello"),
    ],
    ids=["in chunks of our own", "though it closes", "HTTP/1.0 reads until the end"],
)
async def test_a_body_that_ends_with_its_connection(request_: bytes, received: bytes) -> None:
    case = Case(request_)
    case.send(OK + b"\r\n", b"he", b"llo")
    assert case.end().written == received
    assert case.errors == {}


async def test_a_length_that_is_not_reached_is_cut_short_and_the_client_can_tell() -> None:
    case = Case()
    case.send(OK + FIVE + b"\r\nhel")
    here = case.end()
    assert here.written == OK + FIVE + b"\r\nhel"
    assert here.has_written_eof or here.is_closed
    assert case.errors == {"truncated": 1}


async def test_what_follows_a_response_reaches_nobody() -> None:
    case = Case()
    assert case.send(OK + FIVE + b"\r\nhelloHTTP/1.1 200 OK\r\n").written == OK + FIVE + b"\r\nhello"
    assert case.there.is_closed


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", OK + CODED + b"\r\nzz\r\n", b"HTTP/2 200\r\n\r\n"],
    ids=["no head", "no length", "no chunk", "no version of ours"],
)  # fmt: skip
async def test_what_is_no_response_is_502_and_closes(sent: bytes) -> None:
    case = Case()
    here = case.send(sent)
    assert here.written.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"\r\nConnection: close\r\n" in here.written
    assert case.there.is_closed
    assert case.errors == {"bad_response": 1}


async def test_a_body_that_becomes_malformed_is_cut_short() -> None:
    case = Case()
    case.send(OK + CODED + b"\r\n5\r\nhello\r\n")
    here = case.send(b"zz\r\n")
    assert here.written == OK + CODED + b"\r\n5\r\nhello\r\n"
    assert here.has_written_eof or here.is_closed
    assert case.errors == {"bad_response": 1}


@pytest.mark.parametrize(
    ("trusted", "location"),
    [((IPv4Network("192.0.2.0/24"),), b"http://shop.example/A/y"), ((), b"http://shop.example/y")],
    ids=["of a proxy that is trusted", "of anybody"],
)
async def test_the_host_that_a_proxy_was_called_by_is_this_one_if_the_proxy_is_trusted(
    trusted: tuple[IPv4Network, ...], location: bytes
) -> None:
    """A Location at that host lies under the prefix that was stripped."""
    case = Case(GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-Host: shop.example\r\n\r\n"), trusted)
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
    assert case.send(head + b"http://shop.example/y\r\n\r\n").written == head + location + b"\r\n\r\n"


EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "sent", "received"),
    [
        (GET, EARLY + EARLY, EARLY + EARLY),
        (GET, GO_ON, GO_ON),
        (OLD, EARLY, b""),
        (EXPECTING, GO_ON + EARLY, EARLY),
    ],
    ids=["hints", "go on", "HTTP/1.0 knows none", "go on was said already"],
)
@pytest.mark.parametrize("is_one_packet", [True, False])
async def test_interim_responses(request_: bytes, sent: bytes, received: bytes, is_one_packet: bool) -> None:
    case = Case(request_)
    if request_ is EXPECTING:
        assert case.here.written == GO_ON
        case.client.data_received(b"ab")
        case.here.writes.clear()
    final = OK + FIVE + b"\r\nhello"
    here = case.send(sent + final) if is_one_packet else case.send(sent, final)
    assert here.written == received + (OK + FIVE + KEEP + b"\r\nhello" if request_ is OLD else final)


async def test_a_head_that_comes_again_means_the_same_as_the_first_time() -> None:
    """Whole heads come from instances that speak HTTP/2. What they mean depends on the request, too."""
    case = Case()
    head = OK + FIVE + b"Keep-Alive: 5\r\nX-Gray-Explain: x\r\n\r\n"
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    got: list[bytes] = []
    for number, body in enumerate([b"hello", b"hello", b"", b"hello"]):
        if number:
            case.client.data_received(GET if body else HEAD)
            case.wired.turns.settle()
        handler = case.instance.handler
        assert handler is not None
        handler.response_begun(hints, b"")
        handler.response_begun(head, body[:2])
        if body:
            handler.response_received(body[2:])
        case.wired.turns.settle()
        got.append(case.here.written)
        case.here.writes.clear()
    assert got == [hints + OK + FIVE + b"\r\n" + body for body in (b"hello", b"hello", b"", b"hello")]
    assert (case.wired.traffic.in_flight, case.errors) == (0, {})


async def test_interim_responses_have_an_end() -> None:
    case = Case()
    case.send(*[EARLY] * MAX_INTERIM)
    assert case.here.written == EARLY * MAX_INTERIM
    written = case.send(EARLY).written[len(EARLY) * MAX_INTERIM :]
    assert written.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"more than 64 interim responses" in written


async def test_a_switch_that_nobody_asked_for_is_502() -> None:
    case = Case()
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    assert case.send(switch).written.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert case.wired.traffic.tunnels == 0


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"%x\r\n" % 3000 + b"a" * 3000 + b"\r\n"], ids=["crumbs", "pieces"])
async def test_many_chunks_are_read_turn_by_turn_and_none_is_lost(chunk: bytes) -> None:
    case = Case()
    case.wired.turns.cost = 1.0  # every look at the clock finds the turn over
    data = chunk * (4 * FEW // len(chunk) + 1)
    case.instance.data_received(OK + CODED + b"\r\n")
    case.instance.data_received(data)
    case.instance.data_received(b"0\r\n\r\n")
    case.wired.turns.settle()
    assert case.here.written == OK + CODED + b"\r\n" + data + b"0\r\n\r\n"
    assert not case.there.is_closed


async def test_what_was_left_for_a_later_turn_is_passed_on_though_the_instance_closes() -> None:
    case = Case()
    case.wired.turns.cost = 1.0
    data = b"1\r\na\r\n" * FEW
    case.instance.data_received(OK + CODED + b"\r\n")
    case.instance.data_received(data + b"0\r\n\r\n")
    assert case.end().written == OK + CODED + b"\r\n" + data + b"0\r\n\r\n"
    assert case.errors == {}


async def test_what_is_counted_of_a_response() -> None:
    case = Case()
    case.send(OK + FIVE + b"\r\nhe", b"llo")
    counted = case.wired.traffic.exchanges["a"]["base"]
    assert (counted.statuses, counted.received) == ({200: 1}, len(GET))
    assert counted.sent == len(OK + FIVE) + 2 + 5


@pytest.mark.parametrize(
    ("edit", "fields"),
    [
        (EditPlan(put=(("X-A", "new"),)), b"x-b: 1\r\nSet-Cookie: a=1\r\nX-A: new\r\n"),
        (
            EditPlan(add=(("Set-Cookie", "b=2"),)),
            b"X-A: 1\r\nx-a: 2\r\nx-b: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
        ),
        (EditPlan(remove=("x-a", "X-B", "x-c")), b"Set-Cookie: a=1\r\n"),
    ],
    ids=["put", "add", "remove"],
)
async def test_a_route_changes_fields_of_responses(edit: EditPlan, fields: bytes) -> None:
    plan = RoutePlan(source="shop/a[0]", path="/P", backends=(BackendPlan("a", response=edit),))
    case = Case(b"GET /P HTTP/1.1\r\nHost: x\r\n\r\n", plans=(plan,))
    here = case.send(OK + FIVE + b"X-A: 1\r\nx-a: 2\r\nx-b: 1\r\nSet-Cookie: a=1\r\n\r\nhello")
    assert b"".join(here.writes) == OK + FIVE + fields + b"\r\nhello"
