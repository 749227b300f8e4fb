"""Calls to the API server over TLS: how they end, under which name it is verified, and through which proxy."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from gateway.kubernetes.access import Access, open_access
from gateway.kubernetes.client import ApiClient
from gateway.kubernetes.credentials import NoCredentials
from gateway.kubernetes.errors import ApiError
from tests.unit.kubernetes.test_access import kubeconfig

AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)
TRUST = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())


def tls_of(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    return context


class Mute:
    """Takes one request over TLS, says what `head` is, and nothing more: it does not even say good-bye."""

    def __init__(self, head: bytes) -> None:
        self.asked = threading.Event()
        self._head = head
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        tls = tls_of("127.0.0.1").wrap_socket(connection, server_side=True)
        tls.recv(65536)
        tls.sendall(self._head)
        self.asked.set()
        self._over.wait(30)
        tls.close()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._listener.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"


@pytest.mark.parametrize("kind", ["watch", "call"])
@pytest.mark.parametrize("head", [b"", HEAD], ids=["before the head", "before the body"])
def test_a_request_that_is_cancelled_leaves_nothing_open(kind: str, head: bytes) -> None:
    """Though the server never answers the end of TLS: what were left open would be a ResourceWarning, which fails the test."""
    server = Mute(head)

    async def cancelled() -> None:
        client = ApiClient(Access(f"https://127.0.0.1:{server.port}", TRUST, NoCredentials(), "shop"))

        async def follow() -> None:
            async with aclosing(client.watch("/x", {})) as events:
                async for _ in events:
                    pass

        task = asyncio.create_task(follow() if kind == "watch" else _call(client))
        await asyncio.to_thread(server.asked.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.close()

    asyncio.run(cancelled())
    gc.collect()
    server.close()


async def _call(client: ApiClient) -> None:
    await client.call("GET", "/x")


@asynccontextmanager
async def serving(*names: str) -> AsyncIterator[int]:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.json_response({"kind": "Here"}, status=200 if request.path == "/x" else 404)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls_of(*names)).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def access(tmp_path: Path, port: int, **cluster: str) -> Access:
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.cert_pem.bytes())
    found = {"server": f"https://127.0.0.1:{port}", "certificate-authority": "ca.crt", **cluster}
    return open_access(kubeconfig(tmp_path, found))


async def test_the_server_is_verified_by_the_name_that_the_kubeconfig_says(tmp_path: Path) -> None:
    async with serving("kubernetes.default.svc") as port:
        client = ApiClient(access(tmp_path, port, **{"tls-server-name": "kubernetes.default.svc"}))
        assert await client.call("GET", "/x") == {"kind": "Here"}
        await client.close()
        other = ApiClient(access(tmp_path, port))
        with pytest.raises(ApiError, match="cannot reach"):
            await other.call("GET", "/x")
        await other.close()


async def test_calls_share_a_connection_whatever_their_status(tmp_path: Path) -> None:
    async with serving("127.0.0.1") as port:
        client = ApiClient(access(tmp_path, port))
        await client.call("GET", "/x")
        assert client._session is not None
        assert client._session.connector is not None
        (kept,) = [proto for conns in client._session.connector._conns.values() for proto, _ in conns]
        with pytest.raises(ApiError):
            await client.call("GET", "/y")
        assert [proto for conns in client._session.connector._conns.values() for proto, _ in conns] == [kept]
        await client.close()


async def test_the_server_is_reached_through_the_proxy_that_the_kubeconfig_says(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")

        async def copy(one: asyncio.StreamReader, other: asyncio.StreamWriter) -> None:
            while data := await one.read(65536):
                other.write(data)
            other.close()

        await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)
        ended.set()

    ended = asyncio.Event()
    async with serving("127.0.0.1") as port:
        proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        url = f"http://user:secret@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        client = ApiClient(access(tmp_path, port, **{"proxy-url": url}))
        assert await client.call("GET", "/x") == {"kind": "Here"}
        await client.close()
        await ended.wait()
        proxy.close()
    (head,) = heads
    assert head.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n" in head
