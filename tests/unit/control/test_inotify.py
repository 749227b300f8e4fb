"""What the system reports of directories, and what it is when it cannot."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import inotify_simple
import pytest

from gateway.control.inotify import DirectoryEvents
from tests.support.wait import until


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "the folder"
    folder.mkdir()
    (folder / "old").write_text("old")
    return folder


@pytest.fixture
async def events(folder: Path, told: list[str]) -> AsyncIterator[DirectoryEvents]:
    events = DirectoryEvents([str(folder)], told.append)
    yield events
    events.close()


async def ends(told: list[str], folder: Path) -> set[str]:
    """What was told before one more file; events come in the order in which things happen."""
    last = folder / "last"
    last.write_text("")
    await until(lambda: str(last) in told)
    return set(told) - {str(last)}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda folder: (folder / "old").write_text("new"), {"old"}),
        (lambda folder: (folder / "old").chmod(0o600), {"old"}),
        (lambda folder: (folder / "old").unlink(), {"old"}),
        (lambda folder: (folder / "old").rename(folder / "ньюс"), {"old", "ньюс"}),
        (lambda folder: (folder / "link").symlink_to("old"), {"link"}),
        (lambda folder: (folder / "below").mkdir(), {"below"}),
        (lambda folder: (folder / os.fsdecode(b"\xff")).write_text(""), {"\udcff"}),
        (lambda folder: (folder / "old").read_text(), set()),
    ],
    ids=["rewritten", "mode", "gone", "renamed", "link", "directory", "no text", "read"],
)
async def test_changes_of_entries_are_told(
    events: DirectoryEvents, told: list[str], folder: Path, change: Callable[[Path], object], names: set[str]
) -> None:
    change(folder)
    assert await ends(told, folder) == {str(folder / name) for name in names}


async def test_a_file_that_is_being_written_is_told_when_it_is_closed(
    events: DirectoryEvents, told: list[str], folder: Path
) -> None:
    with (folder / "old").open("a") as log:
        print("a line", file=log, flush=True)
        assert await ends(told, folder) == set()
    await until(lambda: str(folder / "old") in told)


async def test_more_than_one_read_takes(events: DirectoryEvents, told: list[str], folder: Path) -> None:
    names = {f"{'x' * 200}{number}" for number in range(400)}
    for name in names:
        (folder / name).mkdir()
    assert await ends(told, folder) == {str(folder / name) for name in names}


async def test_a_directory_that_goes_is_told_by_its_own_name(
    events: DirectoryEvents, told: list[str], folder: Path
) -> None:
    folder.rename(folder.with_name("elsewhere"))
    await until(lambda: told == [str(folder)])


async def test_nothing_is_told_or_held_after_the_end(events: DirectoryEvents, told: list[str], folder: Path) -> None:
    held = len(os.listdir("/proc/self/fd"))
    more: list[str] = []
    other = DirectoryEvents([str(folder)], more.append)
    other.close()
    assert len(os.listdir("/proc/self/fd")) == held
    assert await ends(told, folder) == set()
    assert more == []


async def test_a_directory_that_is_not_there_is_an_error_and_nothing_is_held(told: list[str], folder: Path) -> None:
    held = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        DirectoryEvents([str(folder), str(folder / "none")], told.append)
    assert len(os.listdir("/proc/self/fd")) == held


async def test_a_limit_that_is_reached_is_named(monkeypatch: pytest.MonkeyPatch, told: list[str], folder: Path) -> None:
    monkeypatch.setattr(inotify_simple, "get_errno", lambda: errno.ENOSPC)
    with pytest.raises(OSError, match=r"fs\.inotify\.max_user_watches") as raised:
        DirectoryEvents([str(folder / "none")], told.append)
    assert raised.value.errno == errno.ENOSPC


async def test_another_system_is_an_error(monkeypatch: pytest.MonkeyPatch, told: list[str], folder: Path) -> None:
    monkeypatch.setattr(inotify_simple, "_libc", SimpleNamespace())
    with pytest.raises(OSError, match="no inotify"):
        DirectoryEvents([str(folder)], told.append)
