"""TLS to servers that verify their clients, and whose certificate is not for their address."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from gateway.errors import RegistryError
from gateway.facade.passing import Passing
from gateway.registry.http import RegistryHttp
from gateway.registry.nacos.client import TlsContexts
from gateway.registry.nacos.rpc import RpcClient
from gateway.settings.nacosports import PORT_OFFSET
from gateway.settings.servers import ServerSettings
from gateway.tls.contexts import CertificateError
from gateway.tls.servers import server_tls, tls_nonsense
from tests.support.certificates import Authority

NAME = "registry.internal"


class Server:
    """Serves HTTP, with the certificate of a name, to clients that show one of the same CA."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority()
        self.ca = self.authority.trust(folder)
        own = self.authority.issue(folder, "server", NAME)
        self.client = self.authority.issue(folder, "client", "gateway.internal")
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.context.load_cert_chain(own["cert"], own["key"])

    async def start(self) -> None:
        self._runner = web.AppRunner(web.Application(), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.context)
        await site.start()
        self.address = f"127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]

    def settings(self, **values: Any) -> ServerSettings:
        given = {"scheme": "https", "ca": self.ca, **self.client, "server_name": NAME, **values}
        return ServerSettings.model_validate({key: value for key, value in given.items() if value is not None})

    async def close(self) -> None:
        await self._runner.cleanup()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    await server.start()
    yield server
    await server.close()


@pytest.mark.parametrize(
    ("values", "reaches"),
    [
        ({}, True),
        ({"cert": None, "key": None}, False),
        ({"server_name": None}, False),
        ({"server_name": "another.internal"}, False),
        ({"ca": None}, False),
    ],
    ids=["all of it", "without a certificate", "the address's name", "another name", "the system's CAs"],
)
async def test_a_server_that_verifies_its_clients_is_reached(
    server: Server, values: dict[str, Any], reaches: bool
) -> None:
    http = RegistryHttp([server.address], scheme="https", tls=server_tls(server.settings(**values)))
    if reaches:
        assert (await http.call("GET", "/x")).status == 404
    else:
        with pytest.raises(RegistryError) as error:
            await http.call("GET", "/x")
        assert error.value.reason == "unreachable"
    await http.close()


@pytest.mark.parametrize("has_certificate", [True, False])
async def test_so_it_is_over_grpc(server: Server, has_certificate: bool) -> None:
    """The protocol's name is another one: the terms are the same."""
    received = b""
    names: list[str | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        received = await reader.read(24)
        writer.close()

    server.context.set_alpn_protocols(["h2"])
    server.context.sni_callback = lambda _, name, __: names.append(name)
    serving = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server.context)
    port = serving.sockets[0].getsockname()[1]
    values = {} if has_certificate else {"cert": None, "key": None}
    contexts = TlsContexts.load(server.settings(**values))
    assert contexts is not None

    async def token(_: str | None) -> str:
        return ""

    client = RpcClient([f"127.0.0.1:{port - PORT_OFFSET}"], "naming", "", token, contexts.grpc)
    with pytest.raises(RegistryError):
        await client.connection()
    assert (set(names), received[:3]) == ({NAME}, b"PRI" if has_certificate else b"")
    await client.close()
    serving.close()


async def test_what_an_application_asks_through_the_facade_goes_the_same_way(server: Server) -> None:
    passing = Passing([server.address], server_tls(server.settings()))
    response = await passing._exchange(f"https://{server.address}/x", "GET", [], b"")
    assert response.status == 404
    await passing.close()


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="`cert` and `key` belong together"):
        ServerSettings(scheme="https", cert="/a.pem")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"cannot read '/nowhere\.pem'"):
        server_tls(ServerSettings(scheme="https", cert="/nowhere.pem", key="/nowhere.key"))


def test_in_plain_text_nothing_is_shown_or_verified() -> None:
    plain = ServerSettings(ca="/a.pem", server_name="x")
    assert server_tls(plain) is None
    assert [name for name, _ in tls_nonsense(plain)] == ["ca", "server_name"]
    assert (plain.tls_files, tls_nonsense(ServerSettings(scheme="https", ca="/a.pem"))) == ([], [])
