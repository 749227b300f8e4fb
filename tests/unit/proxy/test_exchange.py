"""Which connection a request gets, and which may serve another one afterwards."""

from __future__ import annotations

import pytest

from tests.support.fakes import FakeTransport, Wired

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def wired() -> Wired:
    return Wired()


def idle(wired: Wired) -> int:
    """How many connections to the instance wait for another request."""
    return wired.origins.of(wired.address, "a").idle


def ask(wired: Wired, request: bytes = GET) -> FakeTransport:
    """A client that sends this; what it is told is in its transport."""
    client, here = wired.client()
    client.data_received(request)
    wired.turns.settle()
    return here


async def test_the_connection_used_last_is_used_next(wired: Wired) -> None:
    """The others age out, as many as are not needed."""
    (_, first), (_, second), (_, third) = wired.instance(), wired.instance(), wired.instance()
    ask(wired)
    assert [bool(there.written) for there in (first, second, third)] == [False, False, True]
    ask(wired)
    assert [bool(there.written) for there in (first, second, third)] == [False, True, True]


async def test_a_connection_serves_one_request_after_the_other(wired: Wired) -> None:
    instance, there = wired.instance()
    for count in (1, 2):
        here = ask(wired)
        instance.data_received(OK)
        wired.turns.settle()
        assert here.written.startswith(b"HTTP/1.1 200 OK\r\n")
        assert (there.written.count(b"GET /x HTTP/1.1\r\n"), idle(wired)) == (count, 1)


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        pytest.param(POST + b"12345", OK, id="the request's body is unfinished"),
        pytest.param(POST.replace(b"Content-Length: 10", b"Transfer-Encoding: chunked") + b"5\r\n12345\r\n", OK, id="its chunks are"),
        pytest.param(GET, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), id="the instance says that it closes"),
        pytest.param(GET, OK.replace(b"1.1", b"1.0"), id="it speaks HTTP/1.0"),
        pytest.param(GET, OK + b"HTTP/1.1 200 OK\r\n", id="more came than was asked for"),
    ],
)  # fmt: skip
async def test_a_connection_is_not_used_again_if(wired: Wired, request_: bytes, response: bytes) -> None:
    """What would come next on it is no request's beginning, or nobody's response."""
    instance, there = wired.instance()
    here = ask(wired, request_)
    instance.data_received(response)
    wired.turns.settle()
    assert (here.written[:15], here.written[-2:]) == (b"HTTP/1.1 200 OK", b"ok")
    assert (there.is_closed, idle(wired)) == (True, 0)


async def test_bytes_that_nobody_asked_for_close_an_idle_connection(wired: Wired) -> None:
    instance, there = wired.instance()
    instance.data_received(OK)
    assert there.is_closed
