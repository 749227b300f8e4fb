"""Copies of remote rules: what is believed of a server, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from gateway.errors import RegistryError
from gateway.rulesources import mirror
from gateway.rulesources.consul import ConsulFolder
from gateway.rulesources.documents import ConflictError
from gateway.rulesources.mirror import DocumentMirror, FolderMirror
from tests.support.wait import until


class Document:
    """A server that answers as told: a text, None for no document, an error."""

    name = "test:rules"

    def __init__(self) -> None:
        self.answers: asyncio.Queue[str | RegistryError | None] = asyncio.Queue()
        self.published: list[tuple[str, str | None]] = []
        self.refuses = False
        self.gate: asyncio.Event | None = None
        self.asked = 0
        self.is_waiting = False

    async def watch(self) -> AsyncGenerator[str | None, None]:
        while True:
            self.is_waiting = True
            answer = await self.answers.get()
            self.is_waiting = False
            self.asked += 1
            if isinstance(answer, RegistryError):
                raise answer
            yield answer

    async def publish(self, text: str, before: str | None) -> None:
        if self.refuses:
            raise ConflictError(self.name)
        self.published.append((text, before))
        if self.gate is not None:
            await self.gate.wait()

    async def read(self) -> str | None:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class Setup:
    def __init__(self, path: Path) -> None:
        self.document = Document()
        self.causes: list[str] = []
        self.mirror = DocumentMirror(self.document, path, self.changed)

    @property
    def copy(self) -> str:
        return self.mirror.path.read_text()

    async def changed(self, cause: str) -> None:
        self.causes.append(cause)

    async def answer(self, answer: str | RegistryError | None) -> None:
        """Lets the server answer, and waits until that was taken in."""
        asked = self.document.asked
        self.document.answers.put_nowait(answer)
        # Whoever asks for the next one is done with this one.
        await until(lambda: self.document.asked > asked and self.document.is_waiting, "the answer to be taken")


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    setup = Setup(tmp_path / "remote" / "copy.yaml")
    setup.mirror.start()
    yield setup
    await setup.mirror.close()


async def test_the_first_answer_is_waited_for_later_ones_are_told(setup: Setup) -> None:
    assert setup.mirror.is_unknown
    await setup.answer("one")
    await setup.mirror.asked()
    assert (setup.copy, setup.causes, setup.mirror.is_unknown) == ("one", [], False)
    await setup.answer("one")
    await setup.answer("two")
    assert (setup.copy, setup.causes) == ("two", ["test:rules changed"])


async def test_neither_a_failure_nor_a_missing_document_takes_rules_away(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    await setup.answer("one")
    await setup.answer(None)
    await setup.answer(None)
    assert (setup.copy, setup.mirror.reason, setup.mirror.is_up) == ("one", "there is no such document", False)
    setup.document.answers.put_nowait(RegistryError("unreachable", "cannot reach it"))
    await until(lambda: setup.mirror.reason == "cannot reach it")
    assert (setup.copy, setup.mirror.is_up, setup.causes) == ("one", False, [])
    await setup.answer("two")
    assert (setup.copy, setup.mirror.reason, setup.mirror.is_up) == ("two", "", True)
    assert setup.causes == ["test:rules changed"]
    assert setup.mirror.failures == {"absent": 1, "unreachable": 1}
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [
        f"rules of test:rules: {why}; keeping the last known rules"
        for why in ("there is no such document", "cannot reach it")
    ]


async def test_a_copy_that_somebody_changed_or_deleted_is_put_right(setup: Setup) -> None:
    await setup.mirror.restore()  # nothing is known yet
    assert not setup.mirror.path.exists()
    await setup.answer("one")
    setup.mirror.path.write_text("lane_groups: []")
    await setup.mirror.restore()
    assert setup.copy == "one"
    setup.mirror.path.unlink()
    await setup.mirror.restore()
    assert setup.copy == "one"
    await setup.mirror.publish(setup.mirror.path, "ours")
    setup.mirror.path.unlink()
    await setup.mirror.restore()
    assert setup.copy == "ours"
    assert setup.mirror.path.stat().st_mode & 0o777 == 0o600


async def test_a_document_ends_its_lines_as_it_likes(setup: Setup) -> None:
    """The copy has the same line ends, so that it is no news twice, and a change is made of what the server has."""
    await setup.answer("one\r\n")
    await setup.answer("one\r\n")
    assert setup.causes == []
    await setup.mirror.publish(setup.mirror.path, "two\r\n")
    assert setup.document.published == [("two\r\n", "one\r\n")]


async def test_a_failure_ends_the_wait_for_the_first_answer(setup: Setup) -> None:
    await setup.answer(RegistryError("timeout", "no response"))
    await setup.mirror.asked()
    assert setup.mirror.is_unknown


async def test_an_answer_from_before_a_change_of_ours_does_not_undo_it(setup: Setup) -> None:
    await setup.answer("one")
    setup.document.gate = asyncio.Event()
    change = asyncio.create_task(setup.mirror.publish(setup.mirror.path, "two"))
    await until(lambda: setup.document.published == [("two", "one")])
    setup.document.answers.put_nowait("one")
    await until(lambda: setup.document.asked == 2)
    setup.document.gate.set()
    await change
    await setup.answer("two")
    assert (setup.copy, setup.causes) == ("two", [])
    await setup.answer("three")
    assert (setup.copy, setup.causes) == ("three", ["test:rules changed"])


async def test_a_conflict_leaves_the_copy_as_it_was(setup: Setup) -> None:
    await setup.answer("one")
    setup.document.refuses = True
    with pytest.raises(ConflictError):
        await setup.mirror.publish(setup.mirror.path, "two")
    assert setup.copy == "one"


async def test_a_disk_that_is_full_does_not_end_the_watch(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(mirror, "write_file", full)
        await setup.answer("one")
        await setup.mirror.asked()
        assert "No space left" in setup.mirror.reason
        assert setup.mirror.failures == {"disk": 1}
    await setup.answer("one")
    await until(lambda: setup.mirror.reason == "")
    assert setup.copy == "one"


async def test_line_ends_are_kept_as_they_are(setup: Setup) -> None:
    """A document written with Windows' line ends is the same each time, and is changed where it is what it was."""
    for _ in range(2):
        await setup.answer("one\r\n")
    assert (setup.mirror.path.read_bytes(), setup.causes) == (b"one\r\n", [])
    await setup.mirror.publish(setup.mirror.path, "two\r\n")
    assert setup.document.published == [("two\r\n", "one\r\n")]


async def test_a_change_before_the_servers_first_answer_leaves_other_copies_alone(tmp_path: Path) -> None:
    """Of a prefix each key has a copy: those of an earlier run are not strays for that."""

    class Folder:
        name = "test:folder/"
        published: list[str] = []

        async def publish(self, name: str, text: str | None, before: str | None) -> None:
            self.published.append(name)

    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(name)
    folder = Folder()

    async def changed(_: str) -> None:
        raise AssertionError

    mirror = FolderMirror(cast("ConsulFolder", folder), tmp_path, changed)
    await mirror.publish(tmp_path / "one.yaml", "changed")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "one.yaml": "changed",
        "two.yaml": "two.yaml",
    }
    await mirror.publish(tmp_path / "one.yaml", None)
    assert [file.name for file in tmp_path.iterdir()] == ["two.yaml"]
    assert folder.published == ["one.yaml", "one.yaml"]
