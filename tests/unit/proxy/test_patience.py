"""A route has timeouts and retries of its own: at every step of its requests, and of no other's."""

from __future__ import annotations

import pytest

from gateway.failures import CONNECT_ERROR
from gateway.instance import Instance
from gateway.proxy.downstream import Downstream
from gateway.proxy.origin import NotConnected
from gateway.proxy.retry import Retry
from gateway.routing.decision import Decision
from gateway.routing.patience import NEVER, Patience
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.routing.verdict import Forward
from tests.support.bounds import RetryBudget, Timeouts
from tests.support.fakes import Wired
from tests.support.rules import compiled

GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT /%b HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b"3\r\n:a\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
ASK = b"GET /%b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def wired(attempts: int = 0, **timeouts: float) -> Wired:
    """`/own` waits for as long as these say, `/other` as anybody."""
    found = Wired()
    routes = [Route("/own", "a", patience=Patience(Timeouts(**timeouts), attempts, {})), Route("/other", "a")]
    views = {"a": ServiceView("a", [found.address], Turns())}
    found.router.snapshot = Snapshot(1, compiled([]), RouteTable(routes), views)
    return found


def remaining(made: Wired, client: Downstream) -> float:
    return round(client.deadline - made.context.now, 3)


async def test_every_step_waits_as_the_route_says() -> None:
    for path, response, idle in ((b"own", 5.0, 2.0), (b"other", 30.0, 60.0)):
        made = wired(response=5.0, body_idle=2.0)
        instance, _ = made.instance()
        client, _ = made.client()
        client.data_received(PUT % path)
        waits = [remaining(made, client)]
        client.data_received(b"012345678")
        waits.append(remaining(made, client))
        instance.data_received(STREAM)
        waits.append(remaining(made, client))
        assert waits == [min(idle, 10.0), response, idle]  # body_grace is 10 s


@pytest.mark.parametrize("path", [b"own", b"other"])
async def test_a_stream_that_is_silent_for_long_lasts_where_the_route_has_no_timeout(path: bytes) -> None:
    made = wired(body_idle=0, response=0)
    instance, there = made.instance()
    client, here = made.client()
    client.data_received(GET % path)
    if path == b"own":
        made.pass_time(10_000.0)
    instance.data_received(STREAM)
    made.pass_time(10_000.0)
    instance.data_received(EVENT)
    made.turns.settle()
    assert here.written.endswith(EVENT) is (path == b"own")
    assert there.is_aborted is (path == b"other")


async def test_a_tunnel_lasts_as_long_as_the_route_says() -> None:
    for path, idle in ((b"own", NEVER), (b"other", 3600.0)):
        made = wired(tunnel_idle=0)
        instance, _ = made.instance()
        client, _ = made.client()
        client.data_received(ASK % path)
        instance.data_received(SWITCH)
        assert remaining(made, client) == idle


async def test_after_the_response_the_connection_waits_as_any_other() -> None:
    made = wired(body_idle=0, response=0)
    instance, _ = made.instance()
    client, _ = made.client()
    client.data_received(GET % b"own")
    instance.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert remaining(made, client) == 75.0


async def test_a_slow_reader_need_take_little_where_there_is_no_timeout() -> None:
    assert (Timeouts(body_idle=0).due(500), Timeouts(body_idle=2).due(500)) == (0, 1000)


@pytest.mark.parametrize(("attempts", "tries"), [(0, 3), (1, 1), (2, 2), (5, 5)])
async def test_as_many_instances_are_tried_as_the_route_says(attempts: int, tries: int) -> None:
    made = wired()
    made.context.budget = RetryBudget(attempts=3)
    decision = Decision(1)
    decision.service = "a"
    decision.patience = Patience(Timeouts(), attempts, {}) if attempts else None
    forward = Forward(decision)
    forward.choose(ServiceView("a", [Instance("192.0.2.1", port) for port in range(1, 10)], Turns()), "")
    retry = Retry(made.context, forward, "GET")
    count = 1
    while (again := retry.after(CONNECT_ERROR, is_fresh=True)) is not None:
        again.apply(forward)
        count += 1
    assert count == tries


async def test_connecting_takes_no_longer_than_the_route_says() -> None:
    made = wired(connect=0.7)
    asked: list[float] = []
    origin = made.origins.of(made.address, "a")

    async def acquire(timeout: float, _is_new: bool = False) -> None:
        asked.append(timeout)
        raise NotConnected(CONNECT_ERROR)

    class Noting:
        def of(self, *_: object) -> object:
            return type("Origin", (), {"acquire": staticmethod(acquire), "acquire_nowait": origin.acquire_nowait})

    made.context.origins = Noting()  # type: ignore[assignment]
    for path in (b"own", b"other"):
        client, _ = made.client()
        client.data_received(GET % path)
        while made.clients.tasks:
            for task in list(made.clients.tasks):
                await task
    assert asked == [0.7, 2.0]
