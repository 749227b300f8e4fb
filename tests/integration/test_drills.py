"""A drill holds up or fails the requests of its lane, visibly, and nobody else's."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import pytest

from gateway.proxy.recorder import Recorder, Renderer
from tests.support.bounds import Limits
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

GRAY = "/A/x?group=gray"


async def drill(origin: Origin, fault: dict[str, Any], services: tuple[str, ...] = (), **lane: Any) -> Proxy:
    proxy = Proxy()
    match = [{"param": "group", "equals": "gray"}]
    proxy.group = {
        "name": "demo",
        "services": list(services),
        "lanes": [{"name": "gray", "tag": "gray", "match": match, "fault": fault, **lane}],
    }
    await proxy.start(origin)
    return proxy


async def test_an_abort_is_told_to_the_client_and_counted(origin: Origin) -> None:
    proxy = await drill(origin, {"abort": 418})
    proxy.context.recorder = recorder = Recorder(Renderer("entry"), proxy.traffic, 100.0, 100.0)
    answer = await proxy.get(GRAY)
    assert (answer.status, answer.header("x-gray-fault")) == (418, "abort")
    assert (b"fault_injected" in answer.body, b"lane demo/gray injects this error" in answer.body) == (True, True)
    assert proxy.traffic.faults == {("a", "gray", "abort"): 1}
    assert [(record.fault, record.cause) for record in recorder.take(1.0, perf_counter(), 0.0)] == [
        ("abort", "fault_injected")
    ]
    assert origin.requests == []
    await proxy.close()


async def test_unmarked_requests_are_not_affected(origin: Origin) -> None:
    proxy = await drill(origin, {"abort": 503, "delay": "60s"})
    answer = await proxy.get("/A/x")
    assert (answer.status, answer.header("x-gray-fault"), proxy.traffic.faults) == (200, None, {})
    await proxy.close()


async def test_a_delay_holds_a_request_up_and_then_it_is_served(origin: Origin) -> None:
    """With a body that has not come yet, and with what waited counted as waiting."""
    proxy = await drill(origin, {"delay": "50ms"})
    client = await proxy.connect()
    began = perf_counter()
    await client.send(f"POST {GRAY} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc".encode())
    await client.send(b"def")
    answer = await client.answer("POST")
    assert perf_counter() - began >= 0.05
    assert (answer.status, answer.header("x-gray-fault")) == (200, "delay")
    assert [body for _, _, body in origin.requests] == [b"abcdef"]
    assert proxy.traffic.faults == {("a", "gray", "delay"): 1}
    assert sum(proxy.traffic.overhead.counts[:-1]) == 1  # none of it is this program's own time
    await proxy.close()


async def test_whoever_leaves_during_a_delay_is_gone(origin: Origin) -> None:
    proxy = await drill(origin, {"delay": "500ms", "abort": 503})
    client = await proxy.connect()
    await client.send(f"GET {GRAY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await until(lambda: bool(proxy.traffic.faults))
    client.close()
    await until(lambda: proxy.traffic.in_flight == 0)
    assert proxy.traffic.exchanges["a"]["gray"].statuses == {499: 1}
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, passed.set)  # after the gateway's own timer, which was set before
    await passed.wait()
    assert (proxy.traffic.exchanges["a"]["gray"].statuses, proxy.traffic.internal_errors) == ({499: 1}, 0)
    await proxy.close()


@pytest.mark.parametrize(
    ("fault", "services", "lane"),
    [
        pytest.param({"abort": 503, "services": ["b"]}, (), {}, id="another service's"),
        pytest.param({"abort": 503}, ("b",), {}, id="another group's"),
    ],
)
async def test_a_fault_of_other_services_is_not_injected(
    origin: Origin, fault: dict[str, Any], services: tuple[str, ...], lane: dict[str, Any]
) -> None:
    proxy = await drill(origin, fault, services, **lane)
    assert (await proxy.get(GRAY)).status == 200
    await proxy.close()


async def test_a_lane_that_has_expired_injects_nothing_even_if_others_share_its_tag(origin: Origin) -> None:
    proxy = Proxy()
    match = [{"param": "group", "equals": "gray"}]
    expired = {"name": "old", "tag": "gray", "expires": "2026-01-01", "fault": {"abort": 503}, "match": match}
    proxy.group = {"name": "demo", "lanes": [expired, {"name": "gray", "tag": "gray", "match": match}]}
    await proxy.start(origin)
    assert (await proxy.get(GRAY)).status == 200
    await proxy.close()


async def test_as_many_as_the_percentage_says_get_it(origin: Origin) -> None:
    """The draws of this router begin with a known number."""
    proxy = await drill(origin, {"abort": 503, "percent": 50})
    statuses = [(await proxy.get(GRAY)).status for _ in range(40)]
    assert {statuses.count(503) in range(8, 33), set(statuses) == {200, 503}} == {True}
    await proxy.close()


async def test_a_drill_that_holds_requests_up_leaves_the_baseline_its_places(origin: Origin) -> None:
    proxy = Proxy()
    proxy.limits = Limits(in_flight=3, lane_in_flight=2)
    match = [{"param": "group", "equals": "gray"}]
    proxy.group = {
        "name": "demo",
        "lanes": [{"name": "gray", "tag": "gray", "match": match, "fault": {"delay": "60s"}}],
    }
    await proxy.start(origin)
    held = [await proxy.connect() for _ in range(2)]
    for client in held:
        await client.send(f"GET {GRAY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await until(lambda: proxy.context.lanes == {"gray": 2})
    refused = await proxy.get(GRAY)
    assert (refused.status, b"lane_overloaded" in refused.body) == (503, True)
    assert {(await proxy.get("/A/x")).status for _ in range(3)} == {200}
    for client in held:
        client.close()
    await until(lambda: proxy.context.lanes == {})
    await proxy.close()
