"""Streams that are silent for longer than any timeout: they last on the routes that say so, and are cut on others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import grpc  # type: ignore[import-untyped]
import pytest

from gateway.instance import Instance
from gateway.proxy.keepalive import IDLE
from gateway.routing.patience import Patience
from tests.support.bounds import Timeouts
from tests.support.grpcservice import SERVICE, GrpcService
from tests.support.origin import Origin
from tests.support.proxy import Client, Proxy
from tests.support.wait import until

SHORT = {"body_idle": 0.3, "response": 0.3}


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    found = Proxy()
    found.timeouts = Timeouts(**SHORT)
    found.patience = Patience(Timeouts(**{**SHORT, "body_idle": 0, "response": 0}), 0, {})
    yield found
    await found.close()
    assert found.traffic.internal_errors == 0


async def test_a_call_of_grpc_whose_sides_say_nothing_for_long(proxy: Proxy) -> None:
    service = GrpcService()
    await service.start()
    await proxy.serve(Instance("127.0.0.1", service.port))
    address = f"127.0.0.1:{proxy.listener.port}"
    async with (
        grpc.aio.insecure_channel(address, options=[("grpc.default_authority", "patient")]) as patient,
        grpc.aio.insecure_channel(address) as other,
    ):
        calls = []
        for found in (patient, other):
            call = found.stream_stream(f"/{SERVICE}/Talk")()
            calls.append(call)
            await call.write(b"one")
            assert await call.read() == b"ONE"
        with pytest.raises(grpc.aio.AioRpcError):
            await calls[1].read()  # cut by its timeout: the first one is silent for as long
        await calls[0].write(b"two")
        assert await calls[0].read() == b"TWO"
        await calls[0].done_writing()
        assert await calls[0].code() == grpc.StatusCode.OK
        # The client's own deadline holds all the same.
        call = patient.stream_stream(f"/{SERVICE}/Talk")(timeout=0.4)
        assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await service.close()


async def test_events_that_come_seldom(proxy: Proxy, origin: Origin) -> None:
    """Neither the head nor an event comes before others were cut for less."""
    go_on: dict[bytes, asyncio.Event] = {}

    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].rpartition(b"/")[2]
        go_on[name] = asyncio.Event()
        for part in (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"9\r\ndata: x\n\n\r\n",
        ):
            await go_on[name].wait()
            go_on[name].clear()
            writer.write(part)
        await reader.read()

    origin.script = events
    await proxy.start(origin)

    async def ask(host: str, name: str) -> Client:
        client = await proxy.connect()
        await client.send(f"GET /A/{name} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        await until(lambda: name.encode() in go_on)
        return client

    patient, late, cut = [await ask(*asked) for asked in (("patient", "p"), ("x", "late"), ("x", "cut"))]
    go_on[b"cut"].set()
    assert (await late.answer()).status == 504
    go_on[b"p"].set()
    assert b"text/event-stream" in await patient.reader.readuntil(b"\r\n\r\n")
    assert not (await cut.rest()).endswith(b"0\r\n\r\n")
    go_on[b"p"].set()
    assert await patient.reader.readuntil(b"\n\n\r\n") == b"9\r\ndata: x\n\n\r\n"


async def test_the_kernel_watches_both_sides_of_a_stream_that_may_be_silent(proxy: Proxy, origin: Origin) -> None:
    """Who vanishes without a word would hold its place for ever."""
    await proxy.start(origin)
    client = await proxy.connect()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: patient\r\n\r\n")
    assert (await client.answer()).status == 200
    (downstream,) = proxy.downstreams
    [upstream] = proxy.origins.of(Instance("127.0.0.1", origin.ports["base"]), "a")._pool.idle
    for connection in (downstream, upstream):
        assert connection.transport is not None
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == IDLE
