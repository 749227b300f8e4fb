"""Authorization services that answer without end, too late or twice: each question is over in time, and none gets another's answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.http.response import MAX_INTERIM
from gateway.permission.calls import Calls
from gateway.permission.forward import MAX_BODY
from tests.support.authorization import AuthorizationService
from tests.support.configured import use
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NONE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"


def lets_pass(user: str) -> bytes:
    return NONE + f"X-User: {user}\r\n\r\n".encode()


class Service(AuthorizationService):
    """Says `answer` to a question, and then `more` without end; `later` comes when the test sets `goes_on`."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = lets_pass("ann")
        self.more = b""
        self.pause = 0.0
        self.later = b""
        self.goes_on = asyncio.Event()
        self.asked = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            writer.write(self.answer)
            while self.more:
                writer.write(self.more)
                await writer.drain()
                await asyncio.sleep(self.pause)
            if self.later:
                await self.goes_on.wait()
                writer.write(self.later)
                self.later = b""


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    found = Service()
    await found.start()
    yield found
    await found.close()


def asks(proxy: Proxy, service: Service, calls: Calls, timeout: str = "1h") -> None:
    settings: dict[str, Any] = {"url": f"http://127.0.0.1:{service.port}/verify", "timeout": timeout}
    use(proxy, {"forward_auth": settings | {"response_headers": ["X-User"]}}, calls=calls)


async def is_for_bob(proxy: Proxy, origin: Origin, service: Service) -> None:
    """The next question, which is about somebody else, gets its own answer."""
    service.more = b""
    service.answer = lets_pass("bob")
    assert (await proxy.get("/A/x")).status == 200
    fields = {name.decode(): value for name, value in origin.requests[-1][1].headers}
    assert fields["x-user"] == b"bob"


HEAD = b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n"
ENDLESS = {
    "interim responses": (b"", CONTINUE),
    "a head": (HEAD, b"X"),
    "fields": (HEAD, b"X: y\r\n"),
    "a body with a length": (HEAD.replace(b"9", b"99999999") + b"\r\n", b"x"),
    "a body in chunks": (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a body up to the end": (b"HTTP/1.1 403 No\r\n\r\n", b"x"),
    "a body of who lets pass": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "trailers": (b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_the_timeout_is_for_the_whole_answer(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls, name: str
) -> None:
    asks(proxy, service, calls, timeout="100ms")
    service.answer, service.more = ENDLESS[name]
    service.pause = 0.01  # it never stands still for as long as that
    answer = await proxy.get("/A/x")
    assert (answer.status, json.loads(answer.body)["code"], origin.requests) == (503, "permission_unknown", [])
    await until(lambda: service.open == 0)
    asks(proxy, service, calls)
    await is_for_bob(proxy, origin, service)
    assert (calls.under_way, proxy.traffic.internal_errors) == (0, 0)


@pytest.mark.parametrize("name", [name for name in ENDLESS if name != "a body of who lets pass"])
async def test_what_comes_fast_and_without_end_is_over_long_before_the_timeout(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls, name: str
) -> None:
    asks(proxy, service, calls)
    service.answer, service.more = ENDLESS[name]
    service.more *= 1 + MAX_BODY // len(service.more)
    assert (await proxy.get("/A/x")).status == 503
    await until(lambda: service.open == 0)
    await is_for_bob(proxy, origin, service)
    assert (calls.under_way, proxy.traffic.internal_errors) == (0, 0)


async def test_some_interim_responses_are_no_fault(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls
) -> None:
    asks(proxy, service, calls)
    for _ in range(2):
        service.answer = CONTINUE * MAX_INTERIM + lets_pass("ann")
        assert (await proxy.get("/A/x")).status == 200
    assert service.connections == 1
    service.answer = CONTINUE * (MAX_INTERIM + 1) + lets_pass("eve")
    assert (await proxy.get("/A/x")).status == 503
    await is_for_bob(proxy, origin, service)


TWICE = {
    "a second answer": (lets_pass("ann"), lets_pass("eve")),
    "an interim response": (lets_pass("ann"), CONTINUE),
    "the body of a 204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 50\r\n\r\n", lets_pass("eve")),
    "the beginning of an answer": (lets_pass("ann"), lets_pass("eve")[:-2]),
    "no answer": (NONE + b"\r\n", b"not there"),
}


@pytest.mark.parametrize("name", TWICE)
async def test_what_comes_late_is_the_answer_to_no_other_question(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls, name: str
) -> None:
    asks(proxy, service, calls)
    service.answer, service.later = TWICE[name]
    assert (await proxy.get("/A/x")).status == 200
    service.goes_on.set()
    await until(lambda: service.open == 0)
    await is_for_bob(proxy, origin, service)
    assert (service.connections, proxy.traffic.internal_errors) == (2, 0)


BODIES = {
    "a length": (b"Content-Length: 4\r\n\r\nno", b"ne"),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n", b"2\r\nne\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("more", [lets_pass("eve"), CONTINUE + lets_pass("eve")], ids=["answer", "interim"])
@pytest.mark.parametrize("framing", BODIES)
async def test_what_comes_with_the_end_of_a_body_is_the_answer_to_no_other_question(
    service: Service, calls: Calls, framing: str, more: bytes
) -> None:
    """The end of a body gives the connection back: whatever comes after it would be there before the next question is."""
    begin, end = BODIES[framing]
    service.answer = b"HTTP/1.1 200 OK\r\n" + begin
    service.later = end + more
    url = f"http://127.0.0.1:{service.port}/"
    async with calls.session.get(url) as response:
        service.goes_on.set()
        assert await response.read() == b"none"
    service.answer = lets_pass("bob")
    async with calls.session.get(url) as response:
        assert response.headers["X-User"] == "bob"
    assert service.connections == 2


@pytest.mark.parametrize("name", TWICE)
async def test_what_comes_at_once_is_the_answer_to_no_other_question(
    proxy: Proxy, origin: Origin, service: Service, calls: Calls, name: str
) -> None:
    asks(proxy, service, calls)
    service.answer = b"".join(TWICE[name])
    assert (await proxy.get("/A/x")).status == (503 if name == "no answer" else 200)
    await is_for_bob(proxy, origin, service)
    assert proxy.traffic.internal_errors == 0
