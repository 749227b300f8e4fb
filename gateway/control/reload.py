"""Reloading: load → validate → compile → swap, and keep the old on failure.

Everything is built in a thread: requests go on while ten thousand lanes are read.

Semantics of Caddy's `changeConfig`: one reload at a time, nothing happens where nothing changed, everything is built
before anything is swapped, and an error leaves the running revision as it was and is shown until a reload succeeds.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from gateway.errors import ConfigError, Problem
from gateway.files import MAX_DATA, read_file

_log = logging.getLogger("gateway.control")

FILES_CHANGED = "files changed"
"""The cause of a reload that nobody asked for. A failure that is known already is not told again then."""


class Loaded(Protocol):
    """What a load gives: everything compiled, and the files it was read from."""

    @property
    def files(self) -> Sequence[Path]:
        """Everything that was read, directories included."""
        ...


L = TypeVar("L", bound=Loaded)


@dataclass(frozen=True, slots=True)
class ReloadState:
    """What the admin API and the metrics show. Times are seconds since the epoch."""

    revision: int
    loaded_at: float
    succeeded: int
    failed: int
    error: tuple[str, ...]
    """The problems of the last reload; empty after one that succeeded."""


def _nothing(*_: object) -> None:
    """Nobody wants to know."""


class Reloader(Generic[L]):
    """Holds the running revision, counted from 1."""

    def __init__(
        self,
        load: Callable[[], L],
        apply: Callable[[L, int], None],
        recorded: Callable[[L, int, str, str], None] = _nothing,
    ) -> None:
        """`load` runs in a thread, `apply` on the loop.

        `recorded` is told every new revision: what was loaded, its number, the cause and the author.
        """
        self._lock = asyncio.Lock()
        self._load = load
        self._apply = apply
        self._recorded = recorded
        self._digest = b""
        self._wrong: tuple[Path, ...] = ()
        self.loaded: L | None = None
        self.state = ReloadState(revision=0, loaded_at=0.0, succeeded=0, failed=0, error=())

    @property
    def files(self) -> Sequence[Path]:
        """What a change may be in: everything that was read, and the files in which the last reload found problems."""
        return () if self.loaded is None else (*self.loaded.files, *self._wrong)

    async def start(self, last: int = 0) -> L:
        """The first load; `last` is the revision that an earlier run ended with.

        Raises ConfigError: there is no old revision to keep.
        """
        loaded, digest = await asyncio.to_thread(self._read)
        self.state = replace(self.state, revision=last)
        self._swap(loaded, digest, "start", "")
        return loaded

    async def reload(self, cause: str, author: str = "") -> bool:
        """Loads again, for a reason and on behalf of somebody.

        Returns whether the running revision is what the files say now.
        """
        async with self._lock:
            return await self._reload(cause, author)

    async def _reload(self, cause: str, author: str) -> bool:
        state = self.state
        try:
            loaded, digest = await asyncio.to_thread(self._read)
            if digest == self._digest:
                if state.error:
                    _log.info("the files are those of revision %d again", state.revision)
                    self.state = ReloadState(state.revision, state.loaded_at, state.succeeded, state.failed, ())
                    self._wrong = ()
                return True
            try:
                self._swap(loaded, digest, cause, author)
            except Exception as error:  # a bug; what runs may be half of each, which somebody has to know of
                _log.exception("revision %d cannot be applied", self.state.revision + 1)
                message = f"cannot be applied: {type(error).__name__}: {error}; restart to be sure of what runs"
                raise ConfigError([Problem("configuration", 0, 0, message)]) from error
        except ConfigError as error:
            problems = tuple(str(problem) for problem in error.problems)
            if cause == FILES_CHANGED and problems == state.error:
                return False
            self._wrong = tuple({Path(problem.file) for problem in error.problems if problem.line})
            self.state = ReloadState(state.revision, state.loaded_at, state.succeeded, state.failed + 1, problems)
            _log.error("reload (%s) failed, revision %d stays: %s", cause, state.revision, "; ".join(problems))
            return False
        _log.info("reloaded (%s): revision %d", cause, self.state.revision)
        return True

    def _read(self) -> tuple[L, bytes]:
        """Loads, and takes the digest of the files as they were *before*: a change in between is seen the next time."""
        files: Sequence[Path] = () if self.loaded is None else self.loaded.files
        while True:
            digest = _digest(files)
            loaded = self._load()
            if tuple(loaded.files) == tuple(files):
                return loaded, digest
            files = loaded.files

    def _swap(self, loaded: L, digest: bytes, cause: str, author: str) -> None:
        state = self.state
        self._apply(loaded, state.revision + 1)
        self.loaded = loaded
        self._digest = digest
        self._wrong = ()
        self.state = ReloadState(state.revision + 1, time.time(), state.succeeded + 1, state.failed, ())
        self._recorded(loaded, self.state.revision, cause, author)


def _digest(files: Sequence[Path]) -> bytes:
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file).encode() + b"\0")
        try:
            digest.update(read_file(file, MAX_DATA))
        except OSError:
            digest.update(b"\0missing")
    return digest.digest()
