"""`gateway sidecar` beside a lane-ignorant service, with the embedded registry: registration, carriers, trace memory."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.demo.processes import free_port
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Lease, ServiceKey
from tests.support.origin import Origin
from tests.support.process import Program, get_json
from tests.support.wait import until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Sidecar(Program):
    """The sidecar of service `b`, whose app is the origin's `base` port; service `c` is the origin, both pools."""

    def __init__(self, folder: Path, origin: Origin, registry: EmbeddedRegistry, tag: str = "base") -> None:
        super().__init__(folder)
        self.inbound, self.outbound, self.admin = free_port(), free_port(), free_port()
        self.write(
            "sidecar.yaml",
            {
                "service": "b",
                "tag": tag,
                "app": f"127.0.0.1:{origin.ports['base']}",
                "inbound": f"127.0.0.1:{self.inbound}",
                "outbound": f"127.0.0.1:{self.outbound}",
                "admin": f"127.0.0.1:{self.admin}",
                "metadata": {"version": "2", "preserved.heart.beat.interval": "200"},
                "registry": {"kind": "nacos", "address": registry.address, "interval": "100ms"},
                "drain": {"delay": "300ms"},
            },
        )
        now = asyncio.get_running_loop().time() + 1000
        for port, metadata in ((origin.ports["base"], {}), (origin.ports["gray"], {"gray.tag": "gray"})):
            registry.store.register(ServiceKey.of("", "", "c"), Lease("127.0.0.1", port, metadata=metadata), now)

    async def run(self) -> None:
        await self.start("sidecar", "-c", "sidecar.yaml")
        await self.wait_ok(self.admin)

    async def call(self, port: int, *headers: tuple[str, str], host: str = "c", target: str = "/x") -> tuple[int, str]:
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}{target}", headers=[("Host", host), *headers]) as response:
                return response.status, await response.text()

    async def serve(self, *headers: tuple[str, str]) -> None:
        """An inbound request."""
        assert (await self.call(self.inbound, *headers, host="b"))[0] == 200

    async def reach(self, *headers: tuple[str, str]) -> str:
        """Which pool of `c` an outbound call reaches."""
        return (await self.call(self.outbound, *headers))[1].split()[0]


@pytest.fixture
async def sidecar(tmp_path: Path, origin: Origin, registry: EmbeddedRegistry) -> AsyncIterator[Sidecar]:
    sidecar = Sidecar(tmp_path, origin, registry)
    await sidecar.run()
    yield sidecar
    await sidecar.close()


def traceparent(trace: str = TRACE, span: str = "00f067aa0ba902b7") -> tuple[str, str]:
    return "traceparent", f"00-{trace}-{span}-01"


async def test_registers_with_tag_and_metadata_and_deregisters_before_it_drains(
    tmp_path: Path, origin: Origin, registry: EmbeddedRegistry
) -> None:
    sidecar = Sidecar(tmp_path, origin, registry, tag="gray")
    key = ServiceKey.of("", "", "b")
    try:
        await sidecar.run()
        (lease,) = registry.store.instances(key)
        assert (lease.host, lease.port) == ("127.0.0.1", sidecar.inbound)
        assert (lease.metadata["version"], lease.metadata["gray.tag"]) == ("2", "gray")
        sidecar.send(signal.SIGTERM)
        await until(lambda: not registry.store.instances(key), "the instance to be deregistered")
        # Peers may not have noticed yet: it still serves.
        await sidecar.serve()
        assert await sidecar.wait() == 0
    finally:
        await sidecar.close()


async def test_registers_again_when_the_registry_has_forgotten_it(sidecar: Sidecar, registry: EmbeddedRegistry) -> None:
    key = ServiceKey.of("", "", "b")
    registry.store.deregister(key, "127.0.0.1", sidecar.inbound, "")
    await until(lambda: registry.store.instances(key), "the heartbeat to find out")


async def test_the_tag_goes_from_carrier_to_carrier(sidecar: Sidecar, origin: Origin) -> None:
    """One that survives heals the others."""
    assert await sidecar.reach(("x-gray-tag", "gray")) == "gray"
    assert origin.header("baggage") == "x-gray-tag=gray"
    assert await sidecar.reach(("baggage", "user=1,x-gray-tag=gray")) == "gray"
    assert (origin.header("x-gray-tag"), origin.header("baggage")) == ("gray", "user=1,x-gray-tag=gray")
    assert await sidecar.reach() == "base"
    assert (origin.header("x-gray-tag"), origin.header("baggage")) == (None, None)
    # No carrier is believed that cannot be a tag.
    assert await sidecar.reach(("x-gray-tag", "gr,ay")) == "base"
    assert origin.header("x-gray-tag") is None
    assert await sidecar.reach(("x-gray-tag", "base")) == "base"


@pytest.mark.parametrize(
    "carrier",
    [
        pytest.param(traceparent(), id="traceparent"),
        pytest.param(("b3", f"{TRACE}-00f067aa0ba902b7-1"), id="b3"),
        pytest.param(("x-b3-traceid", TRACE), id="x-b3-traceid"),
        pytest.param(("x-request-id", "7f1b2c3d-aaaa-bbbb-cccc-1234567890ab"), id="x-request-id"),
    ],
)
async def test_a_service_that_forwards_only_its_trace_id_stays_in_its_lane(
    sidecar: Sidecar, origin: Origin, carrier: tuple[str, str]
) -> None:
    await sidecar.serve(carrier, ("x-gray-tag", "gray"))
    assert origin.header("x-gray-tag") == "gray"
    assert await sidecar.reach(carrier) == "gray"
    assert origin.header("x-gray-tag") == "gray"
    assert await sidecar.reach() == "base"


async def test_a_new_span_of_the_trace_counts_too(sidecar: Sidecar) -> None:
    await sidecar.serve(traceparent(), ("x-gray-tag", "gray"))
    assert await sidecar.reach(traceparent(span="aaaaaaaaaaaaaaaa")) == "gray"
    assert await sidecar.reach(traceparent(trace="a" * 32)) == "base"


async def test_an_unmarked_request_of_the_same_trace_is_unmarked(sidecar: Sidecar) -> None:
    await sidecar.serve(traceparent(), ("x-gray-tag", "gray"))
    await sidecar.serve(traceparent())
    assert await sidecar.reach(traceparent()) == "base"


async def test_traffic_that_starts_at_a_gray_instance_is_gray(
    tmp_path: Path, origin: Origin, registry: EmbeddedRegistry
) -> None:
    sidecar = Sidecar(tmp_path, origin, registry, tag="gray")
    try:
        await sidecar.run()
        assert await sidecar.reach() == "gray"
        assert origin.header("x-gray-tag") == "gray"
    finally:
        await sidecar.close()


async def test_as_a_plain_http_proxy(sidecar: Sidecar, origin: Origin) -> None:
    """HTTP_PROXY: the absolute form names the service, whatever Host says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.outbound)
    writer.write(b"GET http://c/x?y=1 HTTP/1.1\r\nHost: elsewhere\r\nx-gray-tag: gray\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.endswith(b"gray GET /x?y=1")
    assert origin.header("host") == "c"


async def test_a_service_nobody_knows_is_503(sidecar: Sidecar) -> None:
    status, text = await sidecar.call(sidecar.outbound, host="nobody")
    assert (status, "service nobody has no instances" in text) == (503, True)


async def test_new_instances_of_a_callee_are_noticed(
    sidecar: Sidecar, origin: Origin, registry: EmbeddedRegistry
) -> None:
    assert await sidecar.reach(("x-gray-tag", "gray")) == "gray"
    registry.store.deregister(ServiceKey.of("", "", "c"), "127.0.0.1", origin.ports["gray"], "")
    async with asyncio.timeout(10):
        while await sidecar.reach(("x-gray-tag", "gray")) != "base":
            await asyncio.sleep(0.02)
    assert origin.header("x-gray-tag") == "gray"
    services = (await get_json(sidecar.admin, "/api/v1/services"))["services"]
    assert [(service["service"], service["state"]) for service in services] == [("c", "fresh")]
    status = await get_json(sidecar.admin, "/api/v1/status")
    assert (status["role"], status["service"], status["registered"]) == ("sidecar", "b", True)


async def test_names_that_nobody_serves_are_not_watched_for_ever(sidecar: Sidecar) -> None:
    assert await sidecar.reach() == "base"
    for number in range(70):
        assert (await sidecar.call(sidecar.outbound, host=f"nobody-{number}"))[0] == 503
    watched = {item["service"] for item in (await get_json(sidecar.admin, "/api/v1/services"))["services"]}
    assert len(watched) == 65
    assert {"c", "nobody-69"} <= watched
    assert "nobody-0" not in watched
    assert (await sidecar.call(sidecar.outbound, host="nobody-0"))[0] == 503
    assert await sidecar.reach() == "base"
