"""An origin whose connections carry many requests: who gets a stream on which, who waits, and what is opened for them."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from gateway.failures import BUSY, CONNECT_ERROR, NOT_HTTP2, TLS_ERROR
from gateway.http2.endpoint import Endpoint
from gateway.http2.terms import Terms
from gateway.instance import Instance
from gateway.proxy.connection import Outbox
from gateway.proxy.multiplexing import RECONSIDER, MultiplexedOrigin
from gateway.proxy.origin import NotConnected
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import Upstream
from gateway.proxy.upstream_session import Session
from gateway.proxy.upstream_stream import UpstreamStream
from tests.support.fakes import Connecting, FakeTransport
from tests.support.wait import until


class Loop(Connecting):
    """Connections are made at once; `says` is what the instance then says, None: nothing yet."""

    def __init__(self, streams: int = 100) -> None:
        super().__init__(asyncio.get_running_loop())
        self.create_task = asyncio.get_running_loop().create_task
        self.now = 0.0
        self.time = lambda: self.now
        hello: list[bytes] = []
        Endpoint(Terms(streams=streams), hello.append, True, 0.0)
        self.says: bytes | None = b"".join(hello)
        self.sessions: list[Any] = []

    async def create_connection(self, factory: Any, host: str, port: int) -> None:
        if self.error is not None:
            raise self.error
        self.made += 1
        protocol = factory()
        self.sessions.append(protocol)
        protocol.connection_made(FakeTransport(protocol))
        if self.says is not None and isinstance(protocol, Session):
            protocol.data_received(self.says)
            if protocol.is_lost:
                protocol.connection_lost(None)


def origin(
    loop: Any,
    limit: int = 4,
    streams: int = 100,
    is_certain: bool = False,
    kind: type[MultiplexedOrigin] = MultiplexedOrigin,
) -> MultiplexedOrigin:
    return kind(
        Instance("192.0.2.10", 80),
        limit,
        loop,
        Outbox(lambda flush: None),
        RunQueue(lambda run: None),
        None,
        streams=streams,
        is_certain=is_certain,
        terms=Terms(),
    )


async def test_those_who_come_before_a_connection_is_open_wait_for_one_together() -> None:
    loop = Loop()
    pool = origin(loop)
    found = await asyncio.gather(*[pool.acquire(1.0) for _ in range(20)])
    assert {type(item) for item in found} == {UpstreamStream}
    assert (loop.made, pool.open, pool.idle, pool.waiting) == (1, 1, 0, 0)
    for item in found:
        pool.release(item, 0.0)
    assert (pool.open, pool.idle) == (1, 1)
    assert isinstance(pool.acquire_nowait(), UpstreamStream)


async def test_as_many_connections_are_opened_as_all_who_wait_need_and_no_more_than_may_be() -> None:
    loop = Loop(streams=3)
    pool = origin(loop, limit=2, streams=3)
    tasks = [asyncio.create_task(pool.acquire(10.0)) for _ in range(8)]
    await until(lambda: sum(task.done() for task in tasks) == 6)
    assert (loop.made, pool.open, pool.waiting) == (2, 2, 2)
    pool.release(await tasks[0], 0.0)
    await until(lambda: sum(task.done() for task in tasks) == 7)
    tasks[-1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert pool.waiting == 0


async def test_who_gets_no_place_in_time_is_told_so() -> None:
    loop = Loop(streams=1)
    pool = origin(loop, limit=1)
    await pool.acquire(1.0)
    with pytest.raises(NotConnected) as refused:
        await pool.acquire(0.01)
    assert (refused.value.fault, pool.waiting) == (BUSY, 0)


async def test_a_connection_that_takes_the_place_of_a_lost_one_has_time_to_open() -> None:
    class Slow(Loop):
        async def create_connection(self, factory: Any, host: str, port: int) -> None:
            for _ in range(20):
                await asyncio.sleep(0)
            await super().create_connection(factory, host, port)

    loop = Slow(streams=1)
    pool = origin(loop, limit=1)
    await pool.acquire(10.0)
    waiting = asyncio.create_task(pool.acquire(10.0))
    await until(lambda: pool.waiting == 1)
    [session] = loop.sessions
    session.close()
    session.connection_lost(ConnectionResetError())
    assert isinstance(await waiting, UpstreamStream)
    assert (loop.made, pool.open) == (2, 1)


async def test_a_connection_that_cannot_be_made_is_told_to_all_who_wait() -> None:
    loop = Loop()
    loop.error = OSError()
    pool = origin(loop)
    found = await asyncio.gather(*[pool.acquire(1.0) for _ in range(5)], return_exceptions=True)
    assert [item.fault for item in found if isinstance(item, NotConnected)] == [CONNECT_ERROR] * 5
    assert (pool.open, pool.waiting, pool.is_unused) == (0, 0, True)


async def test_who_wants_a_new_connection_shares_it_with_others_who_do() -> None:
    """All requests of a connection that was lost come again at once."""
    loop = Loop()
    pool = origin(loop)
    old = await pool.acquire(1.0)
    found = await asyncio.gather(*[pool.acquire(1.0, is_new=True) for _ in range(5)])
    assert (loop.made, len({id(item.session) for item in (old, *found) if isinstance(item, UpstreamStream)})) == (2, 2)


async def test_an_instance_that_does_not_speak_http2_gets_http1_for_a_while_and_is_tried_again_then() -> None:
    loop = Loop()
    hello, loop.says = loop.says, b"HTTP/1.1 400 Bad Request\r\n\r\n"
    pool = origin(loop)
    found = await asyncio.gather(*[pool.acquire(1.0) for _ in range(3)])
    assert {type(item) for item in found} == {Upstream}
    for item in found:
        pool.release(item, loop.now)
    assert type(pool.acquire_nowait()) is Upstream
    loop.says = hello
    loop.now += RECONSIDER
    assert isinstance(await pool.acquire(1.0, is_new=True), UpstreamStream)


async def test_where_nothing_else_will_do_it_is_not_reached() -> None:
    loop = Loop()
    loop.says = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    pool = origin(loop, is_certain=True)
    with pytest.raises(NotConnected) as refused:
        await pool.acquire(1.0)
    assert (refused.value.fault, pool.open) == (NOT_HTTP2, 0)


async def test_who_was_given_up_while_it_got_a_stream_gives_it_back() -> None:
    loop = Loop(streams=1)
    pool = origin(loop, limit=1)
    first = await pool.acquire(1.0)
    task = asyncio.create_task(pool.acquire(10.0))
    await until(lambda: pool.waiting == 1)
    pool.release(first, 0.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert isinstance(pool.acquire_nowait(), UpstreamStream)


async def test_a_gone_instances_connection_leaves_when_its_last_request_is_done() -> None:
    loop = Loop()
    pool = origin(loop)
    stream = await pool.acquire(1.0)
    pool.leave()
    assert (pool.open, pool.acquire_nowait()) == (1, None)
    pool.release(stream, 0.0)
    (session,) = loop.sessions
    assert session.is_lost
    session.connection_lost(None)
    assert pool.open == 0


@pytest.mark.parametrize("speaks_http1", [False, True])
async def test_one_that_is_not_who_was_meant_is_closed_whatever_it_speaks(speaks_http1: bool) -> None:
    """Its certificate is of somebody else (in a mesh): nothing of it is kept, and its place is free."""
    loop = Loop()
    made: list[FakeTransport] = []

    async def connect(upstream: Any) -> None:
        carrier = upstream
        if speaks_http1:
            carrier = upstream.other = Upstream(pool)
        made.append(FakeTransport(carrier))
        carrier.connection_made(made[0])
        raise ssl.SSLCertVerificationError("the certificate is of b")

    class Mistaken(MultiplexedOrigin):
        async def _connect(self, upstream: Upstream) -> None:
            await connect(upstream)

    pool = origin(loop, kind=Mistaken)
    with pytest.raises(NotConnected) as refused:
        await pool.acquire(1.0)
    assert (refused.value.fault, made[0].is_aborted) == (TLS_ERROR, True)
    made[0].protocol.connection_lost(None)
    assert (pool.open, pool.idle) == (0, 0)
