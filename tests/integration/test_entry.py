"""The entry gateway's data plane over real sockets: routing, tagging, forwarding, keeping connections."""

from __future__ import annotations

import asyncio

import pytest

from gateway.instance import Instance
from gateway.routing.snapshot import Snapshot
from gateway.rules.model import LaneGroup
from gateway.signedtag import is_digest
from tests.support.bounds import Timeouts
from tests.support.origin import Origin
from tests.support.proxy import LANE, Proxy
from tests.support.rules import compiled
from tests.support.wait import until


async def test_marked_goes_to_gray_unmarked_to_the_baseline(proxy: Proxy, origin: Origin) -> None:
    assert (await proxy.get("/A/a?group=gray")).body == b"gray GET /a?group=gray"
    assert (await proxy.get("/A/a")).body == b"base GET /a"
    assert [name for name, _, _ in origin.requests] == ["gray", "base"]


async def test_what_the_service_sees(proxy: Proxy, origin: Origin) -> None:
    await proxy.get("/A/a?group=gray", "X-Own: 1", "baggage: user=1")
    _, request, _ = origin.requests[0]
    traceparent = origin.header("traceparent")
    assert traceparent is not None
    rules = (origin.header("baggage") or "").rpartition("=")[2]
    assert is_digest(rules)
    assert [(name.decode(), value.decode()) for name, value in request.headers] == [
        ("host", "shop.example"),
        ("x-own", "1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-prefix", "/A"),
        ("traceparent", traceparent),
        ("x-gray-tag", "gray"),
        ("baggage", f"user=1,x-gray-tag=gray,x-gray-tag-rules={rules}"),
        ("x-gray-hop", "gray"),  # it has no sidecar that would take it off
        ("via", "1.1 gray-gateway"),
    ]


async def test_a_clients_own_tag_is_removed(proxy: Proxy, origin: Origin) -> None:
    """Otherwise anyone could walk into the gray environment."""
    answer = await proxy.get(
        "/A/a",
        "x-gray-tag: gray",
        "X-GRAY-TAG: gray",
        "x_gray_tag: gray",
        "baggage: x-gray-tag=gray,user=1",
        "Connection: x-gray-tag",
        "X-Forwarded-For: 6.6.6.6",
    )
    assert answer.body == b"base GET /a"
    assert origin.header("x-gray-tag") is None
    assert origin.header("x_gray_tag") is None
    assert origin.header("baggage") == "user=1"
    assert origin.header("connection") is None
    assert origin.header("x-forwarded-for") == "127.0.0.1"


async def test_connection_cannot_strip_the_tag(proxy: Proxy, origin: Origin) -> None:
    await proxy.get("/A/a?group=gray", "Connection: close, x-gray-tag, baggage")
    assert origin.header("x-gray-tag") == "gray"
    assert origin.header("connection") is None


async def test_a_trusted_clients_tag_counts(origin: Origin) -> None:
    proxy = Proxy()
    proxy.trust_loopback()
    await proxy.start(origin)
    assert (await proxy.get("/A/a", "x-gray-tag: gray")).body == b"gray GET /a"
    assert (await proxy.get("/A/a", "baggage: x-gray-tag=gray")).body == b"gray GET /a"
    assert origin.header("x-gray-tag") == "gray"
    await proxy.get("/A/a", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
    assert origin.header("x-forwarded-for") == "6.6.6.6, 127.0.0.1"
    assert origin.header("x-forwarded-proto") == "https"
    await proxy.close()


async def test_a_clients_traceparent_is_kept(proxy: Proxy, origin: Origin) -> None:
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    await proxy.get("/A/a", f"traceparent: {given}")
    assert origin.header("traceparent") == given


async def test_no_route_is_404_and_no_instance_is_503(proxy: Proxy) -> None:
    """Never the other way round."""
    missing = await proxy.get("/other")
    assert missing.status == 404
    assert missing.header("content-type") == "application/problem+json"
    assert b'"code": "no_route"' in missing.body
    empty = await proxy.get("/empty/x")
    assert empty.status == 503
    assert empty.header("retry-after") == "1"
    assert b"service nobody has no instances" in empty.body
    text = await proxy.get("/other", "Accept: text/plain")
    assert text.body == b"404 Not Found (no_route): no route for /other on host shop.example\n"


async def test_no_usable_gray_instance_falls_back_and_is_counted(proxy: Proxy, origin: Origin) -> None:
    proxy.router.snapshot = proxy.snapshot([Instance("127.0.0.1", origin.ports["base"])])
    assert (await proxy.get("/A/a?group=gray")).body == b"base GET /a?group=gray"
    assert origin.header("x-gray-tag") == "gray"
    assert proxy.traffic.fallbacks == {("a", "gray", "absent"): 1}
    assert proxy.traffic.exchanges["a"]["gray"].statuses == {200: 1}


async def test_a_refused_connection_tries_another_instance(proxy: Proxy, origin: Origin) -> None:
    gone = Instance("127.0.0.1", 1)
    there = Instance("127.0.0.1", origin.ports["base"])
    proxy.router.snapshot = proxy.snapshot([gone, there])
    for _ in range(4):
        assert (await proxy.get("/A/a")).status == 200
    assert proxy.traffic.upstream_errors[("a", "base", "connect_error")] >= 1
    proxy.router.snapshot = proxy.snapshot([Instance("127.0.0.1", 1, "gray"), there])
    assert (await proxy.get("/A/a?group=gray")).body == b"base GET /a?group=gray"
    assert proxy.traffic.fallbacks == {("a", "gray", "connect_error"): 1}
    proxy.router.snapshot = proxy.snapshot([gone])
    assert (await proxy.get("/A/a")).status == 502


async def test_connections_are_kept_on_both_sides(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    for number in range(5):
        await client.send(b"GET /A/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
        assert (await client.answer()).body == b"base GET /%d" % number
    assert origin.connections == 1


async def test_pipelined_requests_are_answered_in_order(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    await client.send(
        b"GET /A/1 HTTP/1.1\r\nHost: x\r\n\r\n"
        b"POST /A/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET /A/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        b"GET /A/4 HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    answers = [await client.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 404, 200]
    assert answers[3].header("connection") == "close"
    assert await client.rest() == b""
    assert [request.target for _, request, _ in origin.requests] == [b"/1", b"/2", b"/3"]
    assert origin.requests[1][2] == b"hello"


@pytest.mark.parametrize("piece", [1, 7, 100])
async def test_a_request_in_pieces(proxy: Proxy, origin: Origin, piece: int) -> None:
    data = (
        b"POST /A/x?group=gray HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;ext=1\r\nhello\r\n006\r\n world\r\n0\r\nX-Gray-Tag: blue\r\n\r\n"
    )
    client = await proxy.connect()
    for position in range(0, len(data), piece):
        await client.send(data[position : position + piece])
        await asyncio.sleep(0)
    assert (await client.answer()).body == b"gray POST /x?group=gray"
    assert origin.requests[0][2] == b"hello world"
    assert b"ext=1" not in origin.received[0]
    assert b"blue" not in origin.received[0]
    assert await client.is_open()


async def test_expect_continue(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.answer()).status == 100
    await client.send(b"hello")
    assert (await client.answer()).status == 200
    assert origin.header("expect") is None


async def test_http_1_0(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    await client.send(b"GET /A/x HTTP/1.0\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.header("connection")) == (200, "close")
    assert await client.rest() == b""
    assert origin.header("host") == "a"
    keeping = await proxy.connect()
    await keeping.send(b"GET /A/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
    assert (await keeping.answer()).header("connection") == "keep-alive"
    assert await keeping.is_open()


async def test_head(proxy: Proxy) -> None:
    client = await proxy.connect()
    await client.send(b"HEAD /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await client.answer("HEAD")
    assert (answer.status, answer.header("content-length")) == (200, "12")
    assert await client.is_open()


async def test_a_client_that_goes_away_cancels_its_exchange(proxy: Proxy, origin: Origin) -> None:
    started = asyncio.Event()

    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        started.set()
        await reader.read()

    origin.script = never_answers
    client = await proxy.connect()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    await started.wait()
    client.close()
    await until(lambda: origin.lost, "the upstream connection to close")
    assert proxy.traffic.exchanges["a"]["base"].statuses == {499: 1}
    assert proxy.traffic.in_flight == 0
    assert proxy.traffic.upstream_errors == {}


async def test_websocket_tunnels_both_ways_in_its_lane(proxy: Proxy, origin: Origin) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: Upgrade\r\nUpgrade: websocket" in head
        assert b"x-gray-tag: gray" in head
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi")
        while data := await reader.read(100):
            writer.write(b"echo " + data)

    origin.script = echo
    client = await proxy.connect()
    await client.send(
        b"GET /A/ws?group=gray HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    assert (await client.answer()).status == 101
    assert await client.reader.readexactly(2) == b"hi"
    await client.send(b"\x81\x05hello")
    assert await client.reader.readexactly(12) == b"echo \x81\x05hello"
    client.close()
    await until(lambda: origin.lost, "the tunnel to close upstream")


async def test_a_stale_kept_connection_is_replaced_without_failing(proxy: Proxy, origin: Origin) -> None:
    """The origin closes each connection after one answer, without saying so."""

    async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.readuntil(b"\r\n\r\n")  # takes the next request, and closes on it

    origin.script = one_answer
    client = await proxy.connect()
    for _ in range(4):
        await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).status == 200
    assert proxy.traffic.retries == {("a", "stale"): 3}
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert (await client.answer()).status == 502


async def test_drain_finishes_what_is_under_way(proxy: Proxy, origin: Origin) -> None:
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read()

    origin.script = slow
    idle, busy = await proxy.connect(), await proxy.connect()
    await busy.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: proxy.traffic.in_flight, "the request to be under way")
    draining = asyncio.create_task(proxy.listener.drain(0.0, 10.0))
    assert await idle.rest() == b""
    assert not draining.done()
    release.set()
    answer = await busy.answer()
    assert (answer.status, answer.header("connection")) == (200, "close")
    assert await draining
    with pytest.raises(ConnectionRefusedError):
        await proxy.connect()


async def test_a_full_origin_makes_requests_wait_and_says_busy_at_last(origin: Origin) -> None:
    proxy = Proxy()
    proxy.connections_per_origin = 1
    proxy.timeouts = Timeouts(connect=0.3)
    await proxy.start(origin)
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await release.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    origin.script = slow
    first = asyncio.create_task(proxy.get("/A/1"))
    await until(lambda: origin.connections == 1, "the one connection to be used")
    busy = await proxy.get("/A/2")
    assert (busy.status, b"upstream_busy" in busy.body, busy.header("retry-after")) == (503, True, "1")
    waiting = asyncio.create_task(proxy.get("/A/3"))
    await until(lambda: proxy.traffic.in_flight == 2, "the second request to wait")
    release.set()
    assert [answer.status for answer in await asyncio.gather(first, waiting)] == [200, 200]
    assert origin.connections == 1
    await proxy.close()


async def test_a_lane_is_limited_to_its_groups_services(proxy: Proxy, origin: Origin) -> None:
    group = LaneGroup.model_validate({**LANE, "services": ["other"]})
    snapshot = proxy.router.snapshot
    proxy.router.snapshot = Snapshot(2, compiled([group]), snapshot.routes, snapshot.services)
    assert (await proxy.get("/A/a?group=gray")).body == b"base GET /a?group=gray"
    # The tag goes on: a service of the group may stand behind this one.
    assert origin.header("x-gray-tag") == "gray"
    assert proxy.traffic.fallbacks == {("a", "gray", "not_in_group"): 1}


async def test_behind_a_trusted_proxy_the_client_is_whom_it_names(origin: Origin) -> None:
    proxy = Proxy()
    proxy.trust_loopback()
    await proxy.start(origin)
    lane = {"name": "l", "tag": "gray", "match": [{"client_ip": {"in": ["203.0.113.0/24"]}}]}
    rules = compiled([LaneGroup.model_validate({"name": "g", "lanes": [lane]})])
    snapshot = proxy.router.snapshot
    proxy.router.snapshot = Snapshot(2, rules, snapshot.routes, snapshot.services)
    for forwarded, pool in (
        ("203.0.113.9", b"gray"),
        ("203.0.113.9, 127.0.0.7", b"gray"),
        ("203.0.113.9, 198.51.100.1", b"base"),  # what stands left of an untrusted address is only a claim
        ("203.0.113.9, nonsense", b"base"),
    ):
        assert (await proxy.get("/A/a", f"X-Forwarded-For: {forwarded}")).body.startswith(pool)
    await proxy.close()
