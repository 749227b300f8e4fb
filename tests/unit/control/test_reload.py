"""Reloading: build, swap, keep the old on failure; nothing where nothing changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.control.reload import FILES_CHANGED, Reloader
from gateway.errors import ConfigError, Problem


class Loaded:
    def __init__(self, path: Path, wrong: Path) -> None:
        self.text = path.read_text()
        self.files: Sequence[Path] = (path,)
        if self.text == "broken":
            raise ConfigError([Problem(str(wrong), 1, 1, "it is broken")])


class Setup:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.wrong = path
        self.applied: list[tuple[str, int]] = []
        self.reloader: Reloader[Loaded] = Reloader(
            lambda: Loaded(path, self.wrong), lambda loaded, revision: self.applied.append((loaded.text, revision))
        )


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
    assert await setup.reloader.reload("test")
    assert setup.applied == [("one", 1)]


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
    assert set(setup.reloader.files) == {setup.path, other}
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
