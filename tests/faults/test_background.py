"""Whatever work beside requests raises, it goes on, and that is told: nothing ends for ever without a word."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest

from gateway import background
from gateway.background import failures
from gateway.control.checks import Checks
from gateway.registry import disk
from gateway.registry.consul.client import ConsulClient
from gateway.registry.consul.wakeup import WakeUp
from gateway.registry.disk import Disk
from gateway.registry.embedded import server
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.keeper import Keeper
from gateway.registry.static import StaticAdapter
from gateway.routing.ejection import Ejector
from gateway.routing.instance import Instance
from gateway.settings import CheckSettings
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
    monkeypatch.setattr(background, "FIRST_PAUSE", 0.001)
    failures.clear()


async def test_an_active_check() -> None:
    class Tells:
        checked = Failing()

    checks = Checks(cast("Ejector", Tells()))
    checks.configure({"a": CheckSettings(path="/", interval=0.01, failures=1)}, {})
    checks.look_at("a", (HERE,))
    await until(lambda: Tells.checked.calls > 2)
    assert failures == {"active check": 1}
    await checks.close()


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
    await until(lambda: fail.calls == 2)
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
