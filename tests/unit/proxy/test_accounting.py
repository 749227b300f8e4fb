"""What an exchange that ended leaves behind: what its instance is thought of, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.instance import Instance
from tests.support.bounds import Timeouts
from tests.support.fakes import Wired

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome"


class Judge:
    """Notes what it is told of instances. `records`: somebody has failed before, so that successes matter."""

    def __init__(self) -> None:
        self.records = {"somebody": 1}
        self.heard: list[tuple[str, str, str]] = []

    def failed(self, service: str, instance: Instance, cause: str) -> None:
        self.heard.append((service, instance.address, cause))

    def succeeded(self, service: str, instance: Instance) -> None:
        self.heard.append((service, instance.address, "fine"))


GRPC = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: %b\r\nContent-Length: 0\r\n\r\n"


def told(status: str, length: int = 0) -> bytes:
    return f"HTTP/1.1 {status}\r\nX-Gray-Hop: callee\r\nContent-Length: {length}\r\n\r\n".encode()


def response(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("pieces", "ending", "judgement"),
    [
        pytest.param([response("200 OK")], "", "fine", id="200"),
        pytest.param([response("404 Not Found")], "", "fine", id="404: the request's fault"),
        pytest.param([response("500 Oops")], "", "errors", id="500"),
        pytest.param([response("503 Busy")], "", "errors", id="503"),
        pytest.param([told("503 Busy")], "", "", id="503 of a callee, says its sidecar"),
        pytest.param([told("200 OK")], "", "fine", id="200, and it says what is only for failures"),
        pytest.param(
            [told("500 Oops", 1000)], "lost", "errors", id="a callee's, cut short on the way: that is its own"
        ),
        pytest.param([GRPC % b"14"], "", "errors", id="UNAVAILABLE"),
        pytest.param([GRPC % b"14\r\nX-Gray-Hop: callee"], "", "", id="UNAVAILABLE of a callee"),
        pytest.param([b"nonsense\r\n\r\n"], "", "errors", id="nonsense"),
        pytest.param([], "wait", "errors", id="no response in time"),
        pytest.param([LONG], "wait", "errors", id="a body that stops coming"),
        pytest.param([LONG], "lost", "errors", id="a body that is cut short"),
        pytest.param([], "gone", "", id="the client hangs up before there is a response"),
        pytest.param([LONG], "gone", "fine", id="the client hangs up in the middle"),
    ],
)
async def test_what_an_instance_is_thought_of(pieces: list[bytes], ending: str, judgement: str) -> None:
    wired = Wired(timeouts=Timeouts(response=30.0, body_idle=60.0))
    judge: Any = Judge()
    wired.context.ejector = judge
    instance, _ = wired.instance()
    client, here = wired.client()
    client.data_received(GET)
    for piece in pieces:
        instance.data_received(piece)
    if ending == "wait":
        wired.pass_time(61.0)
    elif ending == "lost":
        instance.connection_lost(ConnectionResetError())
    elif ending == "gone":
        client.connection_lost(None)
    assert judge.heard == ([("a", wired.address.address, judgement)] if judgement else [])
    excused = bool(pieces) and b"X-Gray-Hop" in pieces[0] and not judgement
    assert wired.traffic.excused == ({("a", "base", "callee"): 1} if excused else {})
    assert b"X-Gray" not in here.written
    assert wired.traffic.in_flight == 0


async def test_a_client_that_does_not_read_speaks_against_nobody() -> None:
    wired = Wired(timeouts=Timeouts(body_idle=60.0))
    judge: Any = Judge()
    wired.context.ejector = judge
    instance, _ = wired.instance()
    client, here = wired.client(takes=False)
    here.high = 0
    client.data_received(GET)
    instance.data_received(LONG)
    wired.turns.settle()
    wired.pass_time(61.0)
    assert here.is_aborted
    assert [cause for _, _, cause in judge.heard] == ["fine"]


async def test_while_nobody_has_failed_a_success_is_not_told() -> None:
    """That is the hot path."""
    wired = Wired()
    judge: Any = Judge()
    judge.records = {}
    wired.context.ejector = judge
    instance, _ = wired.instance()
    client, _ = wired.client()
    client.data_received(GET)
    instance.data_received(response("200 OK"))
    assert judge.heard == []
