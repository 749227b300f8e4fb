"""A new process takes the place of one that runs, or is started again behind its supervisor's sockets: nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.proxy.server import bind
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Lease, ServiceKey
from gateway.release.ports import free_port
from tests.support.gateway import LASTING, RULES, Gateway
from tests.support.load import Load
from tests.support.origin import Origin
from tests.support.process import Program, get_json
from tests.support.wait import until

TAKEOVER = ("--takeover", "takeover.sock")


class Scene:
    """The processes of a test, the first one and those that come after it, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.all: list[Program] = []

    async def start(self, *arguments: str) -> Program:
        program = Program(self.folder)
        self.all.append(program)
        await program.start(*arguments, *TAKEOVER)
        return program

    def log(self) -> str:
        return self.all[0].log.read_text()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    for program in scene.all:
        await program.close()


@contextlib.asynccontextmanager
async def load(port: int, target: bytes, expected: bytes, host: bytes = b"x") -> AsyncIterator[Load]:
    clients = Load(port, target, expected, host)
    try:
        await clients.more()
        yield clients
        await clients.more()
        assert (clients.refused, clients.wrong, clients.lost) == (0, 0, 0)
    finally:
        await clients.end()


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (1, 2), (2, 1)])
async def test_a_gateway_under_load(scene: Scene, origin: Origin, before: int, after: int) -> None:
    gateway = Gateway(scene.folder, origin)
    gateway.write("gateway.yaml", {**gateway.config, "workers": before, "drain": {"delay": "1h"}})
    gateway.write("rules/gray.yaml", RULES)
    first = await scene.start("serve", "-c", "gateway.yaml")
    await first.wait_ok(gateway.admin)
    async with load(gateway.port, b"/A/x?group=gray", b"gray GET /x?group=gray") as clients:
        gateway.write("gateway.yaml", {**gateway.config, "workers": after})
        second = await scene.start("serve", "-c", "gateway.yaml")
        assert await first.wait() == 0
        await clients.more()
        await second.wait_ok(gateway.admin)
        assert len((await get_json(gateway.admin, "/api/v1/status"))["workers"]) == (after if after > 1 else 0)
    assert f"took over from process {first.pid} (version " in scene.log()
    assert "Traceback" not in scene.log()


async def test_again_and_again(scene: Scene, origin: Origin) -> None:
    """What was taken over is offered to the next one; the last one leaves nothing behind."""
    gateway = Gateway(scene.folder, origin)
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    last = await scene.start("serve", "-c", "gateway.yaml")
    await last.wait_ok(gateway.admin)
    async with load(gateway.port, b"/A/x?group=gray", b"gray GET /x?group=gray"):
        for _ in range(2):
            following = await scene.start("serve", "-c", "gateway.yaml")
            assert await last.wait() == 0
            last = following
    last.send(signal.SIGTERM)
    assert await last.wait() == 0
    assert [path.name for path in scene.folder.glob("takeover.sock*")] == []


async def test_instances_in_the_embedded_registry_stay_known(scene: Scene, origin: Origin) -> None:
    """Without that the new gateway would have nobody to send requests to until all have registered again."""
    gateway = Gateway(scene.folder, origin)
    registry = free_port()
    gateway.config["registry"] = {"kind": "embedded", "listen": f"127.0.0.1:{registry}"}
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    first = await scene.start("serve", "-c", "gateway.yaml", "--set", "registry.warmup=0")
    await first.wait_ok(gateway.admin)
    api = f"http://127.0.0.1:{registry}/nacos/v1/ns/instance"
    async with ClientSession() as session:
        for tag in ("base", "gray"):
            metadata = {} if tag == "base" else {"gray.tag": tag}
            form: dict[str, Any] = {"serviceName": "a", "ip": "127.0.0.1", "port": origin.ports[tag]}
            async with session.post(api, params={**form, "metadata": json.dumps({**metadata, **LASTING})}) as response:
                assert await response.text() == "ok"
        await gateway.wait_pools("base", "gray")
        async with load(gateway.port, b"/A/x?group=gray", b"gray GET /x?group=gray") as clients:
            await scene.start("serve", "-c", "gateway.yaml")  # which would be warming up for 15 s
            assert await first.wait() == 0
            await clients.more()
        async with session.get(f"{api}/list", params={"serviceName": "a"}) as response:
            assert {host["port"] for host in (await response.json())["hosts"]} == set(origin.ports.values())


async def test_a_registry(scene: Scene) -> None:
    port = free_port()
    arguments = ("registry", "serve", "--listen", f"127.0.0.1:{port}")
    first = await scene.start(*arguments, "--warmup", "0")
    api = "/nacos/v1/ns/instance"
    await first.wait_ok(port, f"{api}/list?serviceName=a")
    async with ClientSession() as session:
        form: dict[str, Any] = {"serviceName": "a", "ip": "127.0.0.1", "port": 1}
        async with session.post(f"http://127.0.0.1:{port}{api}", params=form) as response:
            assert await response.text() == "ok"
    await scene.start(*arguments)
    assert await first.wait() == 0
    assert len((await get_json(port, f"{api}/list?serviceName=a"))["hosts"]) == 1


TRACE = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


@pytest.fixture
async def sidecar(scene: Scene, origin: Origin, registry: EmbeddedRegistry) -> dict[str, int]:
    """The first sidecar of service b, which also calls service c at `origin`; its ports."""
    ports = {name: free_port() for name in ("inbound", "outbound", "admin")}
    addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    now = asyncio.get_running_loop().time()
    key = ServiceKey.of("", "", "c")
    for tag in ("base", "gray"):
        metadata = {} if tag == "base" else {"gray.tag": tag}
        lease = Lease("127.0.0.1", origin.ports[tag], metadata=metadata, ephemeral=False)
        registry.store.register(key, lease, now)
    config = {
        **addresses,
        "service": "b",
        "app": f"127.0.0.1:{origin.ports['base']}",
        "registry": {"kind": "nacos", "address": registry.address, "interval": "100ms"},
        "drain": {"delay": "1h"},
    }
    first = Program(scene.folder)
    first.write("sidecar.yaml", config)
    await (await scene.start("sidecar", "-c", "sidecar.yaml")).wait_ok(ports["admin"])
    return ports


async def test_a_sidecar_under_load_in_both_directions(
    scene: Scene, sidecar: dict[str, int], registry: EmbeddedRegistry
) -> None:
    """It stays registered all the time, and the calls of requests under way stay in their lane."""
    key = ServiceKey.of("", "", "b")
    changes: list[int] = []
    tell = registry.store.service_changed

    def changed(service: ServiceKey) -> None:
        changes.append(len(registry.store.instances(key)))
        tell(service)

    registry.store.service_changed = changed
    headers = {"Host": "b", TRACE[0]: TRACE[1], "x-gray-tag": "gray"}
    async with ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{sidecar['inbound']}/x", headers=headers) as response:
            assert response.status == 200
    async with load(sidecar["inbound"], b"/x", b"base GET /x"), load(sidecar["outbound"], b"/x", b"base GET /x", b"c"):
        second = await scene.start("sidecar", "-c", "sidecar.yaml")
        assert await scene.all[0].wait() == 0
    await second.wait_ok(sidecar["admin"])
    assert set(changes) <= {1}
    assert [lease.port for lease in registry.store.instances(key)] == [sidecar["inbound"]]
    async with ClientSession() as session:
        headers = {"Host": "c", TRACE[0]: TRACE[1]}
        async with session.get(f"http://127.0.0.1:{sidecar['outbound']}/x", headers=headers) as response:
            assert await response.text() == "gray GET /x"
    assert "Traceback" not in scene.log()


async def test_one_that_cannot_take_over_changes_nothing(scene: Scene, origin: Origin) -> None:
    gateway = Gateway(scene.folder, origin)
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    first = await scene.start("serve", "-c", "gateway.yaml")
    await first.wait_ok(gateway.admin)
    async with load(gateway.port, b"/A/x?group=gray", b"gray GET /x?group=gray") as clients:
        gateway.write("bad.yaml", {**gateway.config, "access_log": {"path": "missing/access.log"}})
        assert await (await scene.start("serve", "-c", "bad.yaml")).wait() == 3
        wrong = await scene.start("registry", "serve", "--listen", f"127.0.0.1:{free_port()}")
        assert await wrong.wait() == 3
        await clients.more()
        assert (await get_json(gateway.admin, "/api/v1/status"))["draining"] is False
    assert "did not take over: it has ended" in scene.log()
    assert "could not start: cannot take over at takeover.sock: `gateway serve` runs there" in scene.log()
    # Nor has it closed the way for one that can.
    await scene.start("serve", "-c", "gateway.yaml")
    assert await first.wait() == 0


async def test_nobody_else_can_open_the_meeting_place(scene: Scene, origin: Origin) -> None:
    gateway = Gateway(scene.folder, origin)
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    first = await scene.start("serve", "-c", "gateway.yaml")
    await first.wait_ok(gateway.admin)
    await until((scene.folder / "takeover.sock").exists, "the socket")
    assert (scene.folder / "takeover.sock").stat().st_mode & 0o777 == 0o600
    assert os.stat(scene.folder / "takeover.sock").st_uid == os.getuid()


async def test_what_a_dead_process_has_left_behind_is_no_predecessor(scene: Scene, origin: Origin) -> None:
    gateway = Gateway(scene.folder, origin)
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    first = await scene.start("serve", "-c", "gateway.yaml")
    await first.wait_ok(gateway.admin)
    await until((scene.folder / "takeover.sock").exists, "the socket")
    first.send(signal.SIGKILL)
    await first.wait()
    second = await scene.start("serve", "-c", "gateway.yaml")
    await second.wait_ok(gateway.admin)
    assert "took over" not in scene.log()


async def test_a_place_that_cannot_be_offered_is_told_at_once(scene: Scene, origin: Origin) -> None:
    gateway = Gateway(scene.folder, origin)
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    await gateway.start("serve", "-c", "gateway.yaml", "--takeover", "missing/takeover.sock")
    assert await gateway.wait() == 3
    assert "could not start: cannot offer a takeover at missing/takeover.sock: No such file" in gateway.log.read_text()
    await gateway.start("serve", "-c", "gateway.yaml", "--takeover", "gateway.yaml")
    assert await gateway.wait() == 3
    assert (
        "could not start: cannot offer a takeover at gateway.yaml: something else is there" in gateway.log.read_text()
    )
    assert (scene.folder / "gateway.yaml").is_file()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_restart_behind_the_supervisors_socket_fails_no_request(
    scene: Scene, origin: Origin, workers: int
) -> None:
    gateway = Gateway(scene.folder, origin)
    gateway.write("gateway.yaml", {**gateway.config, "workers": workers, "listen": "127.0.0.1:1"})
    gateway.write("rules/gray.yaml", RULES)
    with bind("127.0.0.1", gateway.port) as listen, bind("127.0.0.1", gateway.admin) as admin:
        sockets = (("admin", admin), ("listen", listen))
        for _ in range(2):
            scene.all.append(Program(scene.folder))
        first, second = scene.all
        await first.start_with_sockets(sockets, "serve", "-c", "gateway.yaml")
        await first.wait_ok(gateway.admin)
        async with load(gateway.port, b"/A/x?group=gray", b"gray GET /x?group=gray"):
            first.send(signal.SIGTERM)
            assert await first.wait() == 0
            await second.start_with_sockets(sockets, "serve", "-c", "gateway.yaml")
            await second.wait_ok(gateway.admin)
    assert "Traceback" not in scene.log()


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (
            ["http"],
            "LISTEN_FDNAMES: `serve` has no socket 'http' (FileDescriptorName= is one of listen, admin, registry, registry-grpc)",
        ),
        (["admin", "admin"], "LISTEN_FDNAMES: 'admin' names one socket, not 2"),
        (["registry"], "LISTEN_FDNAMES: nothing listens on the socket 'registry' with this configuration"),
    ],
)
async def test_a_socket_that_nobody_listens_on_is_exit_3(
    tmp_path: Path, origin: Origin, names: list[str], problem: str
) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(bind("127.0.0.1", 0)) for _ in names]
        await gateway.start_with_sockets(list(zip(names, sockets, strict=True)), "serve", "-c", "gateway.yaml")
        assert await gateway.wait() == 3
    assert f"could not start: {problem}" in gateway.log.read_text()


async def test_the_supervisor_is_told_when_it_is_ready_reloads_and_stops(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.setblocking(False)
        loop = asyncio.get_running_loop()

        async def next_state() -> str:
            async with asyncio.timeout(30):
                while (state := (await loop.sock_recv(told, 4096)).decode()) == "WATCHDOG=1":
                    pass
                return state

        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        try:
            await gateway.start("serve", "-c", "gateway.yaml", env=environment)
            assert await next_state() == "READY=1"
            await gateway.wait_ok(gateway.admin)
            for _ in range(3):
                async with asyncio.timeout(30):
                    assert await loop.sock_recv(told, 4096) == b"WATCHDOG=1"
            gateway.send(signal.SIGHUP)
            reloading = await next_state()
            assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert await next_state() == "READY=1"
            gateway.send(signal.SIGTERM)
            assert await next_state() == "STOPPING=1"
            assert await gateway.wait() == 0
        finally:
            await gateway.close()
