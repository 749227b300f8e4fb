"""Reloading: build, swap, keep the old on failure; nothing where nothing changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.control.reload import Reloader
from gateway.errors import ConfigError, Problem
from gateway.rulesources.files import FILES_CHANGED


class Loaded:
    def __init__(self, path: Path, wrong: Path) -> None:
        self.text = path.read_text()
        self.files: Sequence[Path] = (path,)
        if self.text == "broken":
            raise ConfigError([Problem(str(wrong), 1, 1, "it is broken")], [path, wrong])
        if self.text == "a bug":
            raise KeyError(self.text)


class Setup:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.wrong = path
        self.loads = 0
        self.applied: list[tuple[str, int]] = []
        self.reloader: Reloader[Loaded] = Reloader(
            self.load, lambda loaded, revision: self.applied.append((loaded.text, revision))
        )

    def load(self) -> Loaded:
        self.loads += 1
        return Loaded(self.path, self.wrong)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    path = tmp_path / "file"
    path.write_text("one")
    return Setup(path)


async def test_revisions_count_what_was_applied(setup: Setup) -> None:
    await setup.reloader.start()
    setup.path.write_text("two")
    assert await setup.reloader.reload("test")
    assert setup.applied == [("one", 1), ("two", 2)]
    assert (setup.reloader.state.revision, setup.reloader.state.succeeded) == (2, 2)


async def test_nothing_happens_where_nothing_changed(setup: Setup) -> None:
    await setup.reloader.start()
    loads = setup.loads
    assert await setup.reloader.reload("test")
    assert setup.applied == [("one", 1)]
    assert setup.loads == loads  # to look at the files is enough


async def test_a_file_more_in_a_directory_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("one")

    class Directory:
        def __init__(self) -> None:
            self.files: Sequence[Path] = (tmp_path, *sorted(tmp_path.glob("*.yaml")))

    reloader: Reloader[Directory] = Reloader(Directory, lambda *_: None)
    await reloader.start()
    (tmp_path / "notes.txt").write_text("no rules")
    await reloader.reload("test")
    assert reloader.state.revision == 1
    (tmp_path / "two.yaml").write_text("two")
    await reloader.reload("test")
    assert reloader.state.revision == 2


async def test_a_failure_keeps_the_old_and_is_shown_until_a_reload_succeeds(setup: Setup) -> None:
    await setup.reloader.start()
    setup.path.write_text("broken")
    assert not await setup.reloader.reload("test")
    state = setup.reloader.state
    assert (state.revision, state.failed, state.error) == (1, 1, (f"{setup.path}:1:1: it is broken",))
    assert setup.applied == [("one", 1)]
    assert setup.reloader.loaded is not None
    assert setup.reloader.loaded.text == "one"
    setup.path.write_text("one")
    assert await setup.reloader.reload("test")
    assert setup.reloader.state.error == ()
    assert setup.applied == [("one", 1)]


async def test_a_failure_that_is_known_is_not_told_again(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    await setup.reloader.start()
    setup.path.write_text("broken")
    assert not await setup.reloader.reload(FILES_CHANGED)
    assert not await setup.reloader.reload(FILES_CHANGED)
    assert (setup.reloader.state.failed, len(caplog.records)) == (1, 1)
    # Who asks for a reload is answered.
    assert not await setup.reloader.reload("SIGHUP")
    assert (setup.reloader.state.failed, len(caplog.records)) == (2, 2)


async def test_a_failure_may_be_mended_where_it_is(setup: Setup) -> None:
    other = setup.path.with_name("other")
    await setup.reloader.start()
    setup.wrong = other
    setup.path.write_text("broken")
    await setup.reloader.reload("test")
    assert set(setup.reloader.files) == {setup.path, other}  # both are watched
    setup.path.write_text("one")
    await setup.reloader.reload("test")
    assert set(setup.reloader.files) == {setup.path}


async def test_the_first_load_has_no_old_revision_to_keep(setup: Setup) -> None:
    setup.path.write_text("broken")
    with pytest.raises(ConfigError):
        await setup.reloader.start()


async def test_what_cannot_be_applied_is_told_like_what_cannot_be_read(setup: Setup) -> None:
    await setup.reloader.start()

    def fail(loaded: Loaded, revision: int) -> None:
        raise KeyError("a bug")

    setup.reloader._apply, apply = fail, setup.reloader._apply
    setup.path.write_text("two")
    assert not await setup.reloader.reload("test")
    (error,) = setup.reloader.state.error
    assert "cannot be applied: KeyError: 'a bug'" in error
    setup.reloader._apply = apply
    assert await setup.reloader.reload("test")
    assert setup.applied == [("one", 1), ("two", 2)]


async def test_a_bug_in_the_loading_is_a_failure_like_any_other(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    """Who asks for reloads (the watch, a signal, the admin API) goes on."""
    await setup.reloader.start()
    setup.path.write_text("a bug")
    assert not await setup.reloader.reload("test")
    assert setup.reloader.state.error == ("configuration: cannot be loaded: KeyError: 'a bug'",)
    assert setup.applied == [("one", 1)]
    assert caplog.records[0].exc_info
    setup.path.write_text("two")
    assert await setup.reloader.reload("test")


async def test_a_revision_that_cannot_be_recorded_is_in_force(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    setup.reloader._recorded = fail
    await setup.reloader.start()
    assert setup.reloader.state.error == ()
    assert [record.getMessage() for record in caplog.records] == ["revision 1 was not recorded in the history"]


async def test_a_start_that_fails_runs_what_there_is_instead_and_says_so(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    old = Loaded(setup.path, setup.wrong)
    setup.path.write_text("broken")
    assert await setup.reloader.start(7, lambda _: old) is old
    state = setup.reloader.state
    problem = f"{setup.path}:1:1: it is broken"
    assert (state.revision, state.succeeded, state.failed, state.error, state.runs_old_rules) == (
        7, 0, 1, (problem,), True,
    )  # fmt: skip
    assert setup.applied == [("one", 7)]
    line = f"the rules have problems; revision 7, the last one without, is in force: {problem}"
    assert [record.getMessage() for record in caplog.records] == [line]
    # What is mended is a new revision, were it the same as the old one.
    setup.path.write_text("one")
    assert await setup.reloader.reload("test")
    assert setup.applied == [("one", 7), ("one", 8)]
    assert (setup.reloader.state.error, setup.reloader.state.runs_old_rules) == ((), False)
