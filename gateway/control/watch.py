"""Watching the files a configuration came from: the system reports changes, and a slow look of our own is the net under it.

The system reports nothing on a network file system that another machine writes to, nor where its limit of watches is
reached. So every look compares what is there with what was there when a change was last reported.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from gateway.control.inotify import DirectoryEvents
from gateway.control.trail import Scope, Signature, signature
from gateway.daemons import keep_running

_log = logging.getLogger("gateway.control")

POLL: Final = 5.0
"""Seconds between two looks at the files if the system reports nothing."""
SETTLE: Final = 0.1
MOST_LOOKS: Final = 20
"""Seconds for which files have to be as they are before a change is reported, and how often that is waited for: to replace a
directory takes two steps, and to write many files many."""


class Watcher:
    """Awaits `changed` after a watched file or directory has changed, once for the steps of a change.

    It is awaited once at the beginning too, for what has changed since the files were read. `changed` may call `watch`.
    """

    def __init__(self, changed: Callable[[], Awaitable[None]], poll: float = POLL) -> None:
        self._changed = changed
        self._poll = poll
        self._files: tuple[Path, ...] = ()
        self._news = asyncio.Event()
        self._followed: Scope | None = None
        self._trouble = ""
        self._events: DirectoryEvents | None = None
        self._task: asyncio.Task[None] | None = None

    def watch(self, files: Iterable[Path]) -> None:
        """Watches these files and directories instead of what was watched before. They need not be there yet."""
        found = tuple(dict.fromkeys(files))
        if found != self._files:
            self._files = found
            self._news.set()
        if self._task is None:
            self._task = keep_running("watching files", self._run)

    async def _run(self) -> None:
        told: Signature | None = None
        while True:
            has_news = self._news.is_set()
            self._news.clear()
            files = self._files
            self._follow(await asyncio.to_thread(Scope.of, files), anew=has_news)
            found = await asyncio.to_thread(signature, files)
            if has_news or found != told:
                told = await self._settled(files, found)
                await self._changed()
                continue
            try:
                async with asyncio.timeout(self._poll):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _settled(self, files: tuple[Path, ...], found: Signature) -> Signature:
        """What is there once it has been the same for a moment."""
        for _ in range(MOST_LOOKS):
            await asyncio.sleep(SETTLE)
            before, found = found, await asyncio.to_thread(signature, files)
            if found == before:
                break
        return found

    def _follow(self, scope: Scope, anew: bool) -> None:
        """Has the system report changes within a scope, from before this returns."""
        # Again after a change: a directory that took another one's place may have its inode's number, too.
        if self._events is not None and not anew and scope == self._followed:
            return
        self._unfollow()
        self._followed = scope

        def changed(path: str) -> None:
            if scope.concerns(path):
                self._news.set()

        try:
            self._events = DirectoryEvents((name for name, *_ in sorted(scope.directories)), changed)
            self._trouble = ""
        except OSError as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.warning("the system does not report file changes (%s): checking every %g s", error, self._poll)

    def _unfollow(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    async def close(self) -> None:
        """Stops watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._unfollow()
