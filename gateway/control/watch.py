"""Watching the files a configuration came from.

The *directories* are watched, not the files: an editor that saves by renaming replaces the file, and a Kubernetes
ConfigMap swaps the `..data` link beside it. Either shows as a change in the directory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from watchfiles import Change, awatch

_log = logging.getLogger("gateway.control")

RETRY = 2.0
"""Seconds until a directory that could not be watched (it was removed, say) is tried again."""


class Watcher:
    """Awaits `changed` after files in the watched directories changed, once for a burst of changes."""

    def __init__(self, changed: Callable[[], Awaitable[None]]) -> None:
        self._changed = changed
        self._directories: frozenset[Path] = frozenset()
        self._searched: frozenset[str] = frozenset()
        self._files: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None

    def watch(self, files: Iterable[Path]) -> None:
        """Watches the directories of these files and directories, instead of what was watched before.

        Links are followed too, so that a file linked in from elsewhere is seen to change.
        """
        paths = {path for file in files for path in (file.absolute(), file.resolve())}
        searched = {path for path in paths if path.is_dir()}
        directories = searched | {path.parent for path in paths - searched}
        self._searched = frozenset(map(str, searched))
        self._files = frozenset(map(str, paths))
        if frozenset(directories) != self._directories:
            self._directories = frozenset(directories)
            self._cancel()
            if directories:
                self._task = asyncio.get_running_loop().create_task(self._run(self._directories))

    async def _run(self, directories: frozenset[Path]) -> None:
        while True:
            present = [directory for directory in directories if directory.is_dir()]
            try:
                async for _ in awatch(*present, watch_filter=self.concerns, debounce=200, step=20, recursive=False):
                    await self._changed()
                    if any(not directory.is_dir() for directory in present):
                        break
            except (OSError, RuntimeError) as error:
                _log.warning("cannot watch %s: %s", ", ".join(map(str, present)), error)
            await asyncio.sleep(RETRY)
            await self._changed()

    def concerns(self, change: Change, path: str) -> bool:
        """Whether a change may be one of what is watched: not a line more in a log that stands in the same directory."""
        return change is not Change.modified or path in self._files or str(Path(path).parent) in self._searched

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Stops watching."""
        task = self._task
        self._cancel()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
