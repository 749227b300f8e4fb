"""What is in force while a role runs: loaded and built in a thread, swapped as a whole, kept if the new one is wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.app.build import Build
from gateway.app.configuration import Configuration
from gateway.errors import ConfigError
from gateway.files import write_file
from gateway.rules.ruleset import RuleSet
from gateway.settings.gateway import GatewaySettings
from gateway.settings.sidecar import SidecarSettings
from gateway.yaml.writing import write_yaml
from tests.support.roles import SIDECAR, lanes, put_gateway
from tests.support.wait import until


class Held:
    """A configuration, and every build that it has installed, with its revision."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.installed: list[tuple[int, list[str]]] = []
        self.builds: list[Build[GatewaySettings]] = []
        self.configuration = Configuration(GatewaySettings, path, (), self._install, **options)
        self.parts = AsyncExitStack()

    def _install(self, build: Build[GatewaySettings], revision: int) -> None:
        self.builds.append(build)
        self.installed.append((revision, [lane.tag for lane in build.compiled.lanes]))

    async def open(self) -> None:
        await self.configuration.open(self.parts)
        self.parts.push_async_callback(self.configuration.close)


@pytest.fixture
async def hold(tmp_path: Path) -> AsyncIterator[Callable[..., Held]]:
    made: list[Held] = []

    def make(**options: Any) -> Held:
        made.append(Held(tmp_path / "gateway.yaml", **options))
        return made[-1]

    yield make
    for held in made:
        await held.parts.aclose()


async def test_nothing_is_in_force_before_everything_is_there(tmp_path: Path, hold: Callable[..., Held]) -> None:
    put_gateway(tmp_path, lanes("gray"))
    held = hold()
    await held.open()
    assert held.installed == []
    assert held.configuration.settings.routes[0].service == "a"
    held.configuration.begin()
    assert held.installed == [(1, ["gray"])]
    assert held.configuration.build is held.builds[0]


async def test_a_reload_during_the_start_is_made_up_for(tmp_path: Path, hold: Callable[..., Held]) -> None:
    put_gateway(tmp_path, lanes("gray"))
    held = hold()
    await held.open()
    held.configuration.begin()
    (tmp_path / "rules.yaml").write_text(lanes("blue"))
    await held.configuration.reload("SIGHUP")
    assert held.installed == [(1, ["gray"])]
    held.configuration.follow()
    await until(lambda: held.installed == [(1, ["gray"]), (2, ["blue"])])
    assert [group.name for group in held.configuration.lanes.rules.groups] == ["demo"]


async def test_a_reload_with_problems_leaves_what_is_in_force(tmp_path: Path, hold: Callable[..., Held]) -> None:
    put_gateway(tmp_path, lanes("gray"))
    held = hold()
    await held.open()
    held.configuration.begin()
    held.configuration.follow()
    (tmp_path / "rules.yaml").write_text("lane_groups: 3\n")
    await held.configuration.reload("test")
    assert held.installed == [(1, ["gray"])]
    assert held.configuration.state.revision == 1
    assert "rules.yaml" in held.configuration.state.error[0]


async def test_a_first_load_with_problems_is_told(tmp_path: Path, hold: Callable[..., Held]) -> None:
    put_gateway(tmp_path, "lane_groups: 3\n")
    with pytest.raises(ConfigError, match="lane_groups"):
        await hold().open()


async def test_what_is_loaded_is_built_in_a_thread_and_installed_on_the_loop(
    tmp_path: Path, hold: Callable[..., Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Certificates, keys and CA files are read there: requests go on meanwhile."""
    where: list[bool] = []
    build = Build.of

    def noted(*args: Any) -> Any:
        where.append(threading.current_thread() is threading.main_thread())
        return build(*args)

    monkeypatch.setattr(Build, "of", staticmethod(noted))
    put_gateway(tmp_path, lanes("gray"))
    held = hold()
    await held.open()
    held.configuration.begin()
    held.configuration.follow()
    (tmp_path / "rules.yaml").write_text(lanes("blue"))
    await held.configuration.reload("test")
    assert held.installed[-1] == (2, ["blue"])
    assert set(where) == {False}


async def test_a_lane_that_expires_is_closed_without_a_reload(
    tmp_path: Path, hold: Callable[..., Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same revision, and for either role: nobody has changed anything."""
    put_gateway(tmp_path, lanes("gray", expires="2100-01-01T00:00:00Z"))
    held = hold()
    await held.open()
    monkeypatch.setattr("gateway.control.expiry.next_look", lambda rules, now: 0.0 if len(held.installed) < 2 else None)
    monkeypatch.setattr("gateway.control.expiry.LATER", 0.0)
    held.configuration.begin()
    await until(lambda: len(held.installed) == 2)
    assert held.installed == [(1, ["gray"]), (1, ["gray"])]
    assert held.builds[0] is not held.builds[1]
    assert held.configuration.build is held.builds[1]


async def test_what_was_built_for_an_expired_lane_does_not_take_a_newer_builds_place(
    tmp_path: Path, hold: Callable[..., Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload comes while the rules before it are compiled again."""
    put_gateway(tmp_path, lanes("gray"))
    held = hold()
    await held.open()
    held.configuration.begin()
    held.configuration.follow()
    (tmp_path / "rules.yaml").write_text(lanes("blue"))
    build, going = Build.of, threading.Event()

    def slow(settings: GatewaySettings, rules: RuleSet) -> Build[GatewaySettings]:
        if rules is held.builds[0].rules:
            going.wait(30)
        return build(settings, rules)

    monkeypatch.setattr(Build, "of", staticmethod(slow))
    compiling = asyncio.create_task(held.configuration._compile_again())
    await held.configuration.reload("test")
    going.set()
    await compiling
    assert held.installed == [(1, ["gray"]), (2, ["blue"])]


async def test_after_its_end_nothing_is_put_in_force(tmp_path: Path, hold: Callable[..., Held]) -> None:
    put_gateway(tmp_path, lanes("gray"))
    held = hold()
    await held.open()
    held.configuration.begin()
    held.configuration.follow()
    await held.configuration.close()
    (tmp_path / "rules.yaml").write_text(lanes("blue"))
    await held.configuration.reload("SIGHUP")
    assert held.installed == [(1, ["gray"])]


async def test_a_change_of_a_file_is_noticed(tmp_path: Path, hold: Callable[..., Held]) -> None:
    put_gateway(tmp_path, lanes("gray"))
    held = hold()
    await held.open()
    held.configuration.begin()
    held.configuration.follow()
    (tmp_path / "rules.yaml").write_text(lanes("blue"))
    await until(lambda: held.installed == [(1, ["gray"]), (2, ["blue"])])


async def test_the_history_is_written_in_a_thread_and_goes_on_after_a_restart(
    tmp_path: Path, hold: Callable[..., Held], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To write is to wait for the disk, and neither requests do nor who asks what the revision in force is."""
    threads: list[bool] = []
    told: list[tuple[int, int]] = []

    def noted(*args: Any) -> None:
        threads.append(threading.current_thread() is threading.main_thread())
        write_file(*args)

    async def away(call: Callable[..., Any], *args: Any) -> Any:
        # What anybody is told while the loop is free.
        told.append((held.configuration.state.revision, held.configuration.history.last))
        return await to_thread(call, *args)

    to_thread = asyncio.to_thread
    monkeypatch.setattr("asyncio.to_thread", away)
    monkeypatch.setattr("gateway.ruletools.history.write_file", noted)
    put_gateway(tmp_path, lanes("gray"), state="state")
    held = hold(keeps_history=True)
    await held.open()
    held.configuration.begin()
    held.configuration.follow()
    (tmp_path / "rules.yaml").write_text(lanes("blue"))
    await held.configuration.reload("a change", "alice")
    found = [(item.number, item.cause, item.author) for item in held.configuration.history.revisions()]
    assert found == [(2, "a change", "alice"), (1, "start", "")]
    assert threads == [False, False]
    assert {(2, 2), (1, 1)} <= set(told) <= {(0, 0), (1, 1), (2, 2)}
    await held.parts.aclose()
    again = hold(keeps_history=True)
    await again.open()
    again.configuration.begin()
    assert again.installed == [(3, ["blue"])]


async def test_old_rules_are_in_force_if_those_at_the_start_have_problems(
    tmp_path: Path, hold: Callable[..., Held]
) -> None:
    put_gateway(tmp_path, lanes("gray"), state="state")
    first = hold()
    await first.open()
    await first.parts.aclose()
    (tmp_path / "rules.yaml").write_text("lane_groups: 3\n")
    second = hold()
    await second.open()
    second.configuration.begin()
    assert second.installed == [(1, ["gray"])]
    assert second.configuration.state.runs_old_rules


async def test_a_sidecar_keeps_no_history_and_counts_its_revisions_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(lanes("gray"))
    (tmp_path / "sidecar.yaml").write_text(write_yaml({**SIDECAR, "rules": "rules.yaml", "state": "state"}))
    revisions: list[int] = []
    configuration = Configuration(
        SidecarSettings, tmp_path / "sidecar.yaml", (), lambda build, revision: revisions.append(revision)
    )
    async with AsyncExitStack() as parts:
        await configuration.open(parts)
        parts.push_async_callback(configuration.close)
        configuration.begin()
        configuration.follow()
        (tmp_path / "rules.yaml").write_text(lanes("blue"))
        await configuration.reload("test")
    assert revisions == [1, 2]
    assert configuration.history.revisions() == []
    assert list((tmp_path / "state" / "history").iterdir()) == []
