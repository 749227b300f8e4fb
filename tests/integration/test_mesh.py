"""Mutual TLS between an entry gateway and sidecars: who is called so, who is served, and what an application learns of it.

Both planes run in the test's process, over real sockets, with real certificates.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app.build import Build
from gateway.app.entry_plane import EntryPlane
from gateway.app.sidecar_plane import SidecarPlane
from gateway.hop import MTLS_KEY, PROTOCOL_KEY, SIDECAR_KEY
from gateway.instance import Instance
from gateway.proxy.server import bind
from gateway.rules.ruleset import RuleSet
from gateway.tags import BASE
from tests.support.certificates import Authority
from tests.support.origin import Origin
from tests.support.proxy import Client
from tests.support.roles import gateway_settings, sidecar_settings
from tests.support.wait import until

IDENTITY = "spiffe://mesh.example/sa/{service}"
ENTRY = "spiffe://mesh.example/gateway"
CA = Authority()
GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"


class Chain:
    """An entry gateway, and the sidecar of an instance of service `b`, whose application is the origin."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.folder = folder
        self.ca = CA.trust(folder)
        self._origin = origin
        self._clients: list[Client] = []
        self.entry_mesh: dict[str, Any] | None = self.mesh("entry", ENTRY)
        self.sidecar_mesh: dict[str, Any] | None = self.mesh("b", IDENTITY.format(service="b"))
        self.services: dict[str, Any] = {}
        self.http2 = True

    def mesh(self, file: str, *names: str, authority: Authority = CA, **more: Any) -> dict[str, Any]:
        return {**authority.issue(self.folder, file, *names), "ca": self.ca, "identity": IDENTITY, **more}

    async def start(self, announces: bool = True) -> None:
        entry = self._entry_settings()
        sidecar = self._sidecar_settings()
        self.sidecar = SidecarPlane(sidecar)
        self.sidecar.configure(1, Build.of(sidecar, RuleSet()))
        inbound, outbound = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        self.port = inbound.getsockname()[1]
        await self.sidecar.listen(inbound, outbound, self._learn)
        self.entry = EntryPlane(entry)
        self.entry.configure(1, Build.of(entry, RuleSet()))
        listening = bind("127.0.0.1", 0)
        self.entry_port = listening.getsockname()[1]
        await self.entry.listen([listening])
        self.list(announces)

    def list(self, announces: bool) -> None:
        metadata = {MTLS_KEY: "true"} if announces else {}
        self.entry.service_changed("b", (Instance("127.0.0.1", self.port, BASE, metadata=metadata),))

    def reload(self) -> None:
        sidecar, entry = self._sidecar_settings(), self._entry_settings()
        self.sidecar.configure(2, Build.of(sidecar, RuleSet()))
        self.entry.configure(2, Build.of(entry, RuleSet()))

    async def ask(self, head: bytes = GET, port: int = 0, tls: ssl.SSLContext | None = None) -> tuple[int, str]:
        """Status, and the first word or the code."""
        client = await self.client(port or self.entry_port, tls)
        await client.send(head)
        answer = await client.answer()
        said = answer.body.decode()
        return answer.status, json.loads(said)["detail"] if said.startswith("{") else said.partition(" ")[0]

    async def client(self, port: int, tls: ssl.SSLContext | None = None) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))
        self._clients.append(client)
        return client

    @property
    def counted(self) -> dict[str, int]:
        return {kind: count for kind, count in self.sidecar.traffic()["inbound"].mesh_requests.items() if count}

    @property
    def handshakes_failed(self) -> int:
        return self.sidecar.traffic()["inbound"].handshakes_failed

    async def close(self) -> None:
        for client in self._clients:
            client.close()
        await self.entry.close()
        await self.sidecar.close()

    def _entry_settings(self) -> Any:
        routes = [{"path": "/A", "service": "b", "strip_prefix": True}]
        registry = {"kind": "static", "services": {"b": []}}
        return gateway_settings(mesh=self.entry_mesh, routes=routes, registry=registry, services=self.services)

    def _sidecar_settings(self) -> Any:
        app = f"127.0.0.1:{self._origin.ports['base']}"
        return sidecar_settings(mesh=self.sidecar_mesh, app=app, http2={"enabled": self.http2})

    async def _learn(self, _: str) -> bool:
        return False


@pytest.fixture
async def chain(tmp_path: Path, origin: Origin) -> AsyncIterator[Chain]:
    chain = Chain(tmp_path, origin)
    yield chain
    await chain.close()


def context(chain: Chain, *names: str, authority: Authority = CA, shows: bool = True) -> ssl.SSLContext:
    """What a client with a certificate of these names speaks."""
    context = ssl.create_default_context(cafile=chain.ca)
    context.check_hostname = False
    if shows:
        pair = authority.issue(chain.folder, "client", *names)
        context.load_cert_chain(pair["cert"], pair["key"])
    return context


async def test_an_instance_that_announces_it_is_called_by_mutual_tls(chain: Chain) -> None:
    await chain.start()
    assert await chain.ask() == (200, "base")
    assert chain.counted == {"mtls": 1}


async def test_what_is_spoken_in_it_is_http2_on_one_connection_for_all(chain: Chain) -> None:
    """As it is without TLS: the sidecar announces it, and ALPN agrees."""
    await chain.start()
    metadata = {MTLS_KEY: "true", SIDECAR_KEY: "b", PROTOCOL_KEY: "h2c"}
    chain.entry.service_changed("b", (Instance("127.0.0.1", chain.port, BASE, metadata=metadata),))
    assert await asyncio.gather(*[chain.ask() for _ in range(20)]) == [(200, "base")] * 20
    inbound = chain.sidecar.traffic()["inbound"]
    assert (inbound.connections, inbound.http2_started, chain.counted) == (1, 20, {"mtls": 20})


async def test_one_that_does_not_is_called_in_plain_text_and_refuses_that(chain: Chain, origin: Origin) -> None:
    await chain.start(announces=False)
    assert await chain.ask() == (403, "this instance serves only callers that it knows by mutual TLS")
    assert (chain.counted, origin.requests) == ({"plain": 1}, [])


async def test_a_permissive_one_serves_both_on_one_port_and_counts_them(chain: Chain) -> None:
    assert chain.sidecar_mesh is not None
    chain.sidecar_mesh["inbound"] = "permissive"
    await chain.start()
    assert await chain.ask() == (200, "base")
    chain.list(announces=False)
    assert await chain.ask() == (200, "base")
    assert chain.counted == {"mtls": 1, "plain": 1}
    # The switch applies at once, and connections that are open are none the freer.
    plain = await chain.client(chain.port)
    await plain.send(GET)
    assert (await plain.answer()).status == 200
    chain.sidecar_mesh["inbound"] = "required"
    chain.reload()
    await plain.send(GET)
    assert (await plain.answer()).status == 403


@pytest.mark.parametrize("where", ["mesh", "service"])
async def test_where_it_is_required_nobody_is_called_in_plain_text(chain: Chain, where: str) -> None:
    assert chain.entry_mesh is not None
    if where == "mesh":
        chain.entry_mesh["outbound"] = "required"
    else:
        chain.services["b"] = {"mtls": "required"}
    await chain.start(announces=False)
    assert await chain.ask() == (200, "base")
    assert chain.counted == {"mtls": 1}


async def test_a_service_may_be_called_in_plain_text_whatever_it_announces(chain: Chain) -> None:
    chain.services["b"] = {"mtls": "never"}
    await chain.start()
    assert (await chain.ask())[0] == 403
    assert chain.counted == {"plain": 1}


async def test_an_instance_of_another_service_gets_nothing(chain: Chain, origin: Origin) -> None:
    """A registry that lists another member of the mesh cannot make it read what is meant for the service."""
    chain.sidecar_mesh = chain.mesh("c", IDENTITY.format(service="c"))
    await chain.start()
    status, detail = await chain.ask()
    assert (status, "is of spiffe://mesh.example/sa/c, not of spiffe://mesh.example/sa/b" in detail) == (502, True)
    assert (chain.counted, origin.requests) == ({}, [])


async def test_an_instance_with_a_certificate_of_another_ca_gets_nothing(chain: Chain, origin: Origin) -> None:
    assert chain.sidecar_mesh is not None
    chain.sidecar_mesh = chain.mesh("b", IDENTITY.format(service="b"), authority=Authority("another"))
    await chain.start()
    assert (await chain.ask())[0] == 502
    assert (chain.counted, origin.requests) == ({}, [])


async def test_a_name_in_dns_identifies_a_service_as_well(chain: Chain) -> None:
    dns = {"identity": "{service}.mesh.example"}
    chain.entry_mesh = {**chain.mesh("entry", "gateway.mesh.example"), **dns}
    chain.sidecar_mesh = {**chain.mesh("b", "b.mesh.example"), **dns}
    await chain.start()
    assert await chain.ask() == (200, "base")


@pytest.mark.parametrize("mode", ["required", "permissive"])
async def test_callers_whose_identity_is_not_admitted_get_403(chain: Chain, origin: Origin, mode: str) -> None:
    assert chain.sidecar_mesh is not None
    chain.sidecar_mesh |= {"peers": [IDENTITY.format(service="a"), "spiffe://mesh.example/ops/*"], "inbound": mode}
    await chain.start()
    assert await chain.ask() == (403, "the certificate's identity is none that `mesh.peers` admits here")
    assert (chain.counted, origin.requests) == ({"stranger": 1}, [])
    for name in (IDENTITY.format(service="a"), "spiffe://mesh.example/ops/someone"):
        assert (await chain.ask(port=chain.port, tls=context(chain, name)))[0] == 200
    assert chain.counted == {"stranger": 1, "mtls": 2}


@pytest.mark.parametrize("mode", ["required", "permissive"])
@pytest.mark.parametrize("shown", ["nothing", "another CA's"])
async def test_a_handshake_without_a_certificate_of_the_mesh_fails_and_is_counted(
    chain: Chain, origin: Origin, mode: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert chain.sidecar_mesh is not None
    chain.sidecar_mesh["inbound"] = mode
    await chain.start()
    tls = context(chain, ENTRY, authority=Authority("another"), shows=shown != "nothing")
    with caplog.at_level(logging.WARNING), pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await chain.ask(port=chain.port, tls=tls)
    await until(lambda: chain.handshakes_failed == 1, "the handshake to fail")
    assert "inbound: the TLS handshake with 127.0.0.1 failed: " in caplog.text
    assert (chain.counted, origin.requests) == ({}, [])


@pytest.mark.parametrize("http2", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_instance_that_refuses_our_certificate_is_named_and_another_is_tried(
    chain: Chain, origin: Origin, http2: bool, method: str
) -> None:
    """In TLS 1.3 it says so when the handshake is over on our side, and a request is on its way."""
    chain.entry_mesh = chain.mesh("entry", ENTRY, authority=Authority("another"))
    chain.http2 = http2
    await chain.start()
    metadata = {MTLS_KEY: "true", SIDECAR_KEY: "b", PROTOCOL_KEY: "h2c" if http2 else "http"}
    chain.entry.service_changed("b", (Instance("127.0.0.1", chain.port, BASE, metadata=metadata),))
    post = b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    head = GET if method == "GET" else post
    status, detail = await chain.ask(head)
    assert (status, detail.partition(" failed: ")[2]) == (502, "the instance refuses our certificate (unknown ca)")
    assert chain.entry.traffic.upstream_errors == {("b", "base", "certificate_refused"): 1}
    await until(lambda: chain.handshakes_failed == 1, "the sidecar to note it")
    app = origin.ports["base"]
    chain.entry.service_changed(
        "b", (Instance("127.0.0.1", chain.port, BASE, metadata=metadata), Instance("127.0.0.1", app, BASE))
    )
    for _ in range(2):
        assert await chain.ask(head) == (200, "base")
    assert set(chain.entry.traffic.retries) == {("b", "certificate_refused")}


@pytest.mark.parametrize("protocol", ["h2", "http1"])
async def test_a_server_that_wants_a_certificate_and_is_shown_none_is_named(chain: Chain, protocol: str) -> None:
    """A server that is not ours, by the services' own TLS."""
    pair = CA.issue(chain.folder, "server", "b.example")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=chain.ca)
    tls.load_cert_chain(pair["cert"], pair["key"])
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.set_alpn_protocols(["h2", "http/1.1"])
    listening = socket.create_server(("127.0.0.1", 0))
    chain.entry_mesh = None
    chain.services["b"] = {"tls": {"ca": chain.ca, "server_name": "b.example"}, "protocol": protocol}
    await chain.start()
    chain.entry.service_changed("b", (Instance("127.0.0.1", listening.getsockname()[1], BASE),))

    def refuse() -> str:
        connection, _ = listening.accept()
        with connection.dup() as spare:
            with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
                tls.wrap_socket(connection, server_side=True)
            while spare.recv(65536):
                pass
        return "refused"

    # In a thread, as any server that is not asyncio's: those close without a word. With a request unread, a reset may destroy the alert.
    (status, detail), refused = await asyncio.gather(chain.ask(), asyncio.to_thread(refuse))
    assert refused == "refused"
    why = "the instance refuses our certificate (certificate required)"
    assert (status, detail.partition(" failed: ")[2]) == (502, why), detail
    assert chain.entry.traffic.upstream_errors == {("b", "base", "certificate_refused"): 1}
    listening.close()


async def test_new_files_apply_to_new_connections_without_a_restart(chain: Chain) -> None:
    """The CA is exchanged as well: from then on only the new one is trusted, in both directions."""
    await chain.start()
    assert await chain.ask() == (200, "base")
    old = context(chain, ENTRY)
    new = Authority("the next")
    chain.ca = new.trust(chain.folder)
    new.issue(chain.folder, "entry", ENTRY)
    new.issue(chain.folder, "b", IDENTITY.format(service="b"))
    chain.reload()
    assert await chain.ask() == (200, "base")
    assert chain.counted == {"mtls": 2}
    old.verify_mode = ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await chain.ask(port=chain.port, tls=old)


@pytest.mark.parametrize("before", [True, False])
async def test_a_reload_that_changes_whether_http2_is_spoken_waits_for_a_restart_in_tls_too(
    chain: Chain, before: bool
) -> None:
    """What is offered in the handshake is what the listener speaks."""
    chain.http2 = before
    await chain.start()
    chain.http2 = not before
    chain.reload()
    tls = context(chain, ENTRY)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    client = await chain.client(chain.port, tls)
    chosen = client.writer.get_extra_info("ssl_object").selected_alpn_protocol()
    assert chosen == ("h2" if before else "http/1.1")
    assert await chain.ask() == (200, "base")


FORGED = b"GET /A/x HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Client-Cert: By=me\r\n\r\n"


def client_certs(origin: Origin) -> list[bytes]:
    return [value for name, value in origin.requests[-1][1].headers if name == b"x-forwarded-client-cert"]


async def test_an_application_is_told_who_calls_if_it_is_to_be(chain: Chain, origin: Origin) -> None:
    """By its sidecar alone: what a caller says of itself is removed."""
    assert chain.sidecar_mesh is not None
    chain.sidecar_mesh |= {"forward_client_cert": True, "inbound": "permissive"}
    await chain.start()
    own = IDENTITY.format(service="b").encode()
    for tls in (context(chain, ENTRY), context(chain, IDENTITY.format(service="a"))):
        assert (await chain.ask(FORGED, chain.port, tls))[0] == 200
        (told,) = client_certs(origin)
        by, digest, uri = told.split(b";")
        assert (by, len(digest)) == (b"By=" + own, len(b"Hash=") + 64)
    assert uri == b"URI=" + IDENTITY.format(service="a").encode()
    assert (await chain.ask(FORGED, chain.port))[0] == 200
    assert client_certs(origin) == []


async def test_what_others_say_of_a_certificate_passes_from_verified_callers_alone(
    chain: Chain, origin: Origin
) -> None:
    assert chain.sidecar_mesh is not None
    chain.sidecar_mesh["inbound"] = "permissive"
    await chain.start()
    assert (await chain.ask(FORGED, chain.port, context(chain, ENTRY)))[0] == 200
    assert client_certs(origin) == [b"By=me"]
    assert (await chain.ask(FORGED, chain.port))[0] == 200
    assert client_certs(origin) == []


async def test_a_connection_that_says_nothing_ends_a_drain_no_later_than_another(chain: Chain) -> None:
    await chain.start()
    silent = await chain.client(chain.port)
    assert await chain.sidecar.drain_inbound(0.0, 10.0)
    assert await silent.reader.read() == b""


async def test_what_has_connected_before_a_drain_is_served(chain: Chain) -> None:
    await chain.start()
    tls = context(chain, ENTRY)
    opening = asyncio.create_task(chain.client(chain.port, tls))
    await asyncio.sleep(0)
    draining = asyncio.create_task(chain.sidecar.drain_inbound(0.0, 10.0))
    client = await opening
    await client.send(GET)
    assert (await client.answer()).status == 200
    client.close()
    assert await draining
