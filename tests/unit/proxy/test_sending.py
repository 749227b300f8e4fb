"""A request on its way up: on whose connection, and what holds it back."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.proxy.upstream import Upstream
from gateway.tls.mesh import Secured
from tests.support.bounds import Timeouts
from tests.support.fakes import FakeTransport, Wired

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"


async def test_a_connection_made_under_other_terms_is_not_used() -> None:
    """The service has begun to speak TLS: what was kept from before is another service's, or nobody's."""
    wired = Wired()
    _, plain = wired.instance()
    terms: Any = type("Terms", (), {"fingerprint": "x", "context": None, "server_name": "", "multiplexed": None})
    wired.origins.secure(Secured({"a": terms}))
    origin = wired.origins.of(wired.address, "a")
    secured = Upstream(origin)
    there = FakeTransport(secured)
    secured.connection_made(there)
    origin._pool.open += 1
    origin.release(secured, wired.context.now)
    client, _ = wired.client()
    client.data_received(GET)
    wired.turns.settle()
    assert (plain.written, there.written.startswith(b"GET /x HTTP/1.1\r\n")) == (b"", True)


async def test_a_client_is_read_as_fast_as_the_instance_takes() -> None:
    wired = Wired(timeouts=Timeouts(body_idle=60.0, response=30.0))
    _, there = wired.instance(takes=False)
    there.high = 1000
    client, here = wired.client()
    client.data_received(POST)
    client.data_received(b"a" * 2000)
    wired.turns.settle()
    paused = [here.is_paused, client.deadline - wired.context.now]
    there.drain()
    assert [*paused, here.is_paused, client.deadline - wired.context.now] == [
        True, pytest.approx(60.0), False, pytest.approx(60.0),
    ]  # fmt: skip
    client.data_received(b"a" * 98_000)
    wired.turns.settle()
    there.drain()
    assert client.deadline - wired.context.now == pytest.approx(30.0)  # all of it is sent: now the response is awaited
    assert there.written.count(b"a") - there.written[: there.written.index(b"\r\n\r\n")].count(b"a") == 100_000


async def test_an_instance_is_not_read_while_the_client_does_not_read() -> None:
    wired = Wired()
    _, there = wired.instance()
    client, _ = wired.client()
    client.pause_writing()
    client.data_received(b"")
    client.resume_writing()
    client.data_received(GET)
    stalled = [there.is_paused]
    client.pause_writing()
    stalled.append(there.is_paused)
    client.resume_writing()
    stalled.append(there.is_paused)
    assert stalled == [False, True, False]
