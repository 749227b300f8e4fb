"""What the system reports of directories, by inotify(7): the event loop reads it, so no thread has to wait for it.

The packages that wait in a thread bring two megabytes and wake up fifty times a second.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from inotify_simple import INotify, flags, parse_events

# Not that a file is being written: it counts when it is whole, and a log beside it is never closed.
_CHANGES: Final = (
    flags.ATTRIB
    | flags.CLOSE_WRITE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.CREATE
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)
_MOST_READ: Final = 16384
"""Bytes at a time, some hundred events: requests are served in between."""
_LIMITS: Final = {errno.ENOSPC: "fs.inotify.max_user_watches", errno.EMFILE: "fs.inotify.max_user_instances"}
"""Which limit of the system an error is about."""


class DirectoryEvents:
    """Tells what changes in some directories until it is closed, directories below them excepted.

    What is lost because it comes too fast (`IN_Q_OVERFLOW`) is not told.
    """

    def __init__(self, directories: Iterable[str], changed: Callable[[str], None]) -> None:
        """`changed` gets the path of every entry that is new, gone, rewritten or of another mode. Raises OSError if it cannot."""
        self._changed = changed
        self._directories: dict[int, str] = {}
        self._loop = asyncio.get_running_loop()
        try:
            self._events = INotify(nonblocking=True)
        except OSError as error:
            raise _explained(error) from error
        except AttributeError as error:  # of the C library
            raise OSError(errno.ENOSYS, "this system has no inotify") from error
        try:
            for directory in directories:
                self._directories[self._events.add_watch(directory, _CHANGES)] = directory
        except OSError as error:
            self._events.close()
            raise _explained(error) from error
        self._loop.add_reader(self._events, self._read)

    def _read(self) -> None:
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self._events.fileno(), _MOST_READ)
        for watch, _, _, name in parse_events(data):
            directory = self._directories.get(watch)
            if directory is not None:
                # What happens to a directory itself has no name.
                self._changed(f"{directory.rstrip('/')}/{name}" if name else directory)

    def close(self) -> None:
        """Tells nothing more."""
        self._loop.remove_reader(self._events)
        self._events.close()


def _explained(error: OSError) -> OSError:
    """The error, with the limit that it is about."""
    limit = _LIMITS.get(error.errno or 0)
    return error if limit is None else OSError(error.errno, f"the limit {limit} is reached")
