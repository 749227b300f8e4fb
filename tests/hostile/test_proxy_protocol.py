"""Who says whose connection it is: load balancers that are trusted, and nobody else."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trustme

from gateway.proxy.proxied import ProxiedServer
from gateway.tls.certificates import Certificate, ListenerTLS
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until
from tests.unit.http.test_proxyheader import block

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\nx-gray-tag: gray\r\n\r\n"
V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 4444 443\r\n"
V2 = block("192.0.2.1", "198.51.100.1", extra=b"\x03\0\x04abcd")


@pytest.fixture
async def entry(origin: Origin) -> AsyncIterator[Proxy]:
    """An entry that reads headers of the PROXY protocol from loopback."""
    proxy = Proxy()
    proxy.trust_loopback()
    proxy.reads_proxy_header = True
    await proxy.start(origin)
    yield proxy
    await proxy.close()


def server_of(entry: Proxy) -> ProxiedServer:
    server = entry.listener._peeking[0]
    assert isinstance(server, ProxiedServer)
    return server


def has_read(server: ProxiedServer, size: int) -> bool:
    return [len(seen) for seen in server._headers.values()] == [size]


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_the_client_that_is_named_is_the_client_and_no_proxy(entry: Proxy, origin: Origin, header: bytes) -> None:
    client = await entry.connect()
    await client.send(header + GET)
    # It is not trusted itself: neither its tag nor who it claims to speak for is believed.
    assert (await client.answer()).body == b"base GET /x"
    assert origin.header("x-forwarded-for") == "192.0.2.1"
    await client.send(GET)
    assert (await client.answer()).body == b"base GET /x"


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_a_header_may_come_in_any_pieces(entry: Proxy, origin: Origin, header: bytes) -> None:
    client = await entry.connect()
    data = header + GET
    server = server_of(entry)
    for number in range(len(header)):
        await client.send(data[number : number + 1])
        if number < len(header) - 1:
            await until(partial(has_read, server, number + 1))
    await client.send(data[len(header) :])
    assert (await client.answer()).body == b"base GET /x"
    assert origin.header("x-forwarded-for") == "192.0.2.1"


async def test_a_health_check_of_the_load_balancer_is_its_own(entry: Proxy, origin: Origin) -> None:
    client = await entry.connect()
    await client.send(b"PROXY UNKNOWN\r\n" + GET)
    assert (await client.answer()).body.startswith(b"gray")
    assert origin.header("x-forwarded-for") == "6.6.6.6, 127.0.0.1"


@pytest.mark.parametrize("data", [GET, b"PROXY TCP4 1.2.3.4\r\n" + GET, b"\x16\x03\x01"], ids=["none", "bad", "TLS"])
async def test_a_trusted_client_without_a_sound_header_gets_nothing(entry: Proxy, origin: Origin, data: bytes) -> None:
    client = await entry.connect()
    await client.send(data)
    assert not await client.is_open()
    assert (entry.traffic.refused, origin.connections) == ({"bad_proxy_header": 1}, 0)


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
async def test_who_is_not_trusted_cannot_say_that_it_is_somebody_else(
    entry: Proxy, origin: Origin, header: bytes
) -> None:
    entry.router._trusted = ()
    client = await entry.connect()
    await client.send(header + GET)
    assert (await client.answer()).status == 400
    assert origin.connections == 0
    await (plain := await entry.connect()).send(GET)
    assert (await plain.answer()).body == b"base GET /x"
    assert origin.header("x-forwarded-for") == "127.0.0.1"


async def test_one_that_does_not_finish_its_header_is_closed(entry: Proxy) -> None:
    client = await entry.connect()
    await client.send(V1[:10])
    server = server_of(entry)
    await until(lambda: bool(server._headers))
    entry.listener._drop_silent(float("inf"))
    assert not await client.is_open()
    assert (server._headers, server.silent) == ({}, 0)


async def test_the_header_comes_before_tls(tmp_path: Path, origin: Origin) -> None:
    certificate = trustme.CA().issue_cert("shop.example")
    cert, key = tmp_path / "cert", tmp_path / "key"
    certificate.cert_chain_pems[0].write_to_path(str(cert))
    certificate.private_key_pem.write_to_path(str(key))
    proxy = Proxy()
    proxy.trust_loopback()
    proxy.reads_proxy_header = True
    proxy.scheme = "https"
    proxy.tls = ListenerTLS([Certificate(str(cert), str(key))])
    await proxy.start(origin)
    client = await proxy.connect()
    await client.send(V2)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    await client.writer.start_tls(context, server_hostname="shop.example")
    await client.send(GET)
    assert (await client.answer()).body == b"base GET /x"
    assert (origin.header("x-forwarded-for"), origin.header("x-forwarded-proto")) == ("192.0.2.1", "https")
    await proxy.close()
