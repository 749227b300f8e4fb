"""A connection to an instance: whoever uses it hears what happens on it, and nobody hears of what nobody asked for."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from gateway.proxy.connection import Outbox
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import REST, ResponseHandler, Upstream, UpstreamOwner
from tests.support.fakes import FakeTransport, Turns


class Owner(UpstreamOwner):
    def __init__(self, turns: Turns) -> None:
        super().__init__(Outbox(turns.call_soon), RunQueue(turns.call_soon, turns.clock))
        self.lost_ones: list[Upstream] = []
        self.later: list[tuple[float, Callable[[], None]]] = []

    def lost(self, upstream: Upstream) -> None:
        self.lost_ones.append(upstream)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.later.append((seconds, callback))


class Handler(ResponseHandler):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.stays_open = True

    def response_received(self, data: bytes) -> None:
        self.heard.append(data)

    def response_proceed(self) -> None:
        self.heard.append("proceed")

    def response_ended(self) -> bool:
        self.heard.append("ended")
        return self.stays_open

    def response_lost(self) -> None:
        self.heard.append("lost")

    def instance_stalled(self) -> None:
        self.heard.append("stalled")

    def instance_drained(self) -> None:
        self.heard.append("drained")

    def broken(self) -> None:
        self.heard.append("broken")


class Setup:
    def __init__(self, is_used: bool = True) -> None:
        self.turns = Turns()
        self.owner = Owner(self.turns)
        self.upstream = Upstream(self.owner)
        self.handler = Handler()
        self.upstream.handler = self.handler if is_used else None
        self.transport = FakeTransport(self.upstream)
        self.upstream.connection_made(self.transport)


def test_who_uses_it_hears_everything() -> None:
    setup = Setup()
    upstream = setup.upstream
    upstream.data_received(b"data")
    upstream.proceed()
    upstream.pause_writing()
    upstream.resume_writing()
    assert upstream.eof_received()
    setup.handler.stays_open = False
    assert not upstream.eof_received()
    upstream.connection_lost(None)
    assert setup.handler.heard == [b"data", "proceed", "stalled", "drained", "ended", "ended", "lost"]
    assert (upstream.is_lost, setup.owner.lost_ones) == (True, [upstream])


def test_while_nobody_uses_it_nothing_is_heard_and_what_comes_closes_it() -> None:
    setup = Setup(is_used=False)
    upstream = setup.upstream
    upstream.proceed()
    upstream.pause_writing()
    upstream.resume_writing()
    assert not upstream.eof_received()
    upstream.broken()
    assert setup.transport.is_aborted
    setup = Setup(is_used=False)
    setup.upstream.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
    assert (setup.transport.is_aborted, setup.upstream.is_lost) == (True, True)
    setup.upstream.connection_lost(None)
    assert (setup.owner.lost_ones, setup.handler.heard) == ([setup.upstream], [])


def test_a_bug_on_the_way_is_its_users_and_closes_it() -> None:
    setup = Setup()
    setup.upstream.broken()
    assert (setup.handler.heard, setup.transport.is_aborted) == (["broken"], True)


def test_closing_throws_away_what_is_unsent_and_closing_twice_is_closing_once() -> None:
    setup = Setup()
    setup.upstream.write(b"unsent")
    setup.upstream.close()
    setup.upstream.close()
    setup.turns.settle()
    assert (setup.transport.written, setup.transport.is_aborted, setup.upstream.is_lost) == (b"", True, True)
    assert setup.upstream.transport is None


@pytest.mark.parametrize("takes", [True, False])
def test_closing_when_all_is_sent_has_an_end_too(takes: bool) -> None:
    setup = Setup()
    setup.transport.takes = takes
    setup.upstream.write(b"unsent")
    setup.upstream.close_when_sent(5.0)
    assert (setup.transport.is_closed, setup.transport.is_aborted, setup.upstream.is_lost) == (True, False, True)
    assert setup.upstream.handler is None
    assert setup.transport.written + b"".join(setup.transport.waiting) == b"unsent"
    assert [seconds for seconds, _ in setup.owner.later] == ([] if takes else [5.0])
    for _, callback in setup.owner.later:
        callback()
    assert setup.transport.is_aborted is not takes


class Socketed(FakeTransport):
    """A transport over a real socket, which is read from when the connection broke."""

    def __init__(self, protocol: Any, sock: socket.socket) -> None:
        super().__init__(protocol)
        self.sock = sock

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.sock if name == "socket" else default


@pytest.mark.parametrize(("size", "read"), [(0, 0), (10, 10), (REST - 1, REST - 1), (REST + 5, REST)])
def test_what_came_before_it_broke_is_read_up_to_a_bound(size: int, read: int) -> None:
    """An instance may respond, close, and reset what goes on coming; its response is still in the kernel."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * REST)
        setup = Setup()
        setup.upstream.connection_made(Socketed(setup.upstream, ours))
        if size:
            assert os.write(theirs.fileno(), b"a" * size) == size
        setup.upstream.connection_lost(ConnectionResetError())
    heard = setup.handler.heard
    assert heard[-1] == "lost"
    assert sum(len(piece) for piece in heard[:-1]) == read


def test_what_came_before_a_plain_end_was_read_already() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        setup = Setup()
        setup.upstream.connection_made(Socketed(setup.upstream, ours))
        theirs.send(b"more")
        setup.upstream.connection_lost(None)
    assert setup.handler.heard == ["lost"]
