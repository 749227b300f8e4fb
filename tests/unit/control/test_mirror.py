"""Copies of remote rules: what is believed of a server, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from gateway.control import mirror
from gateway.control.mirror import DocumentMirror
from gateway.errors import RegistryError
from gateway.registry.documents import ConflictError
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

    async def watch(self) -> AsyncGenerator[str | None, None]:
        while True:
            answer = await self.answers.get()
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
        await until(lambda: self.document.asked > asked, "the answer to be taken")
        await asyncio.sleep(0)


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


async def test_neither_a_failure_nor_a_missing_document_takes_rules_away(setup: Setup) -> None:
    await setup.answer("one")
    await setup.answer(None)
    assert (setup.copy, setup.mirror.reason) == ("one", "absent")
    await setup.answer(RegistryError("unreachable", "cannot reach it"))
    assert (setup.copy, setup.mirror.reason, setup.causes) == ("one", "cannot reach it", [])
    await setup.answer("two")
    assert (setup.copy, setup.mirror.reason, setup.causes) == ("two", "", ["test:rules changed"])


async def test_a_document_ends_its_lines_as_it_likes(setup: Setup) -> None:
    """The copy has the same line ends, so that it is no news twice, and a change is made of what the server has."""
    await setup.answer("one\r\n")
    await setup.answer("one\r\n")
    assert setup.causes == []
    await setup.mirror.publish(setup.mirror.path, "two\r\n")
    assert setup.document.published == [("two\r\n", "one\r\n")]


async def test_a_failure_ends_the_wait_for_the_first_answer(setup: Setup) -> None:
    await setup.answer(RegistryError("timeout", "no answer"))
    await setup.mirror.asked()
    assert setup.mirror.is_unknown


async def test_an_answer_from_before_a_change_of_ours_does_not_undo_it(setup: Setup) -> None:
    await setup.answer("one")
    setup.document.gate = asyncio.Event()
    change = asyncio.create_task(setup.mirror.publish(setup.mirror.path, "two"))
    await until(lambda: setup.document.published == [("two", "one")])
    await setup.answer("one")
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
    await setup.answer("one")
    await until(lambda: setup.mirror.reason == "")
    assert setup.copy == "one"
