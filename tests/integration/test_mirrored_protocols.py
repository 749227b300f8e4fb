"""Copies go the way of any request: over TLS, over HTTP/2, on the connections that there are, and to gRPC services."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
import trustme

from gateway.instance import Instance
from gateway.tls.contexts import UpstreamTLS
from gateway.tls.mesh import Secured
from tests.support.grpcservice import SERVICE, GrpcService
from tests.support.h2origin import Call, H2Origin
from tests.support.mirroring import Mirrored, mirrored
from tests.support.origin import Origin
from tests.support.wait import until

H2C = {"protocol": "h2c"}


async def echo(call: Call) -> None:
    """The port is part of what is said, so that the two instances say different things."""
    body = await call.whole()
    call.send_headers((":status", "200"), ("x-port", call.header("x-gray-tag") or "base"))
    await call.send_data(b"" if call.header(":method") == "HEAD" else b"said " + body, ends=True)


@pytest.fixture
async def origins() -> AsyncIterator[list[H2Origin]]:
    found = [H2Origin(echo), H2Origin(echo)]
    yield found
    for origin in found:
        await origin.close()
    assert [(origin.illegal, origin.problems) for origin in found] == [([], []), ([], [])]


def counted(setup: Mirrored) -> dict[str, int]:
    return {result: count for (_, _, result), count in setup.counted.items()}


@pytest.mark.parametrize("secured", [False, True])
async def test_copies_go_over_http2_on_the_session_that_there_is(
    origins: list[H2Origin], tmp_path: Path, secured: bool
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for origin in origins:
        await origin.start(context if secured else None)
    base, gray = (
        Instance("127.0.0.1", origin.port, tag=tag, metadata={} if secured else H2C)
        for origin, tag in zip(origins, ("base", "gray"), strict=True)
    )
    async with mirrored(base, gray, methods=["GET", "HEAD", "POST"], compare={"body": "bytes"}) as setup:
        if secured:
            tls = UpstreamTLS.load(str(tmp_path / "ca.pem"), "", True, is_multiplexed=True)
            setup.proxy.origins.secure(Secured({"a": tls}))
        for sent in (b"GET /A/x", b"HEAD /A/x", b"POST /A/x"):
            extra = b"Content-Length: 4\r\n\r\nbody" if sent.startswith(b"POST") else b"\r\n"
            done = sum(counted(setup).values())
            assert (await setup.proxy.ask(sent + b" HTTP/1.1\r\nHost: shop\r\n" + extra)).status == 200
            await until(lambda done=done: sum(counted(setup).values()) == done + 1)  # type: ignore[misc]
        assert counted(setup) == {"same": 3}
        calls = origins[1].calls
        assert [(call.header(":method"), call.path, call.body) for call in calls] == [
            ("GET", "/x", b""),
            ("HEAD", "/x", b""),
            ("POST", "/x", b"body"),
        ]
        for call in calls:
            assert (call.header("x-gray-mirror"), call.header("x-gray-tag")) == ("1", "gray")
        assert len(origins[1].connections) == 1
        # Marked requests take the same one.
        assert (await setup.proxy.get("/A/x?group=gray")).status == 200
        assert len(origins[1].connections) == 1


async def test_copies_go_over_tls_and_connections_are_used_again(origin: Origin, tmp_path: Path) -> None:
    """HTTP/1.1 in TLS: to a gray instance alone, so that only copies go there."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    heads: list[bytes] = []
    connections = closed = 0

    async def serve(reader: Any, writer: Any) -> None:
        nonlocal connections, closed
        connections += 1
        try:
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        except (EOFError, ConnectionError):
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
            closed += 1

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    base = Instance("127.0.0.1", port)
    gray = Instance("127.0.0.1", port, tag="gray")
    async with mirrored(base, gray, compare={"body": "bytes"}) as setup:
        setup.proxy.origins.secure(Secured({"a": UpstreamTLS.load(str(tmp_path / "ca.pem"), "", True)}))
        for count in range(1, 4):
            assert await setup.get() == 200
            await until(lambda count=count: counted(setup) == {"same": count})  # type: ignore[misc]
        assert len([head for head in heads if b"X-Gray-Mirror: 1" in head]) == 3
        assert connections == 1
        setup.proxy.origins.retire(f"127.0.0.1:{port}")
        await until(lambda: not any(map(sum, setup.proxy.origins.statistics().values())))
        await until(lambda: closed == connections)
    server.close()


# --- gRPC


@pytest.fixture
async def services() -> AsyncIterator[list[GrpcService]]:
    found = [GrpcService(), GrpcService("gray")]
    for service in found:
        await service.start()
    yield found
    for service in found:
        await service.close()


def instances(services: list[GrpcService]) -> tuple[Instance, Instance]:
    return Instance("127.0.0.1", services[0].port), Instance("127.0.0.1", services[1].port, tag="gray")


async def call(setup: Mirrored, method: str, message: bytes, kind: str = "unary_unary") -> Any:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{setup.proxy.listener.port}") as channel:
        found = getattr(channel, kind)(f"/{SERVICE}/{method}")
        try:
            return await found(message)
        except grpc.aio.AioRpcError as error:
            return error.code()


async def test_a_unary_call_is_copied_if_its_method_is_named(services: list[GrpcService]) -> None:
    """The body of a call comes after its head: the copy takes it when it is there."""
    methods = [f"{SERVICE}/Get", "GET"]
    async with mirrored(*instances(services), methods=methods, compare={"body": "bytes"}) as setup:
        assert await call(setup, "Get", b"hello") == b"base hello"
        await until(lambda: counted(setup) == {"different": 1})
        [(method, metadata, _)] = services[1].calls
        assert (method, metadata["x-gray-mirror"], metadata["x-gray-tag"]) == ("Get", "1", "gray")
        [sample] = setup.mirrors.samples
        assert (sample["method"], sample["path"]) == ("POST", f"/{SERVICE}/Get")
        assert [found["what"] for found in sample["differences"]] == ["body"]
        # Another method is not, and neither is what POST would mean.
        assert await call(setup, "Fail", b"NOT_FOUND") is grpc.StatusCode.NOT_FOUND
        assert len(services[1].calls) == 1


async def test_post_does_not_mean_calls(services: list[GrpcService]) -> None:
    async with mirrored(*instances(services), methods=["POST"]) as setup:
        assert await call(setup, "Get", b"hello") == b"base hello"
        assert (services[1].calls, counted(setup), setup.copies.held) == ([], {}, 0)


async def test_statuses_of_calls_are_compared_whether_they_are_trailers_or_alone(services: list[GrpcService]) -> None:
    async with mirrored(*instances(services), methods=[f"{SERVICE}/*"]) as setup:
        assert await call(setup, "Fail", b"NOT_FOUND") is grpc.StatusCode.NOT_FOUND
        await until(lambda: counted(setup) == {"same": 1})
        await services[1].close()
        services[1] = GrpcService("gray")
        services[1]._fail = services[1]._get  # type: ignore[method-assign]
        await services[1].start()
        setup.proxy.router.snapshot = setup.proxy.snapshot([*instances(services)])
        assert await call(setup, "Fail", b"NOT_FOUND") is grpc.StatusCode.NOT_FOUND
        await until(lambda: counted(setup) == {"same": 1, "different": 1})
        [sample] = setup.mirrors.samples
        assert sample["differences"] == [{"what": "grpc-status", "baseline": "NOT_FOUND", "lane": "OK"}]


async def test_a_call_of_several_messages_is_no_unary_one(services: list[GrpcService]) -> None:
    async with mirrored(*instances(services), methods=[f"{SERVICE}/*"]) as setup:
        assert await call(setup, "Put", iter([b"abc", b"def"]), "stream_unary") == b"base 6"  # type: ignore[arg-type]
        await until(lambda: counted(setup) == {"skipped": 1})
        assert services[1].calls == []
