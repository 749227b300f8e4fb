"""The slow path: a connection has to be made, somebody else is turned to, a service has to be learned first."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from gateway.instance import Instance
from gateway.routing.services import ServiceView, Turns
from tests.support.fakes import FakeTransport, Wired

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Slow:
    """A listener whose instances have no connection yet."""

    def __init__(self, *instances: Instance) -> None:
        self.wired = Wired()
        if instances:
            view = ServiceView("a", instances, Turns())
            self.wired.router.snapshot = self.wired.router.snapshot.with_service(view)
        self.client, self.here = self.wired.client()

    async def ask(self, data: bytes = GET) -> FakeTransport:
        self.client.data_received(data)
        await self.settle()
        return self.here

    async def settle(self) -> None:
        while self.wired.clients.tasks:
            await asyncio.gather(*self.wired.clients.tasks)
            await asyncio.sleep(0)
        self.wired.turns.settle()

    @property
    def errors(self) -> dict[str, int]:
        return {kind: count for (_, _, kind), count in self.wired.traffic.upstream_errors.items()}


async def test_a_connection_is_made_for_the_request() -> None:
    slow = Slow()
    await slow.ask()
    assert slow.wired.connecting.made == 1
    assert slow.here.written == b""
    assert slow.wired.traffic.in_flight == 1


async def test_a_body_waits_for_it_as_far_as_it_came() -> None:
    slow = Slow()
    slow.client.data_received(POST + b"bo")
    waits = [(slow.here.is_paused, slow.client.deadline == float("inf"))]
    await slow.settle()
    waits.append((slow.here.is_paused, slow.client.deadline == float("inf")))
    assert waits == [(True, True), (False, False)]


@pytest.mark.parametrize(
    ("error", "status", "code", "kind"),
    [
        (ConnectionRefusedError(), 502, b"connect_failed", "connect_error"),
        (TimeoutError(), 502, b"connect_failed", "connect_timeout"),
        (ValueError("a host that is no name"), 502, b"connect_failed", "connect_error"),
        (ssl.SSLError("bad certificate"), 502, b"tls_failed", "tls_error"),
    ],
)
async def test_who_cannot_be_reached_is_502_and_says_why(error: Exception, status: int, code: bytes, kind: str) -> None:
    slow = Slow()
    slow.wired.connecting.error = error
    here = await slow.ask()
    assert here.written.startswith(b"HTTP/1.1 %d " % status)
    assert b'"code": "' + code + b'"' in here.written
    assert slow.wired.address.address.encode() in here.written
    assert slow.errors == {kind: 1}
    assert not here.is_closed  # the request was sound, and the next one may go elsewhere


async def test_another_instance_is_turned_to_and_that_is_counted() -> None:
    slow = Slow(Instance("192.0.2.10", 80), Instance("192.0.2.11", 80))
    make = slow.wired.connecting.create_connection

    async def only_the_second(factory: object, host: str, port: int) -> None:
        if host == "192.0.2.10":
            raise ConnectionRefusedError
        await make(factory, host, port)  # type: ignore[arg-type]

    slow.wired.connecting.create_connection = only_the_second  # type: ignore[method-assign]
    here = await slow.ask(POST + b"body")
    assert here.written == b""
    assert slow.wired.connecting.made == 1
    assert slow.errors == {"connect_error": 1}
    assert slow.wired.traffic.retries == {("a", "connect_error"): 1}


async def test_a_client_that_left_meanwhile_leaves_its_connection_to_the_next_one() -> None:
    slow = Slow()
    slow.client.data_received(GET)
    slow.client.connection_lost(None)
    await slow.settle()
    assert slow.wired.origins.of(slow.wired.address, "a").idle == 1
    assert slow.wired.traffic.in_flight == 0
    assert slow.errors == {}


async def test_a_client_that_left_meanwhile_is_told_of_no_failure() -> None:
    slow = Slow()
    slow.wired.connecting.error = ConnectionRefusedError()
    slow.client.data_received(GET)
    slow.client.connection_lost(None)
    await slow.settle()
    assert slow.here.written == b""
    assert slow.errors == {"connect_error": 1}


@pytest.mark.parametrize("is_stale", [True, False])
async def test_a_kept_connection_that_the_instance_had_closed_is_made_anew_once(is_stale: bool) -> None:
    """A new one that closes without a word is the instance's doing."""
    slow = Slow()
    if is_stale:
        instance, _ = slow.wired.instance()
        instance.served = 1
        slow.client.data_received(GET)
        instance.connection_lost(None)
        await slow.settle()
        assert (slow.here.written, slow.wired.connecting.made) == (b"", 1)
        assert slow.wired.traffic.retries == {("a", "stale"): 1}
    else:
        instance, _ = slow.wired.instance()
        slow.client.data_received(GET)
        instance.connection_lost(None)
        await slow.settle()
        assert b'"code": "upstream_closed"' in slow.here.written
        assert slow.wired.connecting.made == 0
    assert slow.errors == {"closed": 1}


async def test_what_may_have_been_done_is_not_sent_twice() -> None:
    slow = Slow()
    instance, _ = slow.wired.instance()
    instance.served = 1
    slow.client.data_received(POST + b"body")
    instance.connection_lost(None)
    await slow.settle()
    assert b'"code": "upstream_closed"' in slow.here.written
    assert slow.wired.connecting.made == 0


async def test_half_a_head_and_then_nothing_is_told_apart() -> None:
    slow = Slow()
    instance, _ = slow.wired.instance()
    slow.client.data_received(GET)
    instance.data_received(OK[:9])
    instance.connection_lost(None)
    await slow.settle()
    assert b'"code": "upstream_closed"' in slow.here.written
    assert slow.errors == {"closed_in_head": 1}
