"""What one client, or all of them, can hold: connections, requests, pipelines, uploads; and how often is tried again."""

from __future__ import annotations

import asyncio

import pytest

from gateway.instance import Instance
from tests.support.bounds import Limits, RetryBudget, Timeouts
from tests.support.hostile import started
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An origin that takes a request and says nothing."""
    await reader.readuntil(b"\r\n\r\n")
    await reader.read()


async def test_one_address_has_its_share_of_connections(origin: Origin) -> None:
    proxy = Proxy()
    proxy.limits = Limits(connections_per_client=2)
    async with started(proxy, origin):
        first, second = await proxy.connect(), await proxy.connect()
        await until(lambda: proxy.traffic.connections == 2)
        third = await proxy.connect()
        answer = await third.answer()
        assert (answer.status, answer.header("connection"), answer.header("retry-after")) == (429, "close", "1")
        assert b"too_many_connections" in answer.body
        assert await third.rest() == b""
        assert await first.is_open()
        second.close()
        third.close()
        await until(lambda: proxy.traffic.connections == 1)
        again = await proxy.connect()
        assert await again.is_open()
        first.close()
        again.close()
        await until(lambda: proxy.listener.clients.by_ip == {})


async def test_a_trusted_proxy_may_hold_more(origin: Origin) -> None:
    proxy = Proxy()
    proxy.limits = Limits(connections_per_client=1)
    proxy.trust_loopback()
    async with started(proxy, origin):
        clients = [await proxy.connect() for _ in range(3)]
        assert [await client.is_open() for client in clients] == [True] * 3


async def test_all_together_have_an_end_too(origin: Origin) -> None:
    proxy = Proxy()
    proxy.limits = Limits(connections=1)
    async with started(proxy, origin):
        first = await proxy.connect()
        await until(lambda: proxy.traffic.connections == 1)
        answer = await (await proxy.connect()).answer()
        assert (answer.status, b"overloaded" in answer.body) == (503, True)
        assert await first.is_open()


async def test_overload_is_503_at_once_and_the_others_are_served(origin: Origin) -> None:
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        writer.write(OK)

    origin.script = slow
    proxy = Proxy()
    proxy.limits = Limits(in_flight=2)
    async with started(proxy, origin):
        served = [await proxy.connect() for _ in range(2)]
        for client in served:
            await client.send(GET)
        await until(lambda: proxy.traffic.in_flight == 2)
        shed = await proxy.connect()
        await shed.send(GET)
        answer = await shed.answer()
        assert (answer.status, answer.header("retry-after"), answer.header("connection")) == (503, "1", None)
        assert b'"code": "overloaded"' in answer.body
        release.set()
        assert [(await client.answer()).status for client in served] == [200, 200]
        origin.script = None
        assert await shed.is_open()
    assert proxy.traffic.in_flight == 0


async def test_a_pipeline_is_read_no_further_than_its_limit(origin: Origin) -> None:
    origin.script = silent
    proxy = Proxy()
    proxy.limits = Limits(pipelined_bytes=1024)
    async with started(proxy, origin):
        client = await proxy.connect()
        await client.send(GET)
        await until(lambda: origin.connections == 1)
        client.writer.write(GET * 400_000)
        await until(lambda: client.writer.transport.get_write_buffer_size() > 0)
        size = -1
        while size != (now := client.writer.transport.get_write_buffer_size()):  # until nobody takes any more
            size = now
            await asyncio.sleep(0.1)
        assert size > 0
        client.writer.transport.abort()


async def test_an_instance_that_stops_taking_the_body_is_to_blame_itself(origin: Origin) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    origin.script = deaf
    proxy = Proxy()
    proxy.timeouts = Timeouts(body_idle=0.3, body_grace=0.3)
    async with started(proxy, origin):
        client = await proxy.connect()
        client.writer.write(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + b"a" * 50_000_000)
        answer = await client.answer()
        assert (answer.status, b"did not accept the request body" in answer.body) == (504, True)
        assert proxy.traffic.upstream_errors == {("a", "base", "response_timeout"): 1}
        client.writer.transport.abort()


def refusing(origin: Origin, count: int) -> list[Instance]:
    """Instances that nobody listens on: the ports of other addresses of this machine."""
    return [Instance(f"127.0.0.{2 + number}", origin.ports["base"]) for number in range(count)]


@pytest.mark.parametrize(("attempts", "tried"), [(1, 1), (3, 3)])
async def test_as_many_instances_are_tried_as_allowed(origin: Origin, attempts: int, tried: int) -> None:
    proxy = Proxy()
    proxy.budget = RetryBudget(attempts=attempts)
    async with started(proxy, origin):
        proxy.router.snapshot = proxy.snapshot(refusing(origin, 5))
        assert (await proxy.get("/A/x")).status == 502
    assert proxy.traffic.upstream_errors == {("a", "base", "connect_error"): tried}
    assert sum(proxy.traffic.retries.values()) == tried - 1


async def test_without_budget_nothing_is_tried_again(origin: Origin) -> None:
    proxy = Proxy()
    proxy.budget = RetryBudget(share=0.0, minimum=0.0)
    async with started(proxy, origin):
        proxy.router.snapshot = proxy.snapshot(refusing(origin, 5))
        assert (await proxy.get("/A/x")).status == 502
    assert proxy.traffic.upstream_errors == {("a", "base", "connect_error"): 1}
    assert (proxy.traffic.retries, proxy.traffic.retries_denied) == ({}, {"a": 1})


async def test_a_retry_stays_in_its_pool_while_that_has_another_instance(proxy: Proxy, origin: Origin) -> None:
    gray = [
        Instance("127.0.0.9", origin.ports["gray"], tag="gray"),
        Instance("127.0.0.1", origin.ports["gray"], tag="gray"),
    ]
    proxy.router.snapshot = proxy.snapshot([*gray, Instance("127.0.0.1", origin.ports["base"])])
    for _ in range(4):
        assert (await proxy.get("/A/x?group=gray")).body == b"gray GET /x?group=gray"
    assert proxy.traffic.fallbacks == {}
    assert sum(proxy.traffic.retries.values()) >= 1
