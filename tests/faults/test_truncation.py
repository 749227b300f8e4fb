"""An answer that is cut off is seen to be, however it is framed on either side, and is counted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest
import trustme

from gateway.instance import Instance
from gateway.tls.contexts import UpstreamTLS
from gateway.tls.mesh import Secured
from tests.support.hostile import reset_transport
from tests.support.loops import on_both_loops, on_uvloop
from tests.support.origin import Origin
from tests.support.proxy import Client, Proxy
from tests.support.wait import until

HEAD = b"HTTP/1.1 200 OK\r\n"
FRAMINGS = [
    pytest.param(HEAD + b"Content-Length: 100\r\n\r\nonly this", id="length"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n", id="chunks"),
    pytest.param(HEAD + b"\r\nonly this", id="until the close"),
    pytest.param(b"HTTP/1.0 200 OK\r\n\r\nonly this", id="HTTP/1.0"),
]
ASK_1_1 = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
ASK_1_0 = b"GET /A/x HTTP/1.0\r\nHost: x\r\n\r\n"


async def is_whole(client: Client) -> bool:
    """Whether the client takes what came, until its connection closed, for a whole answer."""
    head = await client.reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    try:
        async with asyncio.timeout(10):
            rest = await client.reader.read()
    except ConnectionError:
        return False
    if b"transfer-encoding: chunked" in lower:
        return rest.endswith(b"0\r\n\r\n")
    if b"content-length: 100" in lower:
        return len(rest) == 100
    return True


@on_both_loops
@pytest.mark.parametrize("ask", [ASK_1_1, ASK_1_0], ids=["to HTTP/1.1", "to HTTP/1.0"])
@pytest.mark.parametrize("answer", FRAMINGS)
async def test_a_reset_is_no_end(proxy: Proxy, origin: Origin, ask: bytes, answer: bytes) -> None:
    passed_on = asyncio.Event()

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await passed_on.wait()
        reset_transport(writer)

    origin.script = cut
    client = await proxy.connect()
    await client.send(ask)
    await until(lambda: any(sender._exchange and sender._exchange.record.sent for sender in proxy.downstreams))
    passed_on.set()
    assert not await is_whole(client)
    assert proxy.traffic.upstream_errors == {("a", "base", "truncated"): 1}
    assert proxy.traffic.exchanges["a"]["base"].statuses == {200: 1}


@on_both_loops
@pytest.mark.parametrize("ask", [ASK_1_1, ASK_1_0], ids=["to HTTP/1.1", "to HTTP/1.0"])
async def test_this_programs_own_end_is_no_end(proxy: Proxy, origin: Origin, ask: bytes) -> None:
    passed_on = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"\r\nonly this")
        await passed_on.wait()

    origin.script = hang
    client = await proxy.connect()
    await client.send(ask)
    await until(lambda: any(sender._exchange and sender._exchange.record.sent for sender in proxy.downstreams))
    await proxy.listener.close()
    assert not await is_whole(client)
    assert (proxy.traffic.in_flight, proxy.traffic.exchanges["a"]["base"].statuses) == (0, {200: 1})
    passed_on.set()


@contextlib.contextmanager
def speaking_tls(authority: trustme.CA, end: Callable[[ssl.SSLSocket], object], size: int) -> Iterator[int]:
    """An instance in a thread of its own: it answers until its close, which `end` does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                plain, _ = server.accept()
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(HEAD + b"\r\n" + b"x" * size)
                    end(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
    thread.join()


async def behind_tls(
    proxy: Proxy, end: Callable[[ssl.SSLSocket], object], stack: contextlib.ExitStack, size: int
) -> None:
    """Puts the proxy in front of such an instance."""
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    proxy.origins.secure(Secured({"a": UpstreamTLS(context, "", (b"", "", True))}))
    port = stack.enter_context(speaking_tls(authority, end, size))
    proxy.router.snapshot = proxy.snapshot([Instance("127.0.0.1", port)])


@pytest.mark.parametrize("ask", [ASK_1_1, ASK_1_0], ids=["to HTTP/1.1", "to HTTP/1.0"])
@pytest.mark.parametrize(
    ("end", "errors"),
    [
        pytest.param(lambda connection: connection.unwrap(), {}, id="with close_notify"),
        pytest.param(lambda connection: None, {("a", "base", "truncated"): 1}, id="without close_notify"),
    ],
)
@on_uvloop
async def test_tls_says_whether_its_end_is_one(
    proxy: Proxy,
    origin: Origin,
    end: Callable[[ssl.SSLSocket], object],
    errors: dict[tuple[str, str, str], int],
    ask: bytes,
) -> None:
    """RFC 8446 §6.1: a close without close_notify may be an attacker's. (asyncio's own loop does not tell them apart.)"""
    with contextlib.ExitStack() as stack:
        await behind_tls(proxy, end, stack, 9)
        client = await proxy.connect()
        await client.send(ask.replace(b"x\r\n\r\n", b"x\r\nConnection: close\r\n\r\n"))
        assert await is_whole(client) == (not errors)
    assert proxy.traffic.upstream_errors == errors


def hurry(connection: ssl.SSLSocket) -> None:
    """Says close_notify, and does not wait for the answer to it."""
    connection.settimeout(0)
    with contextlib.suppress(OSError):
        connection.unwrap()


@pytest.mark.parametrize("size", [240_000, 280_000])
@on_uvloop
async def test_an_instance_that_speaks_tls_and_closes_loses_nothing_to_a_slow_reader(
    proxy: Proxy, origin: Origin, size: int
) -> None:
    """Its end comes while nobody reads from it: what the transport has read ahead is not to be thrown away."""
    with contextlib.ExitStack() as stack:
        await behind_tls(proxy, hurry, stack, size)
        client = await proxy.connect()
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: proxy.downstreams)
        (downstream,) = proxy.downstreams
        assert downstream.transport is not None
        buffers = [
            (client.writer.get_extra_info("socket"), socket.SO_RCVBUF),
            (downstream.transport.get_extra_info("socket"), socket.SO_SNDBUF),
        ]
        for sock, buffer in buffers:
            sock.setsockopt(socket.SOL_SOCKET, buffer, 4096)
        await client.send(ASK_1_1)
        await until(lambda: downstream.writes_paused)
        await asyncio.sleep(0.05)  # the instance has closed by then
        for sock, buffer in buffers:
            sock.setsockopt(socket.SOL_SOCKET, buffer, 2**20)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert (await client.answer()).body == b"x" * size
    assert proxy.traffic.upstream_errors == {}
