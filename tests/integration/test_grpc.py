"""gRPC from real clients to real services (grpcio), of all four kinds, with every way in which a call ends."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from gateway.grpc.status import NAMES, is_error
from gateway.health.ejection import ERRORS, Ejector
from gateway.instance import Instance
from gateway.proxy.access_log import AccessLog
from gateway.telemetry.linefile import LineFile
from tests.support.bounds import Timeouts
from tests.support.grpcservice import SERVICE, GrpcService
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

TRACE = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@pytest.fixture
async def service() -> AsyncIterator[GrpcService]:
    found = GrpcService()
    await found.start()
    yield found
    await found.close()


@pytest.fixture
async def gray() -> AsyncIterator[GrpcService]:
    found = GrpcService("gray")
    await found.start()
    yield found
    await found.close()


@pytest.fixture
async def proxy(service: GrpcService, gray: GrpcService) -> AsyncIterator[Proxy]:
    found = Proxy()
    await found.serve(Instance("127.0.0.1", service.port), Instance("127.0.0.1", gray.port, tag="gray"))
    yield found
    await found.close()
    assert found.traffic.internal_errors == 0


@pytest.fixture
async def channel(proxy: Proxy) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.listener.port}") as found:
        yield found


def of(channel: Any, kind: str, method: str, service: str = SERVICE) -> Any:
    return getattr(channel, kind)(f"/{service}/{method}")


async def error(call: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value


async def test_a_unary_call_with_metadata_of_both_kinds_and_both_ways(
    proxy: Proxy, channel: Any, service: GrpcService
) -> None:
    call = of(channel, "unary_unary", "Get")(b"hello", metadata=(("x-name", "value"), ("key-bin", b"\x00\x01\xff")))
    assert await call == b"base hello"
    assert ("x-who", "base") in tuple(await call.initial_metadata())
    assert {("x-after", "all"), ("data-bin", b"\x00\xff")} <= set(await call.trailing_metadata())
    method, metadata, _ = service.calls[0]
    assert (method, metadata["x-name"], metadata["key-bin"]) == ("Get", "value", b"\x00\x01\xff")
    assert str(metadata["traceparent"]).startswith("00-")
    await until(lambda: proxy.traffic.calls == {("a", "base", "OK"): 1})


async def test_a_call_of_a_lane_goes_there_and_carries_its_tag_and_its_trace(
    proxy: Proxy, channel: Any, service: GrpcService, gray: GrpcService
) -> None:
    """The tag is the gateway's to give: what a client says of one does not arrive."""
    proxy.group = {
        "name": "orders",
        "lanes": [{"name": "put", "tag": "gray", "match": [{"grpc_method": {"equals": "Put"}}]}],
    }
    proxy.router.snapshot = proxy.snapshot(
        [Instance("127.0.0.1", service.port), Instance("127.0.0.1", gray.port, tag="gray")]
    )
    claims = (TRACE, ("x-gray-tag", "blue"), ("baggage", "x-gray-tag=blue,mine=1"))
    assert await of(channel, "unary_unary", "Get")(b"", metadata=claims) == b"base "
    assert await of(channel, "stream_unary", "Put")(iter([b"abc"]), metadata=claims) == b"gray 3"
    (_, plain, _), (_, marked, _) = *service.calls, *gray.calls
    assert ("x-gray-tag" in plain, plain["baggage"]) == (False, "mine=1")
    assert marked["x-gray-tag"] == "gray"
    assert re.fullmatch("mine=1,x-gray-tag=gray,x-gray-tag-rules=[0-9a-f]{12}", str(marked["baggage"]))
    for metadata in (plain, marked):
        assert metadata["traceparent"] == TRACE[1]
    assert proxy.traffic.decisions == {"orders": {"put": 1}}


async def test_streams_of_all_kinds(channel: Any, service: GrpcService) -> None:
    listed = [message async for message in of(channel, "unary_stream", "List")(b"3 2")]
    assert listed == [b"0 xx", b"1 xx", b"2 xx"]

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"y" * 100_000

    assert await of(channel, "stream_unary", "Put")(parts()) == b"base 1000000"
    talk = of(channel, "stream_stream", "Talk")()
    for word in (b"one", b"two", b"three"):
        await talk.write(word)
        assert await talk.read() == word.upper()
    await talk.done_writing()
    assert await talk.read() == grpc.aio.EOF
    assert await talk.code() == grpc.StatusCode.OK


async def test_messages_larger_than_any_window(channel: Any) -> None:
    total = 0
    async for message in of(channel, "unary_stream", "List")(b"40 1000000"):
        total += len(message) - len(message.split(b" ")[0]) - 1
    assert total == 40_000_000


async def test_many_calls_at_once_on_one_channel(proxy: Proxy, channel: Any, service: GrpcService) -> None:
    calls = [of(channel, "unary_unary", "Get")(b"%d" % number) for number in range(200)]
    assert await asyncio.gather(*calls) == [b"base %d" % number for number in range(200)]
    assert len(service.calls) == 200
    states = proxy.origins.statistics()[f"127.0.0.1:{service.port}"]
    assert sum(states) <= 3


@pytest.mark.parametrize("code", [code.name for code in grpc.StatusCode if code.name != "OK"])
async def test_a_status_without_a_message_comes_as_it_was(
    proxy: Proxy, channel: Any, service: GrpcService, code: str
) -> None:
    failed = await error(of(channel, "unary_unary", "Fail")(code.encode()))
    assert (failed.code().name, failed.details()) == (code, "so it is: 100 % 失败")
    await until(lambda: proxy.traffic.calls == {("a", "base", code): 1})
    assert proxy.traffic.exchanges["a"]["base"].errors == is_error(NAMES.index(code))


async def test_our_own_errors_have_a_status_and_say_why(proxy: Proxy, channel: Any) -> None:
    nobody = await error(of(channel, "unary_unary", "Get", "shop.Nobody")(b""))
    assert (nobody.code(), nobody.details()) == (
        grpc.StatusCode.UNAVAILABLE,
        "no_instances: service nobody has no instances",
    )
    nowhere = await error(of(channel, "unary_unary", "Get", "shop.Nowhere")(b""))
    assert nowhere.code() == grpc.StatusCode.UNIMPLEMENTED
    assert nowhere.details().startswith("no_route: no route for /shop.Nowhere/Get")
    await until(lambda: proxy.traffic.calls == {("nobody", "base", "UNAVAILABLE"): 1})
    assert proxy.traffic.exchanges["nobody"]["base"].errors == 1


async def test_an_instance_that_is_not_there_is_unavailable(proxy: Proxy, channel: Any, service: GrpcService) -> None:
    await service.close()
    failed = await error(of(channel, "unary_unary", "Get")(b""))
    assert failed.code() == grpc.StatusCode.UNAVAILABLE
    assert failed.details().startswith("connect_failed: ")


async def test_a_deadline_is_passed_on_and_the_instance_is_told_to_stop(
    proxy: Proxy, channel: Any, service: GrpcService
) -> None:
    failed = await error(of(channel, "unary_unary", "Hold")(b"", timeout=0.5))
    assert failed.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: service.cancelled == ["Hold"])
    remaining = service.calls[0][2]
    assert remaining is not None
    assert 0 < remaining <= 0.5


async def test_a_deadline_that_nobody_keeps_ends_the_call_here(proxy: Proxy, service: GrpcService) -> None:
    """A client that does not watch its own clock, and an instance that ignores it."""
    from tests.support.h2origin import Call, H2Origin

    async def ignore(call: Call) -> None:
        await call.whole()

    origin = H2Origin(ignore)
    await origin.start()
    proxy.router.snapshot = proxy.snapshot([Instance("127.0.0.1", origin.port)])
    try:
        response = await proxy.ask(
            b"POST /shop.Orders/Get HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\nTE: trailers\r\n"
            b"grpc-timeout: 50m\r\ngrpc-trace-bin: AAE=\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0"
        )
        assert (response.status, response.header("grpc-status")) == (200, "4")
        assert response.header("grpc-message") == "deadline_exceeded: the call had 50m"
        # It waited for its connection here: the instance has less time, and not more.
        said = origin.calls[0].header("grpc-timeout")
        assert said is not None
        assert said.endswith("u")
        assert 0 < int(said[:-1]) < 50_000
        assert (origin.calls[0].header("te"), origin.calls[0].header("grpc-trace-bin")) == ("trailers", "AAE=")
        await until(lambda: origin.calls[0].reset is not None)
    finally:
        await origin.close()


async def test_a_call_that_is_cancelled_is_cancelled_at_the_instance(
    proxy: Proxy, channel: Any, service: GrpcService
) -> None:
    call = of(channel, "unary_unary", "Hold")(b"")
    await until(lambda: service.calls)
    call.cancel()
    await until(lambda: service.cancelled == ["Hold"])
    await until(lambda: not proxy.traffic.in_flight)


async def test_calls_are_balanced_one_by_one(service: GrpcService, gray: GrpcService) -> None:
    """On one connection of the client's: to each instance in its turn."""
    proxy = Proxy()
    await proxy.serve(Instance("127.0.0.1", service.port), Instance("127.0.0.1", gray.port))
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.listener.port}") as channel:
            for _ in range(10):
                await of(channel, "unary_unary", "Get")(b"")
        assert (len(service.calls), len(gray.calls)) == (5, 5)
        assert len(proxy.origins.statistics()) == 2
    finally:
        await proxy.close()


@pytest.mark.parametrize(("code", "is_ejected"), [("UNAVAILABLE", True), ("INTERNAL", True), ("UNIMPLEMENTED", False)])
async def test_an_instance_is_thought_of_by_the_statuses_of_its_calls(
    service: GrpcService, code: str, is_ejected: bool
) -> None:
    """Those that are its own fault; a client that calls what is not there does it no harm."""
    proxy = Proxy()
    found: list[tuple[Instance, str]] = []

    class Notes(Ejector):
        def failed(self, service: str, instance: Instance, cause: str) -> None:
            found.append((instance, cause))

    proxy.ejector = Notes.__new__(Notes)
    proxy.ejector.records = {}
    instance = Instance("127.0.0.1", service.port)
    await proxy.serve(instance)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.listener.port}") as channel:
            await error(of(channel, "unary_unary", "Fail")(code.encode()))
        await until(lambda: not proxy.traffic.in_flight)
        assert found == ([(instance, ERRORS)] if is_ejected else [])
    finally:
        await proxy.close()


async def test_the_log_has_the_status(service: GrpcService, tmp_path: Path) -> None:
    file = LineFile(str(tmp_path / "log"))
    proxy = Proxy()
    proxy.log = AccessLog(file, "entry")
    await proxy.serve(Instance("127.0.0.1", service.port))
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.listener.port}") as channel:
            await error(of(channel, "unary_unary", "Fail")(b"NOT_FOUND"))
            await of(channel, "unary_unary", "Get")(b"")
        await proxy.get("/hello")
    finally:
        await proxy.close()
        file.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(line["version"], line["status"], line.get("grpc_status")) for line in lines] == [
        ("2", 200, "NOT_FOUND"),
        ("2", 200, "OK"),
        ("1.1", 200, None),
    ]


async def test_a_synchronous_client(proxy: Proxy, service: GrpcService) -> None:
    def call() -> tuple[bytes, list[bytes]]:
        with grpc.insecure_channel(f"127.0.0.1:{proxy.listener.port}") as channel:
            one = of(channel, "unary_unary", "Get")(b"x", timeout=20)
            return one, list(of(channel, "stream_stream", "Talk")(iter([b"a", b"b"]), timeout=20))

    assert await asyncio.to_thread(call) == (b"base x", [b"A", b"B"])


async def test_a_service_that_shuts_down_gracefully_fails_no_call(proxy: Proxy, service: GrpcService) -> None:
    """Its GOAWAY is heeded; the next call goes to who listens at the address then."""
    proxy.context.timeouts = Timeouts()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.listener.port}") as channel:
        held = of(channel, "unary_unary", "Hold")(b"")
        await until(lambda: service.calls)
        stopping = asyncio.create_task(service.close(grace=20))
        assert await held == b"base"
        await stopping
        again = GrpcService("again")
        again.port = service.port
        await again.start()
        try:
            assert await of(channel, "unary_unary", "Get")(b"x") == b"again x"
        finally:
            await again.close()


async def test_calls_go_to_the_port_for_them(origin: Origin, service: GrpcService) -> None:
    """An application with a port for HTTP/1.1, which is registered, and one for gRPC, which its metadata names (grpc-spring)."""
    proxy = Proxy()
    await proxy.serve(Instance("127.0.0.1", origin.ports["base"], metadata={"gRPC_port": str(service.port)}))
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{proxy.listener.port}") as channel:
            assert await of(channel, "unary_unary", "Get")(b"hello") == b"base hello"
        assert (await proxy.get("/A/x")).body == b"base GET /x"
    finally:
        await proxy.close()
