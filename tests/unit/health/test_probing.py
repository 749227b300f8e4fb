"""One check of one instance: as ordinary requests speak to it, over a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import h2.errors
import pytest

from gateway.health.probing import responds_well, serves
from gateway.instance import Instance
from gateway.tls.contexts import Spoken, UpstreamTLS
from gateway.tls.mesh import Mesh
from tests.support.certificates import Authority
from tests.support.h2origin import Call, H2Origin

FIELDS = {"X-Gray-Hop": "gray"}
PLAIN = Spoken()
H2C = Spoken(None, has_http2=True)
ANNOUNCED = Spoken(None, has_http2=True, is_certain=False)
CA = Authority()
IDENTITY = "spiffe://mesh.example/{service}"


class Old:
    """An instance that speaks HTTP/1.1, and notes what it was sent."""

    def __init__(self) -> None:
        self.response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        self.heads: list[bytes] = []
        self.seen = b""
        self.server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> Instance:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        return Instance("127.0.0.1", self.server.sockets[0].getsockname()[1], "gray")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"PRI "):
                writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            else:
                self.heads.append(head)
                writer.write(self.response)


@pytest.fixture
async def old() -> AsyncIterator[Old]:
    found = Old()
    yield found
    if found.server is not None:
        found.server.close()


async def well(instance: Instance, spoken: Spoken = PLAIN, path: str = "/health?deep=1", timeout: float = 30.0) -> bool:
    return await responds_well("orders", instance, path, timeout=timeout, spoken=spoken, fields=FIELDS)


async def test_an_instance_is_asked_for_the_path_by_the_services_name(old: Old) -> None:
    assert await well(await old.start())
    (head,) = old.heads
    first, *lines = head.split(b"\r\n")
    assert first == b"GET /health?deep=1 HTTP/1.1"
    assert {b"Host: orders", b"User-Agent: gateway-check", b"X-Gray-Hop: gray", b"Connection: close"} <= set(lines)


@pytest.mark.parametrize(
    ("status", "is_well"),
    [(b"200", True), (b"204", True), (b"302", True), (b"399", True), (b"400", False), (b"503", False)],
)
async def test_below_400_is_well_and_where_it_redirects_to_is_not_asked(old: Old, status: bytes, is_well: bool) -> None:
    old.response = b"HTTP/1.1 " + status + b" X\r\nLocation: /well\r\nContent-Length: 0\r\n\r\n"
    assert await well(await old.start()) is is_well
    assert len(old.heads) == 1


@pytest.mark.parametrize(
    ("response", "is_well"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 500 Oops\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True),  # the head says it
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, False),
        (b"SSH-2.0-OpenSSH_9.6\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"", False),
    ],
)
async def test_what_counts_is_the_head_of_the_final_response(old: Old, response: bytes, is_well: bool) -> None:
    old.response = response
    assert await well(await old.start()) is is_well


@pytest.mark.parametrize("spoken", [PLAIN, H2C])
async def test_who_does_not_respond_in_time_is_not_well(spoken: Spoken) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    assert not await well(Instance("127.0.0.1", server.sockets[0].getsockname()[1]), spoken, timeout=0.05)
    server.close()


@pytest.mark.parametrize("spoken", [PLAIN, H2C, ANNOUNCED])
@pytest.mark.parametrize("host", ["127.0.0.1", "a..b"], ids=["nobody listens", "no name"])
async def test_who_cannot_be_reached_is_not_well(host: str, spoken: Spoken) -> None:
    assert not await well(Instance(host, 9), spoken)


# --- HTTP/2


@contextlib.asynccontextmanager
async def new(
    answer: Callable[[Call], Any], tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[H2Origin, Instance]]:
    origin = H2Origin(answer)
    await origin.start(tls)
    yield origin, Instance("127.0.0.1", origin.port, "gray")
    await origin.close()
    assert (origin.illegal, origin.problems) == ([], [])


async def answers(call: Call) -> None:
    """200, unless the path is the status."""
    status = call.path.lstrip("/") if call.path.lstrip("/").isdigit() else "200"
    call.send_headers((":status", "103"), ("link", "</a>"))
    call.send_headers((":status", status), ends=True)


@pytest.mark.parametrize("spoken", [H2C, ANNOUNCED])
async def test_where_http2_is_spoken_it_is_asked_by_that(spoken: Spoken) -> None:
    async with new(answers) as (origin, instance):
        assert await well(instance, spoken)
        (call,) = origin.calls
        assert call.headers[:4] == [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "orders"),
            (":path", "/health?deep=1"),
        ]
        assert call.header("x-gray-hop") == "gray"
        assert call.header("connection") is None
        assert await well(instance, spoken, "/399")
        assert not await well(instance, spoken, "/400")


async def test_a_stream_that_is_refused_is_not_well() -> None:
    async def refuses(call: Call) -> None:
        call.refuse(h2.errors.ErrorCodes.REFUSED_STREAM)

    async with new(refuses) as (_, instance):
        assert not await well(instance, H2C)


async def test_who_was_only_said_to_speak_it_is_asked_by_http1_then(old: Old) -> None:
    """As requests are."""
    instance = await old.start()
    assert await well(instance, ANNOUNCED)
    assert len(old.heads) == 1
    assert not await well(instance, H2C)
    assert len(old.heads) == 1


# --- TLS


def server_context(folder: Path, *names: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    pair = CA.issue(folder, "server", *names)
    context.load_cert_chain(pair["cert"], pair["key"])
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def towards(folder: Path, name: str = "orders.internal") -> UpstreamTLS:
    return UpstreamTLS.load(CA.trust(folder), name, True, is_multiplexed=True)


@pytest.mark.parametrize(("name", "is_well"), [("orders.internal", True), ("payments.internal", False)])
async def test_in_tls_the_services_name_is_verified(old: Old, tmp_path: Path, name: str, is_well: bool) -> None:
    instance = await old.start(server_context(tmp_path, name))
    assert await well(instance, Spoken(towards(tmp_path))) is is_well
    assert len(old.heads) == is_well


@pytest.mark.parametrize(("alpn", "is_certain"), [(("h2", "http/1.1"), False), (("h2",), True)])
async def test_in_tls_http2_is_agreed_on(tmp_path: Path, alpn: tuple[str, ...], is_certain: bool) -> None:
    async with new(answers, server_context(tmp_path, "orders.internal", alpn=alpn)) as (origin, instance):
        assert await well(instance, Spoken(towards(tmp_path), True, is_certain))
        assert origin.calls[0].header(":scheme") == "https"


async def test_in_tls_what_is_not_agreed_on_is_http1_if_that_will_do(old: Old, tmp_path: Path) -> None:
    instance = await old.start(server_context(tmp_path, "orders.internal"))
    assert await well(instance, Spoken(towards(tmp_path), True, is_certain=False))
    assert not await well(instance, Spoken(towards(tmp_path), True, is_certain=True))


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
@pytest.mark.parametrize(("service", "is_well"), [("orders", True), ("payments", False)])
async def test_in_a_mesh_it_is_verified_who_is_there_before_anything_is_sent(
    old: Old, tmp_path: Path, service: str, is_well: bool, protocol: str
) -> None:
    """As for ordinary requests: an instance of another service has a certificate of the same CA."""
    own = CA.issue(tmp_path, "own", "spiffe://mesh.example/gateway")
    mesh = Mesh(**own, ca=CA.trust(tmp_path), identity=IDENTITY)
    tls = server_context(tmp_path, IDENTITY.format(service=service), alpn=(protocol,))
    spoken = Spoken(mesh.towards("orders"), True, is_certain=False)
    if protocol == "h2":
        async with new(answers, tls) as (origin, instance):
            assert await well(instance, spoken) is is_well
            assert len(origin.calls) == is_well
    else:
        instance = await old.start(tls)
        assert await well(instance, spoken) is is_well
        assert len(old.heads) == is_well


# --- gRPC


class Health:
    """`statuses` are by name. Each is what protobuf makes of it."""

    def __init__(self) -> None:
        self.statuses: dict[bytes, bytes] = {}
        self.asked: list[tuple[bytes, str]] = []
        self.is_silent = False

    async def check(self, request: bytes, context: Any) -> bytes:
        if self.is_silent:
            await asyncio.Event().wait()
        self.asked.append((request, dict(context.invocation_metadata())["x-gray-hop"]))
        if request not in self.statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, "")
        return self.statuses[request]


@pytest.fixture
async def health() -> AsyncIterator[tuple[Health, Instance]]:
    found = Health()
    server = grpc.aio.server()
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(found.check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield found, Instance("127.0.0.1", port, "gray")
    await server.stop(None)


async def is_served(instance: Instance, name: str = "", timeout: float = 20.0, spoken: Spoken = H2C) -> bool:
    return await serves("orders", instance, name, timeout=timeout, spoken=spoken, fields=FIELDS)


@pytest.mark.parametrize(
    ("status", "expected"), [(b"\x08\x01", True), (b"\x08\x02", False), (b"", False), (b"\x08\x03", False)]
)
async def test_only_serving_is_well(health: tuple[Health, Instance], status: bytes, expected: bool) -> None:
    server, instance = health
    server.statuses[b""] = status
    assert await is_served(instance) is expected
    assert server.asked == [(b"", "gray")]


async def test_the_port_for_grpc_is_asked(health: tuple[Health, Instance]) -> None:
    server, instance = health
    server.statuses[b""] = b"\x08\x01"
    assert await is_served(Instance("127.0.0.1", 9, metadata={"gRPC_port": str(instance.port)}))


async def test_a_service_is_asked_for_by_its_name(health: tuple[Health, Instance]) -> None:
    server, instance = health
    server.statuses[b"\x0a\x04a.B2"] = b"\x08\x01"
    assert await is_served(instance, "a.B2")
    assert not await is_served(instance, "a.C")


async def test_who_does_not_respond_in_time_or_is_not_there_does_not_serve(health: tuple[Health, Instance]) -> None:
    server, instance = health
    server.is_silent = True
    assert not await is_served(instance, timeout=0.05)
    assert not await is_served(Instance("127.0.0.1", 9))


async def test_who_does_not_speak_http2_does_not_serve(old: Old) -> None:
    assert not await is_served(await old.start())
    assert old.heads == []


@pytest.mark.parametrize(
    ("status", "message", "trailer", "expected"),
    [
        ("200", b"\0\0\0\0\2\x08\1", "0", True),
        ("200", b"\0\0\0\0\2\x08\1", "14", False),
        ("503", b"\0\0\0\0\2\x08\1", "0", False),
        ("200", b"\1\0\0\0\2\x08\1", "0", False),
        ("200", b"\0\0\0\0\3\x08\1", "0", False),
        ("200", b"\0" * 100_000, "0", False),
    ],
    ids=["sound", "an error", "HTTP's error", "compressed", "cut", "long"],
)
async def test_only_a_sound_response_serves(status: str, message: bytes, trailer: str, expected: bool) -> None:
    async def answer(call: Call) -> None:
        assert (await call.whole(), call.header("te")) == (b"\0\0\0\0\0", "trailers")
        call.send_headers((":status", status), ("content-type", "application/grpc"))
        await call.send_data(message)
        call.send_trailers(("grpc-status", trailer))

    async with new(answer) as (_, instance):
        assert await is_served(instance) is expected


@pytest.mark.parametrize(("service", "expected"), [("orders", True), ("payments", False)])
async def test_a_check_by_grpc_verifies_who_is_there_too(tmp_path: Path, service: str, expected: bool) -> None:
    async def answer(call: Call) -> None:
        call.send_headers((":status", "200"), ("content-type", "application/grpc"))
        await call.send_data(b"\0\0\0\0\2\x08\1")
        call.send_trailers(("grpc-status", "0"))

    own = CA.issue(tmp_path, "own", "spiffe://mesh.example/gateway")
    mesh = Mesh(**own, ca=CA.trust(tmp_path), identity=IDENTITY)
    async with new(answer, server_context(tmp_path, IDENTITY.format(service=service), alpn=("h2",))) as (
        origin,
        instance,
    ):
        assert await is_served(instance, spoken=Spoken(mesh.towards("orders"), True, True)) is expected
        assert len(origin.calls) == expected
