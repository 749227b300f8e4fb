"""Watching files: changes of what was read are told, whatever else happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway import daemons
from gateway.control import watch
from gateway.control.watch import Watcher
from tests.support.wait import until


class Told:
    """Counts what it is told; raises once where it is asked to."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False

    async def changed(self) -> None:
        self.count += 1
        if self.fails:
            self.fails = False
            raise KeyError("a bug")

    async def after(self, change: Callable[[], object]) -> None:
        """Makes a change, and waits until something is told."""
        before = self.count
        change()
        await until(lambda: self.count > before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "gateway.yaml").write_text("a")
    (tmp_path / "rules" / "one.yaml").write_text("b")
    return tmp_path


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def watcher(told: Told, folder: Path) -> AsyncIterator[Watcher]:
    watcher = Watcher(told.changed, poll=600)
    watcher.watch([folder / "gateway.yaml", folder / "rules", folder / "rules" / "one.yaml"])
    # Once at the beginning: something may have changed since the files were read.
    await until(lambda: told.count == 1)
    yield watcher
    await watcher.close()


async def test_a_change_a_new_file_and_a_replacement_are_told(told: Told, watcher: Watcher, folder: Path) -> None:
    await told.after(lambda: (folder / "gateway.yaml").write_text("changed"))
    await told.after(lambda: (folder / "rules" / "two.yaml").write_text("new"))
    await told.after((folder / "rules" / "two.yaml").unlink)
    (folder / "new").write_text("x")
    await told.after(lambda: (folder / "new").replace(folder / "gateway.yaml"))


async def test_a_deployment_in_several_steps_is_told_when_it_is_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SETTLE", 1.0)
    seen: list[int] = []

    async def changed() -> None:
        seen.append(len(list((folder / "rules").iterdir())))

    watcher = Watcher(changed, poll=600)
    watcher.watch([folder / "rules"])
    await until(lambda: seen == [1])
    for number in range(5):
        (folder / "rules" / f"{number}.yaml").write_text("x")
        await asyncio.sleep(0.25)
    await until(lambda: len(seen) > 1)
    await watcher.close()
    assert set(seen[1:]) == {6}


async def test_what_changed_while_nobody_watched_is_told(told: Told, watcher: Watcher, folder: Path) -> None:
    """Between reading files and watching them, or between two watches, the system tells nobody."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    await told.after(lambda: watcher.watch([folder / "gateway.yaml", elsewhere / "late.yaml"]))
    await told.after(lambda: (elsewhere / "late.yaml").write_text("x"))


async def test_a_bug_in_what_is_told_does_not_end_the_watch(
    told: Told, watcher: Watcher, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "FIRST_PAUSE", 0.01)
    failures = daemons.failures["watching files"]
    told.fails = True
    await told.after(lambda: (folder / "gateway.yaml").write_text("changed"))
    await until(lambda: told.count >= 3)  # begun anew, it looks again
    assert daemons.failures["watching files"] == failures + 1
    await told.after(lambda: (folder / "gateway.yaml").write_text("changed again"))


async def test_without_the_systems_word_files_are_looked_at_and_that_is_said_once(
    told: Told, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(watch, "DirectoryEvents", refuse)
    watcher = Watcher(told.changed, poll=0.02)
    watcher.watch([folder / "rules", folder / "rules" / "one.yaml"])
    await until(lambda: told.count == 1)
    await told.after(lambda: (folder / "rules" / "one.yaml").write_text("changed"))
    await told.after(lambda: (folder / "rules" / "one.yaml").write_text("changed again"))
    await watcher.close()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "the system does not report file changes ([Errno 28] OS file watch limit reached): checking every 0.02 s"
    ]
