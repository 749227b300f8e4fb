"""A listener that drains: which connections it closes, and when."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.proxy.server import BACKLOG, QUIET, Listener, bind
from tests.support.bounds import Timeouts
from tests.support.fakes import FakeTransport, Wired

HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"


class Clock:
    """The loop of a listener, whose time is the test's."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


class Draining:
    """A listener without a socket of its own, on a clock of its own."""

    def __init__(self) -> None:
        self.wired = Wired()
        self.clock = Clock(self.wired.context.now)
        loop: Any = self.clock
        self.wired.context.loop = loop
        self._socket = bind("127.0.0.1", 0)
        self.listener = Listener(self._socket, self.wired.context)
        self.listener.clients = self.wired.clients

    def elapse(self, seconds: float) -> None:
        self.clock.now += seconds
        self.wired.pass_time(seconds)
        self.wired.turns.settle()

    async def drain(self) -> bool:
        """One look; whether nobody is left."""
        return await self.listener.drain(0.0, 0.0)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
async def draining() -> AsyncIterator[Draining]:
    draining = Draining()
    yield draining
    draining.close()


async def test_a_connection_used_a_moment_ago_stays_open(draining: Draining) -> None:
    """Its client is likely to send the next request just now."""
    client, here = draining.wired.client()
    draining.elapse(10 * QUIET)
    client.data_received(HELLO)
    draining.elapse(0.9 * QUIET)
    assert not await draining.drain()
    assert not here.is_closed
    draining.elapse(0.1 * QUIET)
    await draining.drain()
    assert here.is_closed


async def test_a_connection_that_was_never_used_is_closed(draining: Draining) -> None:
    _, here = draining.wired.client()
    draining.elapse(QUIET)
    await draining.drain()
    assert here.is_closed


async def test_a_request_under_way_is_waited_for_and_its_response_says_close(draining: Draining) -> None:
    instance, _ = draining.wired.instance()
    client, here = draining.wired.client()
    client.data_received(GET)
    draining.elapse(10 * QUIET)
    assert not await draining.drain()
    assert not here.is_closed
    instance.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    draining.wired.turns.settle()
    assert b"\r\nConnection: close\r\n" in here.written
    assert here.has_written_eof or here.is_closed


async def test_with_nobody_left_it_is_over(draining: Draining) -> None:
    client, _ = draining.wired.client()
    assert not await draining.drain()
    client.connection_lost(None)
    assert await draining.drain()


async def test_a_request_that_came_while_it_looked_is_served(draining: Draining) -> None:
    """The process was held up: the bytes are there, and are read within the next two turns of the loop."""
    client, here = draining.wired.client()
    draining.elapse(10 * QUIET)
    asyncio.get_running_loop().call_soon(client.data_received, HELLO)
    await draining.drain()
    draining.wired.turns.settle()
    assert b"HTTP/1.1 200 OK\r\n" in here.written


async def test_closing_ends_what_goes_on_beside_connections(draining: Draining) -> None:
    client, here = draining.wired.client()
    draining.listener.clients.enter(client, "192.0.2.1")
    draining.listener.clients.spawn(asyncio.sleep(3600), lambda error: None)
    await draining.listener.close()
    assert here.is_aborted
    assert draining.listener.clients.tasks == set()


class Opened:
    """The part of a loop that a listener starts with; notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def time(self) -> float:
        return 100.0

    def call_later(self, seconds: float, callback: Any) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(3600.0, lambda: None)

    async def create_server(self, factory: Any, **asked: Any) -> Any:
        self.asked.append(asked)
        return self

    def close(self) -> None:
        pass


@pytest.mark.parametrize("is_secure", [True, False])
async def test_a_handshake_has_as_long_as_a_head(is_secure: bool) -> None:
    wired = Wired(timeouts=Timeouts(head=7.0))
    opened: Any = Opened()
    wired.context.loop = opened
    tls: Any = SimpleNamespace(context="terms") if is_secure else None
    with bind("127.0.0.1", 0) as sock:
        listener = Listener(sock, wired.context, tls)
        await listener.start()
        await listener.close()
    terms = (
        {"ssl": "terms", "ssl_handshake_timeout": 7.0} if is_secure else {"ssl": None, "ssl_handshake_timeout": None}
    )
    assert opened.asked == [{"sock": sock, "backlog": BACKLOG, **terms}]


class Ticking:
    """A listener whose ticks are called by the test, with one client that waits for a response."""

    def __init__(self) -> None:
        self.wired = Wired(timeouts=Timeouts(response=30.0))
        self.now = self.wired.context.now
        self.later: list[Any] = []
        loop: Any = self
        self.wired.context.loop = loop
        self._socket = bind("127.0.0.1", 0)
        self.listener = Listener(self._socket, self.wired.context)
        self.listener.clients = self.wired.clients

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Any) -> Any:
        self.later.append(callback)
        return SimpleNamespace(cancel=lambda: None)

    def tick(self, seconds: float) -> None:
        self.now += seconds
        if self.later:
            self.later.pop()()
        else:
            self.listener._tick()
        self.wired.turns.settle()

    def close(self) -> None:
        self._socket.close()


async def test_what_came_while_the_process_stood_still_is_read_before_anybody_is_judged() -> None:
    ticking = Ticking()
    instance, _ = ticking.wired.instance()
    client, here = ticking.wired.client()
    ticking.tick(0.25)
    client.data_received(GET)
    ticking.tick(40.0)
    assert here.written == b""
    instance.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    ticking.tick(0.25)
    assert here.written.startswith(b"HTTP/1.1 200 OK\r\n")
    ticking.close()


async def test_a_process_that_stands_still_all_the_time_judges_all_the_same() -> None:
    ticking = Ticking()
    ticking.wired.instance()
    client, here = ticking.wired.client()
    ticking.tick(0.25)
    client.data_received(GET)
    ticking.tick(40.0)
    ticking.tick(40.0)
    assert here.written.startswith(b"HTTP/1.1 504 ")
    ticking.close()


async def test_a_response_that_does_not_come_is_judged_at_the_next_look() -> None:
    ticking = Ticking()
    ticking.wired.instance()
    client, here = ticking.wired.client()
    ticking.tick(0.25)
    client.data_received(GET)
    for _ in range(121):
        ticking.tick(0.25)
    assert here.written.startswith(b"HTTP/1.1 504 ")
    ticking.close()


class Accepting(Opened):
    """Notes what makes the protocol of a connection that is accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.arrive: Any = None
        self.later: Any = None

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Any) -> asyncio.TimerHandle:
        self.later = callback
        return super().call_later(seconds, callback)

    async def create_server(self, factory: Any, **asked: Any) -> Any:
        self.arrive = factory
        return await super().create_server(factory, **asked)


@pytest.fixture
async def accepting() -> AsyncIterator[tuple[Wired, Accepting, Listener]]:
    wired = Wired(timeouts=Timeouts(head=7.0))
    loop: Any = Accepting()
    loop.now = wired.context.now
    wired.context.loop = loop
    with bind("127.0.0.1", 0) as sock:
        listener = Listener(sock, wired.context)
        await listener.start()
        yield wired, loop, listener
        await listener.close()


async def test_a_connection_that_was_accepted_and_is_not_open_yet_is_waited_for(
    accepting: tuple[Wired, Accepting, Listener],
) -> None:
    """Otherwise a listener without any other would be gone before it has opened, and its client's request with it."""
    _, loop, listener = accepting
    connection = loop.arrive()
    assert not await listener.drain(0.0, 0.0)
    connection.connection_made(FakeTransport())
    assert (listener.clients.arriving, listener.clients.connections) == (set(), {connection})
    connection.connection_lost(None)
    assert await listener.drain(0.0, 0.0)


async def test_a_handshake_that_failed_is_waited_for_no_longer_than_one_may_take(
    accepting: tuple[Wired, Accepting, Listener],
) -> None:
    _, loop, listener = accepting
    loop.arrive()
    for seconds, is_over in ((7.0, False), (0.25, True)):
        loop.now += seconds
        loop.later()
        assert await listener.drain(0.0, 0.0) is is_over


async def test_a_burst_waits_to_be_accepted_while_the_process_is_busy() -> None:
    """Who finds no place is not told so: its kernel tries again a second later."""
    with bind("127.0.0.1", 0) as sock, ExitStack() as clients:
        listener = Listener(sock, Wired().context)
        await listener.start()
        waiting = [clients.enter_context(socket.socket()) for _ in range(300)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(sock.getsockname())
        until = time.monotonic() + 5
        while waiting and time.monotonic() < until:  # and the loop does not get a turn
            _, writable, _ = select.select([], waiting, [], 0.1)
            waiting = [client for client in waiting if client not in writable]
        assert not waiting
        await listener.close()
