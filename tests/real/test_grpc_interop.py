"""The interoperability test cases of the gRPC project, by its own clients and servers in Go and Java (Netty and OkHttp).

https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md. Each goes through an entry gateway, and through one and a
sidecar. `make clients` gets the programs; what is not there is skipped, loudly.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.release.ports import free_port
from tests.real.test_nacos_clients import clients_folder
from tests.support.process import Program, get_json
from tests.support.wait import until_found

pytestmark = pytest.mark.real

JAVA = [shutil.which("java") or "java", "-XX:TieredStopAtLevel=1", "-cp", "lib/*"]
PATIENT = ["--soak_per_iteration_max_acceptable_latency_ms=60000", "--soak_overall_timeout_seconds=100"]
"""What takes how long is not asked here: the first call of a virtual machine may take a second."""
JAVA_CLIENT = [
    *JAVA,
    "io.grpc.testing.integration.TestServiceClient",
    "--server_host=localhost",
    "--server_port={port}",
    "--use_tls=false",
    "--test_case={case}",
    *PATIENT,
]
SERVERS = {
    "grpc-go": ["./server", "-port", "{port}"],
    "grpc-java": [*JAVA, "io.grpc.testing.integration.TestServiceServer", "--port={port}", "--use_tls=false"],
}
CLIENTS = {
    "grpc-go": ["./client", "-server_host", "localhost", "-server_port", "{port}", "-test_case", "{case}", *PATIENT],
    "grpc-java": JAVA_CLIENT,
    "grpc-java okhttp": [*JAVA_CLIENT, "--use_okhttp=true"],
}
CASES = [
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "custom_metadata",
    "status_code_and_message", "special_status_message", "unimplemented_method", "unimplemented_service", "cancel_after_begin",
    "cancel_after_first_response", "timeout_on_sleeping_server", "rpc_soak", "channel_soak",
]  # fmt: skip
OF_JAVA = ["server_compressed_unary", "server_compressed_streaming"]
"""What only the client in Java can do."""
BETWEEN_JAVA = ["client_compressed_unary_noprobe", "client_compressed_streaming_noprobe", "very_large_request"]
"""What no server in Go takes, with or without a gateway. (Neither server has what the other cases need: GET, probes, ORCA.)"""


def needs(name: str) -> Path:
    folder = clients_folder() / name
    if not folder.exists():
        pytest.skip(f"{name} is not there: gRPC is NOT tested with it; `make clients` gets it")
    return folder


def cases_of(client: str, server: str) -> list[str]:
    if client == "grpc-go":
        return CASES
    return [*CASES, *OF_JAVA, *(BETWEEN_JAVA if server == "grpc-java" else [])]


@asynccontextmanager
async def running(command: list[str], folder: Path, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *[part.format(port=port) for part in command],
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:

        async def listens() -> bool | None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return None
            writer.close()
            return True

        await until_found(listens)
        yield
    finally:
        process.kill()
        await process.wait()


async def failed(command: list[str], folder: Path, port: int, case: str) -> str:
    """Why a case fails, empty if it does not."""
    process = await asyncio.create_subprocess_exec(
        *[part.format(port=port, case=case) for part in command],
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(120):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return "" if process.returncode == 0 else said.decode()[-1500:]


async def gateway_in_front(folder: Path, registry: dict[str, Any], **more: Any) -> tuple[Program, int]:
    """An entry gateway that sends every call to service `interop`; waits until that has an instance."""
    program, port, admin = Program(folder), free_port(), free_port()
    program.write(
        "gateway.yaml",
        {
            "listen": f"127.0.0.1:{port}",
            "admin": f"127.0.0.1:{admin}",
            "registry": registry,
            "routes": [{"path": "/", "service": "interop"}],
            **more,
        },
    )
    await program.start("serve", "-c", "gateway.yaml")
    await program.wait_ok(admin)

    async def has_instance() -> bool | None:
        services = (await get_json(admin, "/api/v1/services"))["services"]
        return any(pool["instances"] for service in services for pool in service["pools"]) or None

    await until_found(has_instance)
    return program, port


@asynccontextmanager
async def by_entry(folder: Path, app: int, **more: Any) -> AsyncIterator[int]:
    services = {"interop": [{"address": f"127.0.0.1:{app}"}]}
    program, port = await gateway_in_front(folder, {"kind": "static", "services": services}, **more)
    try:
        yield port
    finally:
        await program.close()


@asynccontextmanager
async def by_mesh(folder: Path, app: int) -> AsyncIterator[int]:
    server = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    await server.start()
    registry = {"kind": "nacos", "address": server.address, "interval": "100ms"}
    sidecar, entry = Program(folder / "sidecar"), None
    (folder / "sidecar").mkdir()
    admin = free_port()
    try:
        sidecar.write(
            "sidecar.yaml",
            {
                "service": "interop",
                "app": f"127.0.0.1:{app}",
                "inbound": f"127.0.0.1:{free_port()}",
                "outbound": f"127.0.0.1:{free_port()}",
                "admin": f"127.0.0.1:{admin}",
                "registry": registry,
            },
        )
        await sidecar.start("sidecar", "-c", "sidecar.yaml")
        await sidecar.wait_ok(admin)
        entry, port = await gateway_in_front(folder, registry)
        yield port
    finally:
        if entry is not None:
            await entry.close()
        await sidecar.close()
        await server.stop()


@pytest.mark.parametrize("way", ["entry", "mesh"])
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_every_case_passes(client: str, server: str, way: str, tmp_path: Path) -> None:
    here, there = needs(client.split(" ", maxsplit=1)[0]), needs(server)
    app = free_port()
    path = by_entry if way == "entry" else by_mesh
    async with running(SERVERS[server], there, app), path(tmp_path, app) as port:
        results = {case: await failed(CLIENTS[client], here, port, case) for case in cases_of(client, server)}
    print(f"{client} → {way} → {server}: {', '.join(case for case, why in results.items() if not why)}")
    assert {case: why for case, why in results.items() if why} == {}


async def test_every_case_passes_over_tls(tmp_path: Path) -> None:
    folder = needs("grpc-go")
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    (tmp_path / "cert").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(tmp_path / "key"))
    (tmp_path / "key").chmod(0o600)
    ca.cert_pem.write_to_path(str(tmp_path / "ca"))
    tls = {"certificates": [{"cert": str(tmp_path / "cert"), "key": str(tmp_path / "key")}]}
    command = [*CLIENTS["grpc-go"], "-use_tls", "-use_test_ca", "-ca_file", str(tmp_path / "ca")]
    app = free_port()
    async with running(SERVERS["grpc-go"], folder, app), by_entry(tmp_path, app, tls=tls) as port:
        results = {case: await failed(command, folder, port, case) for case in CASES}
    assert {case: why for case, why in results.items() if why} == {}
