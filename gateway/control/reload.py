"""Reloading: load → validate → compile → swap, and keep the old on failure.

Everything is built in a thread: requests are still served while ten thousand lanes are read.

Semantics of Caddy's `changeConfig`: one reload at a time, nothing happens if nothing changed, everything is built
before anything is swapped, and an error leaves the running revision as it was and is shown until a reload succeeds.
Whatever is wrong, a bug in the loading included, comes out as such an error: what triggers reloads keeps running.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from gateway.errors import ConfigError, Problem
from gateway.files import MAX_DATA, read_file
from gateway.rulesources.files import FILES_CHANGED, yaml_files

_log = logging.getLogger("gateway.control")


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
    runs_old_rules: bool = False
    """Whether what runs was kept from an earlier run, since what there was at the start had problems."""


async def _nothing(*_: object) -> None:
    """Nobody wants to know."""


def _none(*_: object) -> None:
    """There is nothing instead."""


class Reloader(Generic[L]):
    """Holds the running revision, counted from 1."""

    def __init__(
        self,
        load: Callable[[], L],
        apply: Callable[[L, int], None],
        recorded: Callable[[L, int, str, str], Awaitable[None]] = _nothing,
    ) -> None:
        """`load` runs in a thread, `apply` on the loop.

        `recorded` is called with every new revision: what was loaded, its number, the cause and the author. That it waits for the
        disk keeps nobody waiting but the next reload.
        """
        self._lock = asyncio.Lock()
        self._load = load
        self._apply = apply
        self._recorded = recorded
        self._digest = b""
        self._wanted: tuple[Path, ...] = ()
        self.loaded: L | None = None
        self.state = ReloadState(revision=0, loaded_at=0.0, succeeded=0, failed=0, error=())

    @property
    def files(self) -> Sequence[Path]:
        """What a change may be in: everything that was read, and what the last reload looked for if it failed."""
        return () if self.loaded is None else (*self.loaded.files, *self._wanted)

    async def start(self, last: int = 0, instead: Callable[[ConfigError], L | None] = _none) -> L:
        """The first load; `last` is the revision that an earlier run ended with.

        Where it fails, what `instead` gives is in force as that revision, and the failure is shown like that of a reload.
        Raises ConfigError if that is nothing.
        """
        try:
            loaded, digest = await asyncio.to_thread(self._read)
        except ConfigError as error:
            old = await asyncio.to_thread(instead, error)
            if old is None:
                raise
            self._keep_old(old, max(last, 1), error)
            return old
        self.state = replace(self.state, revision=last)
        self._swap(loaded, digest)
        await self._record(loaded, "start", "")
        return loaded

    def _keep_old(self, old: L, revision: int, error: ConfigError) -> None:
        self._apply(old, revision)
        self.loaded = old
        self._wanted = error.files
        problems = tuple(str(problem) for problem in error.problems)
        self.state = ReloadState(revision, time.time(), 0, 1, problems, runs_old_rules=True)
        _log.error(
            "the rules have problems; revision %d, the last one without, is in force: %s",
            revision,
            "; ".join(problems),
        )

    async def reload(self, cause: str, author: str = "") -> bool:
        """Loads again, for a reason and on behalf of somebody. Raises nothing.

        Returns whether the running revision is what the files say now.
        """
        async with self._lock:
            try:
                return await self._reload(cause, author)
            except ConfigError as error:
                self._failed(error, cause)
                return False

    async def _reload(self, cause: str, author: str) -> bool:
        state = self.state
        digest = b"" if self.loaded is None else await asyncio.to_thread(_digest, self.loaded.files)
        if digest and digest == self._digest:
            if state.error:
                _log.info("the files match revision %d again", state.revision)
                self.state = replace(state, error=())
                self._wanted = ()
            return True
        loaded, digest = await asyncio.to_thread(self._read)
        try:
            self._swap(loaded, digest)
        except Exception as error:  # a bug; what runs may be half of each, which somebody has to know of
            _log.exception("revision %d cannot be applied", self.state.revision + 1)
            message = (
                f"cannot be applied: {type(error).__name__}: {error}; restart to be sure which revision is running"
            )
            raise ConfigError([Problem("configuration", 0, 0, message)], loaded.files) from error
        await self._record(loaded, cause, author)
        _log.info("reloaded (%s): revision %d", cause, self.state.revision)
        return True

    def _failed(self, error: ConfigError, cause: str) -> None:
        state = self.state
        problems = tuple(str(problem) for problem in error.problems)
        self._wanted = error.files
        if cause == FILES_CHANGED and problems == state.error:
            return
        self.state = replace(state, failed=state.failed + 1, error=problems)
        _log.error("reload (%s) failed, keeping revision %d: %s", cause, state.revision, "; ".join(problems))

    def _read(self) -> tuple[L, bytes]:
        """Loads, and takes the digest of the files as they were *before*: a change in between is seen the next time."""
        files: Sequence[Path] = () if self.loaded is None else self.loaded.files
        try:
            while True:
                digest = _digest(files)
                loaded = self._load()
                if tuple(loaded.files) == tuple(files):
                    return loaded, digest
                files = loaded.files
        except ConfigError:
            raise
        except Exception as error:  # a bug; what runs need not end for it, nor what triggers reloads
            _log.exception("the configuration cannot be loaded")
            message = f"cannot be loaded: {type(error).__name__}: {error}"
            raise ConfigError([Problem("configuration", 0, 0, message)], files) from error

    def _swap(self, loaded: L, digest: bytes) -> None:
        state = self.state
        self._apply(loaded, state.revision + 1)
        self.loaded = loaded
        self._digest = digest
        self._wanted = ()
        self.state = ReloadState(state.revision + 1, time.time(), state.succeeded + 1, state.failed, ())

    async def _record(self, loaded: L, cause: str, author: str) -> None:
        try:
            await self._recorded(loaded, self.state.revision, cause, author)
        except Exception:  # noqa: BLE001 - it runs all the same
            _log.exception("revision %d was not recorded in the history", self.state.revision)


def _digest(files: Sequence[Path]) -> bytes:
    """A digest of what files and directories have: of a directory the names of its rule files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file).encode(errors="surrogateescape") + b"\0")
        try:
            if file.is_dir():
                digest.update("\0".join(member.name for member in yaml_files(file)).encode(errors="surrogateescape"))
            else:
                digest.update(read_file(file, MAX_DATA))
        except OSError:
            digest.update(b"\0missing")
    return digest.digest()
