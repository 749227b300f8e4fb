"""`gateway sidecar` beside a lane-ignorant service, with the embedded registry: registration, carriers, trace memory."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Lease, ServiceKey
from gateway.release.ports import free_port
from gateway.rules.match import CompiledRules
from tests.support.origin import Origin
from tests.support.process import Program, get_json
from tests.support.wait import until, until_found

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NO_RULES = CompiledRules.empty().terms.digest


class Sidecar(Program):
    """The sidecar of service `b`, whose app is the origin's `base` port; service `c` is the origin, both pools."""

    def __init__(
        self, folder: Path, origin: Origin, registry: EmbeddedRegistry, tag: str = "base", app: int = 0
    ) -> None:
        super().__init__(folder)
        self.inbound, self.outbound, self.admin = free_port(), free_port(), free_port()
        self.config: dict[str, Any] = {
            "service": "b",
            "tag": tag,
            "app": f"127.0.0.1:{app or origin.ports['base']}",
            "inbound": f"127.0.0.1:{self.inbound}",
            "outbound": f"127.0.0.1:{self.outbound}",
            "admin": f"127.0.0.1:{self.admin}",
            "metadata": {"version": "2", "preserved.heart.beat.interval": "200"},
            "registry": {"kind": "nacos", "address": registry.address, "interval": "100ms"},
            "drain": {"delay": "300ms"},
        }
        now = asyncio.get_running_loop().time() + 1000
        for port, metadata in ((origin.ports["base"], {}), (origin.ports["gray"], {"gray.tag": "gray"})):
            registry.store.register(ServiceKey.of("", "", "c"), Lease("127.0.0.1", port, metadata=metadata), now)

    async def run(self) -> None:
        await self.start_unready()
        await self.wait_ok(self.admin)

    async def start_unready(self) -> None:
        self.write("sidecar.yaml", self.config)
        await self.start("sidecar", "-c", "sidecar.yaml")

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
    (lease,) = registry.store.instances(key)
    for connection in registry.grpc_connections:
        connection.close()
    await until(lambda: not registry.store.instances(key), "the connection to be gone, and what was registered over it")
    await until(lambda: registry.store.instances(key), "the sidecar to come back")
    (again,) = registry.store.instances(key)
    assert (again.port, again.metadata) == (lease.port, lease.metadata)


async def test_the_tag_goes_from_carrier_to_carrier(sidecar: Sidecar, origin: Origin) -> None:
    """One that survives heals the others."""
    assert await sidecar.reach(("x-gray-tag", "gray")) == "gray"
    assert origin.header("baggage") == f"x-gray-tag=gray,x-gray-tag-rules={NO_RULES}"
    assert await sidecar.reach(("baggage", "user=1,x-gray-tag=gray")) == "gray"
    assert origin.header("x-gray-tag") == "gray"
    assert origin.header("baggage") == f"user=1,x-gray-tag=gray,x-gray-tag-rules={NO_RULES}"
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


async def test_what_identifies_no_request_carries_no_tag(sidecar: Sidecar) -> None:
    for shared in (
        ("b3", "0"),
        ("x-request-id", ""),
        ("x-request-id", "x" * 300),
        ("x-request-id", "checkout"),
        ("x-b3-traceid", "0000000000000000"),
        ("traceparent", f"ff-{TRACE}-00f067aa0ba902b7-01"),
    ):
        await sidecar.serve(shared, ("x-gray-tag", "gray"))
        assert await sidecar.reach(shared) == "base", shared


async def test_ids_that_begin_alike_are_different_ids(sidecar: Sidecar) -> None:
    await sidecar.serve(("x-request-id", "20261125T213247Z-000123"), ("x-gray-tag", "gray"))
    assert await sidecar.reach(("x-request-id", "20261125T213247Z-000124")) == "base"
    assert await sidecar.reach(("x-request-id", "20261125T213247Z-000123")) == "gray"


async def test_a_trace_that_is_not_known_is_not_answered_by_a_weaker_id(sidecar: Sidecar) -> None:
    """The request id may be shared; the trace is somebody else's."""
    shared = ("x-request-id", "7f1b2c3d-aaaa-bbbb-cccc-1234567890ab")
    await sidecar.serve(traceparent(), shared, ("x-gray-tag", "gray"))
    assert await sidecar.reach(traceparent(trace="a" * 32), shared) == "base"
    assert await sidecar.reach(("b3", f"{'a' * 32}-00f067aa0ba902b7-1"), shared) == "base"
    assert await sidecar.reach(traceparent(), ("x-request-id", "another-request-altogether-1")) == "gray"


async def test_marked_and_unmarked_requests_that_share_their_only_id_are_unmarked_and_counted(
    sidecar: Sidecar, origin: Origin
) -> None:
    """While both are in the service nothing tells their calls apart."""
    hold = asyncio.Event()
    entered: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"GET /held" in head:
                entered.append(head)
                await hold.wait()
            port = writer.get_extra_info("sockname")[1]
            name = b"gray" if port == origin.ports["gray"] else b"base"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + name)

    origin.script = script
    marked = asyncio.create_task(
        sidecar.call(sidecar.inbound, traceparent(), ("x-gray-tag", "gray"), host="b", target="/held")
    )
    await until(lambda: len(entered) == 1)
    assert await sidecar.reach(traceparent()) == "gray"
    unmarked = asyncio.create_task(sidecar.call(sidecar.inbound, traceparent(), host="b", target="/held"))
    await until(lambda: len(entered) == 2)
    assert await sidecar.reach(traceparent()) == "base"
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{sidecar.admin}/metrics") as response:
        assert 'gateway_ambiguous_traces_total{listener="outbound"} 1.0' in await response.text()
    hold.set()
    assert [status for status, _ in await asyncio.gather(marked, unmarked)] == [200, 200]


async def test_a_call_that_loses_the_tag_of_its_request_is_counted_told_and_recorded(
    sidecar: Sidecar, origin: Origin
) -> None:
    """The application passes nothing on, as one whose HTTP client is not instrumented."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"GET /calling" in head:
            await sidecar.call(sidecar.outbound)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    origin.script = script
    for _ in range(2):
        await sidecar.call(sidecar.inbound, traceparent(), ("x-gray-tag", "gray"), host="b", target="/calling")
    lost = {"to": "c", "tag": "gray", "why": "no_id"}
    assert (await get_json(sidecar.admin, "/api/v1/status"))["lost_tags"] == [{**lost, "count": 2}]
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{sidecar.admin}/metrics") as response:
        expected = 'gateway_lane_lost_total{from="b",tag="gray",to="c",why="no_id"} 2.0'
        assert expected in await response.text()

    async def recorded() -> list[dict[str, Any]] | None:
        records: list[dict[str, Any]] = (await get_json(sidecar.admin, "/api/v1/requests?service=c"))["requests"]
        return records if len(records) == 2 else None

    assert [(record["lost"], record["lost_tag"], record["tag"]) for record in await until_found(recorded)] == [
        ("no_id", "gray", "base")
    ] * 2
    told = [line for line in sidecar.log.read_text().splitlines() if "lose tag" in line]
    assert len(told) == 1
    assert "calls to c lose tag gray: they carry neither a tag nor an id of a request" in told[0]


async def test_an_instance_is_registered_for_as_long_as_its_application_takes_requests(
    tmp_path: Path, origin: Origin, registry: EmbeddedRegistry
) -> None:
    app = Origin()
    await app.start()
    port = app.ports["base"]
    sidecar = Sidecar(tmp_path, origin, registry, tag="gray", app=port)
    key = ServiceKey.of("", "", "b")
    try:
        await sidecar.run()
        assert registry.store.instances(key)
        await app.close()
        await until(lambda: not registry.store.instances(key), "the instance to be taken out")
        status = await get_json(sidecar.admin, "/api/v1/status")
        reason = f"the application at 127.0.0.1:{port} does not accept connections"
        assert (status["registered"], status["application"]) == (
            False,
            {"address": f"127.0.0.1:{port}", "up": False, "reason": reason},
        )
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{sidecar.admin}/readyz") as response:
                assert (response.status, await response.text()) == (503, f"not ready: {reason}\n")
            async with session.get(f"http://127.0.0.1:{sidecar.admin}/metrics") as response:
                assert "gateway_application_up 0.0" in await response.text()
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
        await until(lambda: registry.store.instances(key), "the instance to be registered again")
        server.close()
    finally:
        await sidecar.close()


async def test_an_application_with_a_path_to_ask_is_taken_out_while_it_says_no(
    tmp_path: Path, origin: Origin, registry: EmbeddedRegistry
) -> None:
    status = b"503 No"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /health HTTP/1.1")
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    origin.script = script
    sidecar = Sidecar(tmp_path, origin, registry)
    sidecar.config["app_check"] = {"path": "/health", "interval": "20ms"}
    key = ServiceKey.of("", "", "b")
    try:
        await sidecar.start_unready()
        await until(lambda: "fails the check of /health" in sidecar.log.read_text())
        assert not registry.store.instances(key)
        status = b"200 OK"
        await until(lambda: registry.store.instances(key), "the instance to be registered")
        status = b"503 No"
        await until(lambda: not registry.store.instances(key), "the instance to be taken out")
    finally:
        await sidecar.close()


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


@pytest.mark.parametrize("registered", ["ORDER-SERVICE", "order-service"])
@pytest.mark.parametrize("host", ["order-service", "ORDER-service", "Order-Service.:8080"])
async def test_a_service_is_found_whatever_the_case_of_the_host(
    sidecar: Sidecar, origin: Origin, registry: EmbeddedRegistry, registered: str, host: str
) -> None:
    """Many HTTP clients send hosts in lower case; in registries case counts."""
    assert (await sidecar.call(sidecar.outbound, host=host))[0] == 503
    now = asyncio.get_running_loop().time() + 1000
    registry.store.register(ServiceKey.of("", "", registered), Lease("127.0.0.1", origin.ports["base"]), now)
    async with asyncio.timeout(10):
        while (await sidecar.call(sidecar.outbound, host=host))[0] != 200:
            await asyncio.sleep(0.02)
    assert origin.header("host") == host


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
    assert {"c", "nobody-69", "NOBODY-69"} <= watched
    assert "nobody-0" not in watched
    assert (await sidecar.call(sidecar.outbound, host="nobody-0"))[0] == 503
    assert await sidecar.reach() == "base"
