"""The seam below an exchange: what a connection to an instance tells whoever handles its response, and its owner."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.proxy.connection import Outbox
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import ResponseHandler, Upstream, UpstreamOwner
from tests.support.fakes import FakeTransport


class Owner(UpstreamOwner):
    def __init__(self) -> None:
        super().__init__(Outbox(lambda flush: None), RunQueue(lambda run: None))
        self.lost_ones: list[Upstream] = []

    def lost(self, upstream: Upstream) -> None:
        self.lost_ones.append(upstream)


class Handler(ResponseHandler):
    """Notes what it is told."""

    def __init__(self, stays_open: bool = False) -> None:
        self.told: list[Any] = []
        self.stays_open = stays_open

    def response_received(self, data: bytes) -> None:
        self.told.append(data)

    def response_ended(self) -> bool:
        self.told.append("ended")
        return self.stays_open

    def response_lost(self) -> None:
        self.told.append("lost")

    def instance_stalled(self) -> None:
        self.told.append("stalled")

    def instance_drained(self) -> None:
        self.told.append("drained")

    def broken(self) -> None:
        self.told.append("broken")


def connected(handler: ResponseHandler | None) -> tuple[Upstream, FakeTransport, Owner]:
    owner = Owner()
    upstream = Upstream(owner)
    transport = FakeTransport(upstream)
    upstream.connection_made(transport)
    upstream.handler = handler
    return upstream, transport, owner


@pytest.mark.parametrize("stays_open", [True, False])
def test_a_handler_is_told_of_everything(stays_open: bool) -> None:
    handler = Handler(stays_open)
    upstream, _, owner = connected(handler)
    upstream.data_received(b"HTTP/1.1 200 OK\r\n")
    upstream.pause_writing()
    upstream.resume_writing()
    assert upstream.eof_received() is stays_open
    upstream.connection_lost(None)
    assert handler.told == [b"HTTP/1.1 200 OK\r\n", "stalled", "drained", "ended", "lost"]
    assert owner.lost_ones == [upstream]


def test_nobody_is_told_of_what_comes_between_exchanges_and_the_connection_closes() -> None:
    """Bytes nobody asked for would be taken for the next exchange's response."""
    upstream, transport, _ = connected(None)
    upstream.data_received(b"HTTP/1.1 200 OK\r\n")
    assert (upstream.is_lost, transport.is_aborted) == (True, True)
    assert upstream.eof_received() is False


def test_an_error_of_this_program_is_the_handlers() -> None:
    handler = Handler()
    upstream, transport, _ = connected(handler)
    upstream.caught(ZeroDivisionError())
    assert (handler.told, transport.is_aborted) == (["broken"], True)
