"""TLS from clients and to services, with certificates of a CA made for the test."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509

from tests.support.gateway import RULES, Gateway
from tests.support.origin import Origin
from tests.support.process import get_json

CA = trustme.CA()
OTHER_CA = trustme.CA()
GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def issue(folder: Path, name: str, *identities: str) -> dict[str, str]:
    """A certificate in files `name`.crt and .key, as the configuration names it."""
    certificate = CA.issue_cert(*identities)
    (folder / f"{name}.crt").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    return {"cert": f"{name}.crt", "key": f"{name}.key"}


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    """Speaks TLS for shop.example and *.api.example; the parameter is how many workers it has."""
    gateway = Gateway(tmp_path, origin)
    gateway.config["workers"] = getattr(request, "param", 1)
    shop, api = issue(tmp_path, "shop", "shop.example"), issue(tmp_path, "api", "*.api.example")
    gateway.config["tls"] = {"certificates": [shop, api]}
    await gateway.run()
    yield gateway
    await gateway.close()


async def connect(port: int, name: str, **settings: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    for key, value in settings.items():
        setattr(context, key, value)
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)


async def serial(port: int, name: str) -> int:
    """The serial number of the certificate shown for a name, which must be verified."""
    _, writer = await connect(port, name)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(certificate).serial_number


async def ask(port: int, name: str = "shop.example") -> bytes:
    reader, writer = await connect(port, name)
    writer.write(GET)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("gateway", [1, 2], indirect=True)
async def test_clients_speak_tls_and_services_are_told(gateway: Gateway, origin: Origin) -> None:
    assert (await ask(gateway.port)).endswith(b"base GET /x")
    assert origin.header("x-forwarded-proto") == "https"


async def test_the_certificate_is_chosen_by_name(gateway: Gateway) -> None:
    shop, api = await serial(gateway.port, "shop.example"), await serial(gateway.port, "v1.api.example")
    assert shop != api
    with pytest.raises(ssl.SSLCertVerificationError):
        await serial(gateway.port, "a.b.api.example")  # `*` is one label: it gets the first certificate


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_old_versions_and_plain_text_are_refused(gateway: Gateway, origin: Origin) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await connect(gateway.port, "shop.example", maximum_version=ssl.TLSVersion.TLSv1_1)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(GET)
    assert b"200" not in await reader.read()
    writer.close()
    assert origin.connections == 0


async def test_a_tunnel_delivers_what_was_sent_before_it_closed(gateway: Gateway, origin: Origin) -> None:
    """TLS has no half-close: a client that closes has said all that it will."""
    received = 0
    ended = asyncio.Event()

    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        while data := await reader.read(65536):
            received += len(data)
        ended.set()

    origin.script = switch
    reader, writer = await connect(gateway.port, "shop.example")
    writer.write(b"GET /A/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 101 ")
    writer.write(b"a" * 5_000_000)
    writer.close()
    await asyncio.wait_for(ended.wait(), 20)
    assert received == 5_000_000


async def agreed(port: int, *offered: str) -> str | None:
    """The protocol that the handshake chooses of those that the client offers."""
    context = ssl.create_default_context()
    CA.configure_trust(context)
    context.set_alpn_protocols(list(offered))
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="v1.api.example")
    chosen: str | None = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    writer.close()
    return chosen


async def test_a_reload_does_not_promise_a_protocol_that_is_not_spoken_yet(tmp_path: Path, origin: Origin) -> None:
    """New certificates are used at once; whether HTTP/2 is spoken is settled at the start."""
    gateway = Gateway(tmp_path, origin)
    gateway.config |= {"tls": {"certificates": [issue(tmp_path, "api", "*.api.example")]}, "http2": {"enabled": False}}
    await gateway.run()
    try:
        assert await agreed(gateway.port, "h2", "http/1.1") == "http/1.1"
        gateway.config["http2"] = {"enabled": True}
        gateway.write("gateway.yaml", gateway.config)
        await gateway.wait_revision(2)
        assert await agreed(gateway.port, "h2", "http/1.1") == "http/1.1"
    finally:
        await gateway.close()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (["h2"], "h2"), (["spdy/3"], None)],
)
async def test_the_best_protocol_that_the_client_has_is_agreed_on(
    gateway: Gateway, offered: list[str], chosen: str | None
) -> None:
    assert await agreed(gateway.port, *offered) == chosen


@pytest.mark.parametrize("gateway", [1, 2], indirect=True)
async def test_new_certificates_are_used_without_losing_a_connection(gateway: Gateway) -> None:
    before = await serial(gateway.port, "shop.example")
    reader, writer = await connect(gateway.port, "shop.example")
    issue(gateway.folder, "shop", "shop.example")
    async with asyncio.timeout(20):
        while await serial(gateway.port, "shop.example") == before:
            await asyncio.sleep(0.02)
    writer.write(GET)
    assert (await reader.read()).endswith(b"base GET /x")
    writer.close()


async def test_files_that_do_not_fit_keep_the_old_ones(gateway: Gateway) -> None:
    before = await serial(gateway.port, "shop.example")
    (gateway.folder / "shop.key").write_bytes((gateway.folder / "api.key").read_bytes())
    errors = await gateway.wait_reload_error()
    assert "tls.certificates.0: " in errors[0]
    assert "is not the key of" in errors[0]
    assert await serial(gateway.port, "shop.example") == before


async def test_when_certificates_expire_can_be_seen(gateway: Gateway) -> None:
    from aiohttp import ClientSession

    async with ClientSession() as session, session.get(f"http://127.0.0.1:{gateway.admin}/metrics") as response:
        text = await response.text()
    assert text.count("gateway_tls_certificate_expiry_timestamp_seconds{") == 2


@pytest.mark.parametrize(
    ("identity", "settings", "problem"),
    [
        pytest.param("127.0.0.1", {"ca": "ca.pem"}, "", id="by address"),
        pytest.param("billing.internal", {"ca": "ca.pem", "server_name": "billing.internal"}, "", id="by name"),
        pytest.param("billing.internal", {"ca": "ca.pem"}, "IP address mismatch", id="for another name"),
        pytest.param("127.0.0.1", {"ca": "other.pem"}, "unable to get local issuer", id="of another CA"),
        pytest.param("127.0.0.1", {}, "unable to get local issuer", id="not of the system's CAs"),
        pytest.param("other.internal", {"verify": False}, "", id="whatever it is"),
    ],
)
async def test_services_are_verified(tmp_path: Path, identity: str, settings: dict[str, object], problem: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert(identity).configure_cert(context)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    origin = Origin()
    origin.ports = {"base": port, "gray": 1}
    gateway = Gateway(tmp_path, origin)
    CA.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    OTHER_CA.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    gateway.config["services"] = {"a": {"tls": settings}}
    try:
        await gateway.run()
        text = await gateway.ask("/A/x")
        assert (text == "secure") == (not problem), text
        if problem:
            assert '"code": "tls_failed"' in text
            assert problem in text
    finally:
        await gateway.close()
        server.close()


async def test_a_configuration_with_bad_files_says_which(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.config["tls"] = {"certificates": [{"cert": "no.crt", "key": "no.key"}]}
    gateway.config["services"] = {"a": {"tls": {"ca": "rules/gray.yaml"}}}
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    await gateway.start("serve", "-c", "gateway.yaml")
    assert await gateway.wait() == 3
    log = gateway.log.read_text()
    assert f"tls.certificates.0: cannot read '{tmp_path}/no.crt': No such file or directory" in log
    assert "services.a.tls.ca: cannot use the CA file" in log
    assert "it is not a PEM file of certificates" in log


async def test_the_status_shows_the_revision_of_renewed_certificates(gateway: Gateway) -> None:
    issue(gateway.folder, "shop", "shop.example")
    await gateway.wait_revision(2)
    assert (await get_json(gateway.admin, "/api/v1/status"))["last_reload_error"] is None


@pytest.mark.parametrize("gateway", [2], indirect=True)
async def test_a_worker_without_its_certificate_does_not_serve_in_plain_text(gateway: Gateway) -> None:
    key = gateway.folder / "shop.key"
    sound = key.read_bytes()
    key.write_bytes((gateway.folder / "api.key").read_bytes())
    await gateway.wait_reload_error()  # both workers go on with what they have
    victim = (await workers(gateway))[0]["pid"]
    os.kill(victim, signal.SIGKILL)
    async with asyncio.timeout(30):
        # Its successors find no key, and end.
        while gateway.log.read_text().count("ended: exit code 3; starting another") < 2:
            await asyncio.sleep(0.02)
        assert "is not the key of" in gateway.log.read_text()
        key.write_bytes(sound)
        while not all(worker["serving"] for worker in await workers(gateway)):
            await asyncio.sleep(0.02)
        for _ in range(8):
            assert (await ask(gateway.port)).endswith(b"base GET /x")


async def workers(gateway: Gateway) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await get_json(gateway.admin, "/api/v1/status"))["workers"]
    return found
