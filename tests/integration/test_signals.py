"""What each signal does to each role, as `docs/deployment.md` has it in its table."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.release.ports import free_port
from tests.support.gateway import RULES, Gateway
from tests.support.origin import Origin
from tests.support.process import Program, get_json
from tests.support.wait import until

HARMLESS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)


class Running:
    """A program of one of the roles, how it is asked whether it serves, and its access log."""

    def __init__(self, program: Program, port: int, path: str, admin: int | None) -> None:
        self.program = program
        self.port, self.path, self.admin = port, path, admin
        self.access_log = program.folder / "access.log"

    async def asked(self) -> None:
        """One request, which is answered."""
        await self.program.wait_ok(self.port, self.path)


async def serve(folder: Path, origin: Origin, workers: int) -> Running:
    gateway = Gateway(folder, origin)
    gateway.config |= {"workers": workers, "access_log": {"path": "access.log"}}
    await gateway.run()
    return Running(gateway, gateway.port, "/A/x", gateway.admin)


async def sidecar(folder: Path, origin: Origin, registry: EmbeddedRegistry) -> Running:
    program = Program(folder)
    inbound, outbound, admin = free_port(), free_port(), free_port()
    config = {
        "service": "b",
        "app": f"127.0.0.1:{origin.ports['base']}",
        "inbound": f"127.0.0.1:{inbound}",
        "outbound": f"127.0.0.1:{outbound}",
        "admin": f"127.0.0.1:{admin}",
        "registry": {"kind": "nacos", "address": registry.address, "interval": "100ms"},
        "drain": {"delay": "0s"},
        "access_log": {"path": "access.log"},
    }
    program.write("sidecar.yaml", config)
    await program.start("sidecar", "-c", "sidecar.yaml")
    await program.wait_ok(admin)
    return Running(program, inbound, "/x", admin)


async def registry_serve(folder: Path) -> Running:
    program = Program(folder)
    port = free_port()
    await program.start("registry", "serve", "--listen", f"127.0.0.1:{port}", "--warmup", "0")
    path = "/nacos/v1/ns/instance/list?serviceName=a"
    await program.wait_ok(port, path)
    return Running(program, port, path, None)


@pytest.fixture(params=["serve", "workers", "sidecar", "registry"])
async def running(
    request: pytest.FixtureRequest, tmp_path: Path, origin: Origin, registry: EmbeddedRegistry
) -> AsyncIterator[Running]:
    """Each role that runs until a signal."""
    if request.param == "sidecar":
        found = await sidecar(tmp_path, origin, registry)
    elif request.param == "registry":
        found = await registry_serve(tmp_path)
    else:
        found = await serve(tmp_path, origin, 2 if request.param == "workers" else 1)
    yield found
    await found.program.close()


async def test_what_scripts_send_to_daemons_ends_none(running: Running) -> None:
    for number in HARMLESS:
        running.program.send(number)
    await running.asked()
    running.program.send(signal.SIGTERM)
    assert await running.program.wait() == 0
    assert "Traceback" not in running.program.log.read_text()


async def test_ctrl_c_ends_it_in_order(running: Running) -> None:
    running.program.send(signal.SIGINT)
    assert await running.program.wait() == 0
    assert "draining; a second signal stops the process at once" in running.program.log.read_text()


@pytest.mark.parametrize("running", ["serve", "workers", "sidecar"], indirect=True)
async def test_sigusr1_opens_the_access_log_anew_before_anything_is_written(running: Running) -> None:
    """What logrotate counts on: afterwards nobody holds the old file, however quiet it is."""
    await running.asked()
    await until(running.access_log.read_text, "the line to be written")
    moved = running.access_log.rename(running.program.folder / "access.log.1")
    before = moved.read_text()
    running.program.send(signal.SIGUSR1)
    await until(lambda: running.access_log.exists() and not holders(moved), "the file to be opened anew")
    await running.asked()
    await until(running.access_log.read_text, "the line to be written")
    assert moved.read_text() == before


def holders(path: Path) -> list[str]:
    """Open descriptors of any process that lead to a file."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == str(path):
                found.append(str(link))
    return found


@pytest.mark.parametrize("running", ["serve", "workers", "sidecar"], indirect=True)
async def test_sighup_reloads(running: Running) -> None:
    config = next(running.program.folder.glob("*.yaml"))
    # In place, and with nothing of a file's events waited for.
    config.write_text(config.read_text() + "# changed\n")
    running.program.send(signal.SIGHUP)
    assert running.admin is not None
    async with asyncio.timeout(30):
        while (await get_json(running.admin, "/api/v1/status"))["revision"] != 2:
            await asyncio.sleep(0.02)


async def test_signals_to_a_worker_are_the_supervisors_to_decide(tmp_path: Path, origin: Origin) -> None:
    """Of those that are sent to the whole group of processes none ends a worker but SIGTERM, and that one in order."""
    running = await serve(tmp_path, origin, 2)
    assert running.admin is not None
    try:
        workers = (await get_json(running.admin, "/api/v1/status"))["workers"]
        for worker in workers:
            for number in (*HARMLESS, signal.SIGINT):
                os.kill(worker["pid"], number)
        for _ in range(10):
            await running.asked()
        assert (await get_json(running.admin, "/api/v1/status"))["workers"] == workers
    finally:
        await running.program.close()


@contextlib.asynccontextmanager
async def slow_start(folder: Path, origin: Origin) -> AsyncIterator[tuple[Gateway, Callable[[], bool]]]:
    """A gateway that is starting: its remote rules come from a server that does not answer. And whether it has asked."""
    connected: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: connected.append(writer), "127.0.0.1", 0)
    gateway = Gateway(folder, origin)
    address = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    gateway.config |= {"rules": [{"nacos": "rules.yaml", "address": address}]}
    gateway.write("gateway.yaml", gateway.config)
    try:
        await gateway.start("serve", "-c", "gateway.yaml")
        yield gateway, lambda: bool(connected)
    finally:
        await gateway.close()
        for writer in connected:
            writer.close()
        silent.close()


async def test_told_to_end_while_starting_it_just_ends(tmp_path: Path, origin: Origin) -> None:
    async with slow_start(tmp_path, origin) as (gateway, is_starting):
        await until(is_starting, "the start")
        gateway.send(signal.SIGTERM)
        assert await gateway.wait(5) == 0
        assert "received a signal to stop while starting" in gateway.log.read_text()
        assert "Traceback" not in gateway.log.read_text()


async def test_signals_wait_while_the_program_is_being_loaded(tmp_path: Path, origin: Origin) -> None:
    """Scripts that start a gateway and tell it something at once must not end it."""
    gateway = Gateway(tmp_path, origin)
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    try:
        await gateway.start_cold("serve", "-c", "gateway.yaml", "--log-level", "info")
        await until(gateway.has_held_signals, "the program to hold signals")
        for number in HARMLESS:
            gateway.send(number)
        await gateway.wait_ok(gateway.admin)
    finally:
        await gateway.close()


async def test_the_demo_ends_in_order_when_the_terminal_is_closed(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", "--keep", str(tmp_path),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            while b"1. " not in await process.stdout.readline():
                pass
            for harmless in (signal.SIGUSR1, signal.SIGUSR2):
                process.send_signal(harmless)
            await until((tmp_path / "logs" / "registry.log").exists, "the demo's first process")
            process.send_signal(signal.SIGHUP)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
