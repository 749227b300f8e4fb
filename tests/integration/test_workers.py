"""`workers: N`: requests over all of them, and what becomes of requests when one dies, is replaced, reloads or drains."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from gateway.cli import main
from gateway.control.workers import Workers
from gateway.proxy.server import bind
from tests.support.gateway import RULES, Gateway
from tests.support.load import Load
from tests.support.origin import Origin
from tests.support.process import get_json
from tests.support.wait import until


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    """Two workers."""
    gateway = Gateway(tmp_path, origin)
    gateway.config["workers"] = 2
    await gateway.run()
    yield gateway
    await gateway.close()


async def workers(gateway: Gateway) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await get_json(gateway.admin, "/api/v1/status"))["workers"]
    return found


async def samples(gateway: Gateway, name: str) -> list[float]:
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{gateway.admin}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
        return [sample.value for family in families for sample in family.samples if sample.name == name]


@contextlib.asynccontextmanager
async def load(gateway: Gateway) -> AsyncIterator[Load]:
    clients = Load(gateway.port, b"/A/x?group=gray", b"gray GET /x?group=gray")
    try:
        await clients.more()
        yield clients
    finally:
        await clients.end()


async def test_ready_means_that_every_worker_serves(gateway: Gateway) -> None:
    assert [worker["serving"] for worker in await workers(gateway)] == [True, True]


async def test_a_second_gateway_does_not_share_the_port(gateway: Gateway, origin: Origin, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    folder.mkdir()
    second = Gateway(folder, origin)
    second.write("rules/gray.yaml", RULES)
    second.write("gateway.yaml", {**second.config, "workers": 2, "listen": gateway.config["listen"]})
    await second.start("serve", "-c", "gateway.yaml")
    assert await second.wait() == 3
    assert f"could not start: cannot listen on {gateway.config['listen']}" in second.log.read_text()


async def test_counts_are_summed_over_the_workers(gateway: Gateway, origin: Origin) -> None:
    for _ in range(20):
        assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
    assert await samples(gateway, "gateway_requests_total") == [20.0]
    assert await samples(gateway, "gateway_request_duration_seconds_count") == [20.0]
    assert await samples(gateway, "gateway_workers") == [2.0]
    assert len(await samples(gateway, "process_open_fds")) == 3  # the supervisor's, and each worker's
    assert origin.connections >= 2  # both have served some, each on connections of its own


async def test_a_killed_worker_loses_its_own_requests_only_and_is_replaced(gateway: Gateway) -> None:
    before = {worker["pid"] for worker in await workers(gateway)}
    async with load(gateway) as clients:
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(30):
            while (
                len([worker for worker in await workers(gateway) if worker["serving"] and worker["pid"] != victim]) < 2
            ):
                await asyncio.sleep(0.02)
        await clients.more()
        assert (clients.refused, clients.wrong) == (0, 0)
        assert clients.lost <= 8
    after = {worker["pid"] for worker in await workers(gateway)}
    assert len(after - before) == 1
    assert victim not in after
    assert await samples(gateway, "gateway_worker_restarts_total") == [1.0]
    assert "ended: signal 9; starting another" in gateway.log.read_text()


async def test_a_worker_asked_to_go_is_replaced_without_losing_a_request(gateway: Gateway) -> None:
    before = {worker["pid"] for worker in await workers(gateway)}
    async with load(gateway) as clients:
        os.kill(min(before), signal.SIGTERM)
        async with asyncio.timeout(30):
            while not {worker["pid"] for worker in await workers(gateway) if worker["serving"]} - before:
                await asyncio.sleep(0.02)
        await clients.more()
        assert (clients.refused, clients.wrong, clients.lost) == (0, 0, 0)


async def test_reloads_under_load_lose_and_misroute_nothing(gateway: Gateway) -> None:
    async with load(gateway) as clients:
        for revision in range(2, 8):
            gateway.write("rules/gray.yaml", RULES + f"# {revision}\n")
            gateway.send(signal.SIGHUP)
            await gateway.wait_revision(revision)
            await clients.more(50)
        assert (clients.refused, clients.wrong, clients.lost) == (0, 0, 0)


async def test_a_reload_reaches_every_worker(gateway: Gateway) -> None:
    gateway.write("rules/gray.yaml", RULES.replace("enabled: true", "enabled: false"))
    await gateway.wait_revision(2)
    async with asyncio.timeout(30):
        while {await gateway.ask("/A/x?group=gray") for _ in range(20)} != {"base GET /x?group=gray"}:
            await asyncio.sleep(0.01)


async def test_a_service_that_is_not_routed_to_any_more_is_forgotten_by_every_worker(
    tmp_path: Path, origin: Origin
) -> None:
    """Its connections would stay open else, here for an hour."""
    gateway = Gateway(tmp_path, origin)
    gateway.config |= {"workers": 2, "timeouts": {"upstream_idle": "1h"}}
    try:
        await gateway.run()
        for _ in range(20):
            await gateway.ask("/A/x")
        await until(lambda: origin.connections >= 2, "a connection of each worker")
        gateway.write("gateway.yaml", {**gateway.config, "routes": []})
        await gateway.wait_revision(2)
        await until(lambda: origin.lost == origin.connections, "its connections to close")
    finally:
        await gateway.close()


@pytest.mark.parametrize("count", [1, 2])
async def test_sigterm_drains_under_load_without_a_failed_request(tmp_path: Path, origin: Origin, count: int) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.config["workers"] = count
    try:
        await gateway.run()
        async with load(gateway) as clients:
            gateway.send(signal.SIGTERM)
            await clients.finish()
            assert await gateway.wait() == 0
            assert (clients.refused, clients.wrong, clients.lost) == (8, 0, 0)
    finally:
        await gateway.close()


async def test_workers_end_when_the_supervisor_is_killed(gateway: Gateway) -> None:
    pids = [worker["pid"] for worker in await workers(gateway)]
    gateway.send(signal.SIGKILL)
    await gateway.wait()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the workers to end")


async def test_the_port_is_free_at_once_when_the_supervisor_is_killed(gateway: Gateway, origin: Origin) -> None:
    """Its workers finish what they are doing, and stand in nobody's way meanwhile."""
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
        await reader.read()

    origin.script = slow
    asking = asyncio.create_task(gateway.ask("/A/x"))
    await until(lambda: origin.connections, "the request to arrive")
    gateway.send(signal.SIGKILL)
    await gateway.wait()
    origin.script = None
    await gateway.start("serve", "-c", "gateway.yaml")
    await gateway.wait_ok(gateway.admin)
    assert await gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"
    release.set()
    assert await asking == "slow"


async def test_one_that_cannot_be_replaced_is_tried_again_with_growing_pauses_and_readyz_says_so(
    tmp_path: Path, origin: Origin
) -> None:
    gateway = Gateway(tmp_path, origin)
    (tmp_path / "logs").mkdir()
    gateway.config |= {"workers": 2, "access_log": {"path": "logs/access.log"}}
    try:
        await gateway.run()
        (tmp_path / "logs").rename(tmp_path / "away")
        victim = (await workers(gateway))[1]["pid"]
        os.kill(victim, signal.SIGKILL)
        assert "not ready: worker 1 is not serving" in await gateway.wait_ok(gateway.admin, "/readyz", 503)
        await until(lambda: "starting another in 1 s" in gateway.log.read_text(), "the third try", timeout=60)
        log = gateway.log.read_text()
        assert f"worker 1 (pid {victim}) ended: signal 9; starting another in 0 s" in log
        assert "ended: exit code 3; starting another in 0.5 s" in log
        assert "cannot open the access log" in log
        (tmp_path / "away").rename(tmp_path / "logs")
        await gateway.wait_ok(gateway.admin, timeout=60)
        assert "Traceback" not in gateway.log.read_text()
    finally:
        await gateway.close()


async def test_told_to_end_while_it_waits_to_start_a_worker_it_ends(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    (tmp_path / "logs").mkdir()
    gateway.config |= {"workers": 2, "access_log": {"path": "logs/access.log"}}
    try:
        await gateway.run()
        (tmp_path / "logs").rename(tmp_path / "away")
        os.kill((await workers(gateway))[0]["pid"], signal.SIGKILL)
        await until(lambda: "starting another in 1 s" in gateway.log.read_text(), "the third try", timeout=60)
        gateway.send(signal.SIGTERM)
        assert await gateway.wait() == 0
        assert "cut off" not in gateway.log.read_text()
        assert "Traceback" not in gateway.log.read_text()
    finally:
        await gateway.close()


async def test_one_that_stands_still_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its share of the clients would wait for ever."""
    monkeypatch.setattr("gateway.control.workers.POLL", 0.05)
    sockets = [[bind("127.0.0.1", 0)]]
    pool = Workers("tests.support.mute_worker", sockets, list, lambda _: None, lambda _: None, lambda _: None)
    try:
        await pool.start()
        first = pool.pids()[0]
        os.kill(first, signal.SIGSTOP)
        with monkeypatch.context() as patch:  # its successor may need longer to start
            patch.setattr("gateway.control.workers.SILENCE", 0.5)
            await until(lambda: pool.restarts, "the end of the first")
        await until(lambda: pool.pids()[0] != first and pool.not_serving() == [], "another worker")
        assert pool.restarts == 1
    finally:
        await pool.close()


async def test_a_worker_that_cannot_start_is_exit_3(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.config |= {"workers": 2, "access_log": {"path": "missing/access.log"}}
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    await gateway.start("serve", "-c", "gateway.yaml")
    assert await gateway.wait() == 3
    log = gateway.log.read_text()
    assert "cannot open the access log" in log
    assert "could not start: a worker ended while starting" in log
    assert "Traceback" not in log


async def test_all_workers_write_one_access_log(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.config |= {"workers": 2, "access_log": {"path": "access.log"}}
    try:
        await gateway.run()
        for _ in range(20):
            await gateway.ask("/A/x")
        log = tmp_path / "access.log"
        await until(lambda: log.read_text().count("\n") == 20, "20 lines")
    finally:
        await gateway.close()


async def test_a_drained_instance_gets_nothing_from_any_worker_old_or_new(tmp_path: Path, origin: Origin) -> None:
    """Nor after a restart; it is in the status, in the metrics, and in the list of instances."""
    gateway = Gateway(tmp_path, origin)
    gateway.config |= {"workers": 2, "state": "state"}
    await gateway.run()
    address = gateway.config["registry"]["services"]["a"][1]["address"]
    at = ["a", address, "--server", f"127.0.0.1:{gateway.admin}"]

    async def served() -> set[str]:
        return {(await gateway.ask("/A/x?group=gray")).split()[0] for _ in range(10)}

    async def goes_to(tag: str) -> None:
        async with asyncio.timeout(30):
            while await served() != {tag}:
                await asyncio.sleep(0.02)

    async def run(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, main, words)
        assert result.exit_code == 0, result.output
        return result.output

    try:
        assert await served() == {"gray"}
        await run("instance", "drain", *at, "--reason", "a new disk", "--author", "bob")
        await goes_to("base")
        [drained] = (await get_json(gateway.admin, "/api/v1/status"))["drained"]
        assert (drained["address"], drained["author"], drained["reason"]) == (address, "bob", "a new disk")
        assert await samples(gateway, "gateway_drained_instances") == [1.0]
        assert "drained" in await run("registry", "list", "a", *at[2:])
        before = {worker["pid"] for worker in await workers(gateway)}
        os.kill(min(before), signal.SIGKILL)
        async with asyncio.timeout(30):
            while len({item["pid"] for item in await workers(gateway) if item["serving"]} - {min(before)}) < 2:
                await asyncio.sleep(0.02)
        assert await served() == {"base"}
        await gateway.close()
        await gateway.run()
        assert await served() == {"base"}
        await run("instance", "restore", *at)
        await goes_to("gray")
        assert (await get_json(gateway.admin, "/api/v1/status"))["drained"] == []
    finally:
        await gateway.close()
