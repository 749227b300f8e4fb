"""What is spoken to whom: by settings, by metadata, by TLS, and by the request."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.hop import PROTOCOL_KEY, SIDECAR_KEY
from gateway.http.head_reader import build_request
from gateway.instance import Instance
from gateway.proxy.multiplexing import MultiplexedOrigin
from gateway.proxy.origin import Origin
from gateway.proxy.origins import Origins
from gateway.tls.mesh import Secured
from tests.support.origin import Origin as OriginServer
from tests.support.wait import until

GET = build_request("GET", "/x")
CALL = build_request("POST", "/a.B/C", [("Content-Type", "application/grpc")])
SOCKET = build_request("GET", "/x", [("Connection", "Upgrade"), ("Upgrade", "websocket")])
SIDECAR = {SIDECAR_KEY: "a", PROTOCOL_KEY: "h2c"}
ANY: Any = SimpleNamespace(fingerprint="x", multiplexed="both")
OLD: Any = SimpleNamespace(fingerprint="x", multiplexed=None)

MANY, ONE = MultiplexedOrigin, Origin


@pytest.mark.parametrize(
    ("metadata", "tls", "protocol", "get", "call", "socket"),
    [
        ({}, None, None, ONE, MANY, ONE),
        ({"protocol": "http"}, None, None, ONE, ONE, ONE),
        ({"protocol": "grpc"}, None, None, MANY, MANY, MANY),
        (SIDECAR, None, None, MANY, MANY, ONE),
        ({SIDECAR_KEY: "a", "protocol": "grpc"}, None, None, ONE, ONE, ONE),
        ({}, None, "h2c", MANY, MANY, MANY),
        ({"protocol": "grpc"}, None, "http1", ONE, ONE, ONE),
        ({}, ANY, None, MANY, MANY, ONE),
        ({"protocol": "http"}, ANY, None, ONE, ONE, ONE),
        ({"protocol": "grpc"}, ANY, None, MANY, MANY, ONE),
        ({}, ANY, "h2", MANY, MANY, MANY),
        ({}, OLD, None, ONE, ONE, ONE),
        (SIDECAR, ANY, None, MANY, MANY, ONE),
    ],
)
async def test_what_is_spoken(
    metadata: dict[str, str], tls: Any, protocol: str | None, get: type, call: type, socket: type
) -> None:
    origins = Origins()
    origins.secure(Secured({"a": tls} if tls else {}), {"a": protocol} if protocol else {})
    instance = Instance("192.0.2.1", 80, metadata=metadata)
    found = [type(origins.of(instance, "a", request)) for request in (GET, CALL, SOCKET)]
    assert found == [get, call, socket]
    assert origins.of(instance, "a", GET) is origins.of(instance, "a", GET)


async def test_metadata_that_says_secure_is_tls_with_the_systems_authorities() -> None:
    origins = Origins()
    origin = origins.of(Instance("192.0.2.1", 443, metadata={"secure": "true"}), "a", GET)
    assert isinstance(origin, MultiplexedOrigin)
    assert origin._tls is not None
    assert origin._tls.multiplexed is not None


async def test_all_that_is_spoken_at_an_address_is_retired_with_it() -> None:
    origins = Origins()
    instance = Instance("192.0.2.1", 80)
    made = [origins.of(instance, "a", request) for request in (GET, CALL)]
    origins.retire(instance.address)
    assert [origin.is_gone for origin in made] == [True, True]
    assert origins.of(instance, "a", CALL) is not made[1]


@pytest.mark.parametrize("protocol", [None, "h2c"])
async def test_grpc_calls_go_to_the_port_for_them_and_nothing_else_does(protocol: str | None) -> None:
    """As grpc-spring registers it. It is retired with the address that is registered."""
    origins = Origins()
    origins.secure(Secured({}), {"a": protocol} if protocol else {})
    instance = Instance("192.0.2.1", 8080, metadata={"gRPC_port": "9090"})
    made = [origins.of(instance, "a", request) for request in (GET, CALL, SOCKET)]
    assert [origin.address for origin in made] == ["192.0.2.1:8080", "192.0.2.1:9090", "192.0.2.1:8080"]
    assert isinstance(made[1], MultiplexedOrigin)
    assert origins.of(instance, "a", CALL) is made[1]
    origins.retire(instance.address)
    assert [origin.is_gone for origin in made] == [True] * 3
    assert origins.of(instance, "a", CALL) is not made[1]


async def test_metadata_that_says_secure_is_not_about_the_port_for_grpc_but_a_setting_is() -> None:
    origins = Origins()
    instance = Instance("192.0.2.1", 8080, metadata={"gRPC_port": "9090", "secure": "true"})
    assert origins.of(instance, "a", CALL)._tls is None
    origins.secure(Secured({"a": ANY}))
    assert origins.of(instance, "a", CALL)._tls is ANY


async def test_requests_are_counted_at_their_address_whatever_is_spoken_there(origin: OriginServer) -> None:
    """And those that wait for a connection, too: who cannot keep up has them."""
    origins = Origins(limit=1)
    instance = Instance("127.0.0.1", origin.ports["base"])
    address = instance.address
    plain, multiplexed = (origins.of(instance, "a", request) for request in (GET, CALL))
    upstream = await plain.acquire(30.0)
    waiting = asyncio.create_task(plain.acquire(30.0))
    await until(lambda: plain.waiting == 1)
    assert (origins.in_flight(address), origins.requests()) == (2, {address: 2})
    plain.release(upstream, 0.0)
    assert await waiting is upstream
    assert origins.in_flight(address) == 1
    origins.retire(address)  # gone, and still at work
    assert (origins.in_flight(address), origins.requests()) == (0, {address: 1})
    upstream.close()
    assert multiplexed.requests == 0
