"""The target `processes`, with real processes that are as small as can be: `sleep` for the application and the sidecar."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load_sidecar
from gateway.errors import GatewayError
from gateway.release.detached import clean_environment
from gateway.release.settings import ProcessesTargetSettings
from gateway.release.targets import processes
from gateway.release.targets.base import Phase, Place, Revision
from gateway.release.targets.instance import Instance
from gateway.release.targets.processes import ProcessesTarget

PLACE = Place("prod", "default", "shop")
MANIFEST = """\
kind: Deployment
spec: {template: {spec: {containers: [{image: "shop:1", command: [COMMAND]}]}}}
"""


def revision(version: str, command: str = "sleep, '60'") -> Revision:
    return Revision.of(version, "shop", MANIFEST.replace("COMMAND", command), {"backend": "shop:1"}, {})


class Target(ProcessesTarget):
    """Its sidecars are ready as soon as they run, and drain until they are told."""

    async def _answers(self, url: str) -> bool:
        return True

    async def _is_draining(self, item: Instance) -> bool:
        return False


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOOK", 0.01)

    def start_sidecar(self: Instance, *_: Any) -> None:
        self.sidecar.start(["sleep", "60"], self.folder, clean_environment())

    monkeypatch.setattr(Instance, "start_sidecar", start_sidecar)


def make(folder: Path) -> Target:
    registry: Any = {"kind": "nacos", "address": "127.0.0.1:8848"}
    settings = ProcessesTargetSettings(kind="processes", registry=registry, keep_running=False)
    return Target(settings, folder / "targets", folder / "images")


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Target]:
    target = make(tmp_path)
    await target.start()
    yield target
    await target.close()


async def until(target: Target, condition: Callable[[list[tuple[str, Phase]]], bool]) -> list[tuple[str, Phase]]:
    """Waits until something holds for versions and phases."""
    async with asyncio.timeout(20):
        while True:
            seen = [(item.version, item.phase) for item in await target.observe(PLACE)]
            if condition(seen):
                return seen
            await asyncio.sleep(0.005)


async def test_what_should_be_comes_to_be(target: Target) -> None:
    await target.apply(PLACE, revision("1"), 2)
    await until(target, lambda seen: seen == [("1", Phase.READY)] * 2)
    await target.apply(PLACE, revision("2"), 1)
    await until(target, lambda seen: sorted(seen) == [("1", Phase.READY)] * 2 + [("2", Phase.READY)])
    await target.scale(PLACE, revision("1").name, 0)
    await until(target, lambda seen: seen == [("2", Phase.READY)])
    await target.remove(PLACE)
    await until(target, lambda seen: seen == [])


async def crash(target: Target) -> None:
    """What kill -9 of the release server leaves: nobody looks any more."""
    assert target._loop is not None
    assert target._http is not None
    target._loop.cancel()
    await target._http.close()


async def test_after_a_kill_the_next_server_finds_everything_and_starts_nothing_twice(tmp_path: Path) -> None:
    first = make(tmp_path)
    await first.start()
    await first.apply(PLACE, revision("1"), 2)
    await until(first, lambda seen: seen == [("1", Phase.READY)] * 2)
    pids = {path: path.read_text() for path in tmp_path.rglob("*.pid")}
    await crash(first)
    second = make(tmp_path)
    await second.start()
    assert len(await second.admins()) == 2  # known from the very beginning: lanes ask them
    await second.apply(PLACE, revision("1"), 2)
    await until(second, lambda seen: seen == [("1", Phase.READY)] * 2)
    assert {path: path.read_text() for path in tmp_path.rglob("*.pid")} == pids
    await second.close()


async def test_an_instance_whose_process_ends_is_started_again(target: Target, tmp_path: Path) -> None:
    await target.apply(PLACE, revision("1"), 1)
    await until(target, lambda seen: seen == [("1", Phase.READY)])
    [pid] = tmp_path.rglob("app.pid")
    os.killpg(int(pid.read_text()), signal.SIGKILL)
    async with asyncio.timeout(20):
        while (await target.observe(PLACE))[0].restarts != 1:
            await asyncio.sleep(0.005)
    await until(target, lambda seen: seen == [("1", Phase.READY)])


async def test_one_that_ends_again_and_again_is_broken_and_says_why(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LONGEST", 0.01)
    await target.apply(PLACE, revision("bad", "sh, -c, 'echo no such database; exit 1'"), 1)
    await until(target, lambda seen: seen == [("bad", Phase.BROKEN)])
    [replica] = await target.observe(PLACE)
    assert replica.message.startswith("it ended unexpectedly; its log ")
    assert "no such database" in replica.message


async def test_logs_stay_when_an_instance_has_gone(target: Target) -> None:
    await target.apply(PLACE, revision("1", "sh, -c, 'echo hello; exec sleep 60'"), 1)
    await until(target, lambda seen: seen == [("1", Phase.READY)])
    await target.remove(PLACE)
    await until(target, lambda seen: seen == [])
    assert target.logs("prod", "shop")["1.app"].read_text() == "hello\n"


def test_the_logs_of_the_newest_instance_are_the_last(tmp_path: Path) -> None:
    target = make(tmp_path)
    folder = tmp_path / "targets" / "prod" / "shop"
    for name in ("instances/10/app.log", "instances/9/app.log", "logs/2.app.log", "logs/11.app.log"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert list(target.logs("prod", "shop")) == ["2.app", "9.app", "10.app", "11.app"]


async def test_with_keep_running_false_nothing_is_left_and_everything_comes_back(tmp_path: Path) -> None:
    first = make(tmp_path)
    await first.start()
    await first.apply(PLACE, revision("1"), 1)
    await until(first, lambda seen: seen == [("1", Phase.READY)])
    await first.close()
    assert [
        item.app.is_running or item.sidecar.is_running for item in first._sites[("prod", "shop")].instances.values()
    ] == [False]
    second = make(tmp_path)
    await second.start()
    await until(second, lambda seen: seen == [("1", Phase.READY)])
    assert (await second.observe(PLACE))[0].restarts == 0
    await second.close()


async def test_on_a_full_disk_nothing_is_started_and_it_is_said(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(processes, "write_file", full)
    with pytest.raises(GatewayError, match=r"cannot write .*/site\.json: No space left on device"):
        await target.apply(PLACE, revision("1"), 1)
    assert await target.observe(PLACE) == ()
    monkeypatch.undo()


async def test_what_could_not_be_written_on_a_full_disk_is_written_the_next_time(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Otherwise an old version is back in production after the next start of the server."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    await target.apply(PLACE, revision("1"), 1)
    with monkeypatch.context() as patch:
        patch.setattr(processes, "write_file", full)
        with pytest.raises(GatewayError, match="No space left"):
            await target.scale(PLACE, revision("1").name, 0)
    await target.scale(PLACE, revision("1").name, 0)
    [file] = tmp_path.glob("targets/*/*/site.json")
    assert json.loads(file.read_text())["wanted"] in ({revision("1").name: 0}, {})


async def test_a_revision_that_was_never_applied_is_not_scaled(target: Target) -> None:
    with pytest.raises(GatewayError, match="revision 9 of shop was never applied in prod"):
        await target.scale(PLACE, "9", 1)


@pytest.mark.parametrize(
    "registry",
    [
        {
            "kind": "nacos",
            "address": "127.0.0.1:8848",
            "interval": "250ms",
            "namespace": "shop",
            "username": "u",
            "password": "secret",
        },
        {"kind": "nacos", "addresses": ["10.0.0.1:8848", "10.0.0.2:8848"], "group": "SHOP", "clusters": ["A"]},
        {"kind": "consul", "address": "127.0.0.1:8500", "token": "secret"},
    ],
    ids=["nacos", "cluster", "consul"],
)
def test_a_sidecar_is_told_of_the_registry_as_it_is_written(tmp_path: Path, registry: Any) -> None:
    settings = ProcessesTargetSettings(kind="processes", registry=registry)
    written = yaml.safe_load(yaml.safe_dump(ProcessesTarget(settings, tmp_path, tmp_path)._registry()))
    (tmp_path / "sidecar.yaml").write_text(
        yaml.safe_dump(
            {
                "service": "a",
                "app": "127.0.0.1:1",
                "inbound": "127.0.0.1:2",
                "outbound": "127.0.0.1:3",
                "registry": written,
            }
        )
    )
    assert load_sidecar(tmp_path / "sidecar.yaml", environ={}).settings.registry == settings.registry
