"""Whatever work beside requests raises, it goes on, and that is told: nothing ends for ever without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from gateway import daemons
from gateway.control import workers
from gateway.control.channel import Channel as WorkerChannel
from gateway.control.workers import WorkerProcess, Workers
from gateway.daemons import failures
from gateway.errors import StartError
from gateway.health.checks import Checks
from gateway.health.ejection import Ejector
from gateway.instance import Instance
from gateway.registry import disk
from gateway.registry.consul.client import ConsulClient
from gateway.registry.consul.wakeup import WakeUp
from gateway.registry.disk import Disk
from gateway.registry.embedded import server
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.keeper import Keeper
from gateway.registry.static import StaticAdapter
from gateway.settings import CheckSettings
from gateway.tls.contexts import Spoken
from tests.support.wait import until

HERE = Instance("127.0.0.1", 1)


class Failing:
    """Raises what nobody expects, once, and counts how often it is called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *_: Any) -> None:
        self.calls += 1
        if self.calls == 1:
            raise KeyError("a bug")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "FIRST_PAUSE", 0.001)
    failures.clear()


async def test_an_active_check() -> None:
    class Tells:
        checked = Failing()

    checks = Checks(cast("Ejector", Tells()), lambda *_: Spoken())
    checks.configure({"a": CheckSettings(path="/", interval=0.01, failures=1)})
    checks.look_at("a", (HERE,))
    await until(lambda: Tells.checked.calls > 2)
    assert failures == {"active check": 1}
    await checks.close()


async def test_asking_workers_for_their_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a worker that stands still would hold its share of the clients for ever."""
    monkeypatch.setattr(workers, "POLL", 0.001)
    supervisor, fail = Workers("none", [], list, lambda _: None, lambda _: None, lambda _: None), Failing()

    async def refresh() -> None:
        fail()

    monkeypatch.setattr(supervisor, "refresh", refresh)
    await supervisor.start()
    await until(lambda: fail.calls > 2)
    assert failures == {"collecting the statistics of workers": 1}
    await supervisor.close()


async def test_a_worker_that_leaves_is_followed_though_its_successor_cannot_be_started_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where there is no memory for a moment; the last statistics may be such that they cannot be added up, too."""

    class Channel:
        messages = [("statistics", ({"traffic": 1},)), ("leaving", ()), None]

        async def receive(self) -> Any:
            return self.messages.pop(0) if self.messages else None

        def close(self) -> None:
            pass

    class Process:
        pid, returncode = 7, 0

        async def wait(self) -> int:
            return 0

    gone, spawn = Failing(), Failing()
    supervisor = Workers("none", [[]], list, gone, lambda _: None, lambda _: None)
    supervisor._is_starting = False

    async def spawned(index: int) -> None:
        try:
            spawn()
        except KeyError:
            raise StartError("cannot start a worker: no memory") from None

    monkeypatch.setattr(supervisor, "_spawn", spawned)
    monkeypatch.setattr(workers, "HASTY", 0.0)
    worker = WorkerProcess(0, cast("asyncio.subprocess.Process", Process()), cast("WorkerChannel", Channel()))
    supervisor._keep("reading from a worker", partial(supervisor._listen_to, worker))
    await until(lambda: spawn.calls == 2)
    assert (gone.calls, failures) == (1, {"reading from a worker": 1})
    assert "cannot start a worker: no memory; worker 0 will be replaced after it has ended" in caplog.messages
    await supervisor.close()


async def test_waiting_for_changes_in_consul() -> None:
    fail = Failing()

    class Client:
        async def follow(self, *_: Any) -> AsyncGenerator[None, None]:
            fail()
            yield None

    wake_up = WakeUp(cast("ConsulClient", Client()))
    for seen in range(2):
        await wake_up.wait(seen)
    assert failures == {"waiting for changes in Consul": 1}
    await wake_up.close()


async def test_expiring_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TICK", 0.001)
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    fail = Failing()
    monkeypatch.setattr(registry.store, "expire", fail)
    await registry.start()
    await until(lambda: fail.calls > 2)
    assert failures == {"expiring instances": 1}
    await registry.stop()


async def test_keeping_what_registries_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "DEBOUNCE", 0.001)
    kept, fail = Disk(tmp_path, "r"), Failing()
    write = kept._write_all

    def failing(pending: dict[str, tuple[Instance, ...]]) -> None:
        fail()
        write(pending)

    monkeypatch.setattr(kept, "_write_all", failing)
    kept.save("a", (HERE,))
    await until(lambda: failures["keeping what registries said"])
    kept.save("a", (HERE,))
    await until(lambda: fail.calls >= 2)
    await kept.close()
    assert Disk(tmp_path, "r").load("a") == (HERE,)


async def test_watching_a_service(tmp_path: Path) -> None:
    """What is told may raise where nothing is left to catch it: when a copy is used since the registry has failed."""

    class Away(StaticAdapter):
        is_authoritative = False
        is_away = True

        async def watch(self, service: str) -> AsyncGenerator[Any, None]:
            if self.is_away:
                raise OSError("away")
            async for listing in super().watch(service):
                yield listing

    fail = Failing()
    copy = Disk(tmp_path, "r")
    copy._write_all({"a": (HERE,)})
    adapter = Away({"a": (HERE,)})
    keeper = Keeper(adapter, fail, disk=copy)
    keeper.watch("a")
    await until(lambda: failures["watching a service"])
    adapter.is_away = False
    await until(lambda: fail.calls > 1)
    await keeper.close()
