"""Watching files: changes of what was read are told, what else happens beside it is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from watchfiles import Change

from gateway.control.watch import Watcher


class Counter:
    def __init__(self) -> None:
        self.count = 0
        self._told = asyncio.Event()

    async def changed(self) -> None:
        self.count += 1
        self._told.set()

    async def told(self) -> None:
        async with asyncio.timeout(10):
            await self._told.wait()
        self._told.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "gateway.yaml").write_text("a")
    (tmp_path / "rules" / "one.yaml").write_text("b")
    return tmp_path


async def test_a_change_and_a_replacement_are_told(folder: Path) -> None:
    counter = Counter()
    watcher = Watcher(counter.changed)
    watcher.watch([folder / "gateway.yaml", folder / "rules", folder / "rules" / "one.yaml"])
    # A watch begins some time after it was asked for.
    async with asyncio.timeout(10):
        while not counter.count:
            (folder / "gateway.yaml").write_text("changed")
            await asyncio.sleep(0.05)
    await counter.told()
    (folder / "rules" / "two.yaml").write_text("new")
    await counter.told()
    (folder / "new").write_text("x")
    (folder / "new").replace(folder / "gateway.yaml")
    await counter.told()
    await watcher.close()


async def test_a_log_beside_the_configuration_is_no_change_of_it(folder: Path) -> None:
    watcher = Watcher(Counter().changed)
    watcher.watch([folder / "gateway.yaml", folder / "rules"])
    assert not watcher.concerns(Change.modified, str(folder / "gateway.log"))
    assert watcher.concerns(Change.added, str(folder / "..data"))
    assert watcher.concerns(Change.modified, str(folder / "gateway.yaml"))
    assert watcher.concerns(Change.modified, str(folder / "rules" / "three.yaml"))
    await watcher.close()


async def test_a_linked_file_is_followed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "real.yaml"
    elsewhere.write_text("x")
    (folder / "link.yaml").symlink_to(elsewhere)
    watcher = Watcher(Counter().changed)
    watcher.watch([folder / "link.yaml"])
    assert watcher.concerns(Change.modified, str(elsewhere))
    await watcher.close()
