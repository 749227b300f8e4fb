"""What the system reports of directories, by inotify(7): the event loop reads it, so no thread has to wait for it.

Python's library has no inotify. The packages that do bring a thread that wakes up fifty times a second, and two megabytes, for
what is three calls of the C library.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

# sys/inotify.h
_ATTRIB: Final = 0x4
_CLOSE_WRITE: Final = 0x8
_MOVED: Final = 0x40 | 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_SELF: Final = 0x400 | 0x800
_ONLY_DIRECTORIES: Final = 0x1000000
# Not that a file is being written: it counts when it is whole, and a log beside it is never closed.
_CHANGES: Final = _ATTRIB | _CLOSE_WRITE | _MOVED | _CREATE | _DELETE | _SELF | _ONLY_DIRECTORIES

_EVENT: Final = struct.Struct("iIII")
"""The watch, what happened, a cookie, and the size of the name that follows, padded with zero bytes."""
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
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "inotify_init1"):
            raise OSError(errno.ENOSYS, "this system has no inotify")
        self._file = _checked(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            for directory in directories:
                watch = library.inotify_add_watch(self._file, os.fsencode(directory), _CHANGES)
                self._directories[_checked(watch)] = directory
        except OSError:
            os.close(self._file)
            raise
        self._loop.add_reader(self._file, self._read)

    def _read(self) -> None:
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self._file, _MOST_READ)
        at = 0
        while at < len(data):
            watch, _, _, size = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            name = data[at : at + size].rstrip(b"\0")
            at += size
            directory = self._directories.get(watch)
            if directory is not None:
                # What happens to a directory itself has no name.
                self._changed(f"{directory.rstrip('/')}/{os.fsdecode(name)}" if name else directory)

    def close(self) -> None:
        """Tells nothing more."""
        self._loop.remove_reader(self._file)
        os.close(self._file)


def _checked(result: int) -> int:
    """What a call returned. Raises OSError if it failed."""
    if result < 0:
        code = ctypes.get_errno()
        limit = _LIMITS.get(code)
        raise OSError(code, os.strerror(code) if limit is None else f"the limit {limit} is reached")
    return result
