"""A file of lines, written by its own thread: a slow disk or a blocked pipe must not hold up a request.

What waits to be written is bounded; beyond that lines are dropped, and counted.
"""

from __future__ import annotations

import logging
import os
import threading
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from typing import Final

_log = logging.getLogger("gateway.telemetry")

MAX_WAITING: Final = 16 * 1024 * 1024
"""Bytes that may wait to be written."""
BATCH: Final = 4 * 1024 * 1024
"""Bytes that are handed to the thread at once; fewer wait for the next `flush`."""
STDOUT: Final = "stdout"


class _Order(Enum):
    REOPEN = 1
    CLOSE = 2


class LineFile:
    """Appends lines to the file `path`, or to standard output where that is `stdout`.

    A file that was renamed or removed (logrotate) is reopened before the next lines, or when `reopen` is called.
    `dropped` counts the lines that were not written.
    """

    def __init__(self, path: str) -> None:
        """Raises OSError if the file cannot be opened."""
        self.dropped: int = 0
        self._path = path
        self._file = self._open()
        self._buffer = bytearray()
        self._waiting: int = 0
        self._written: int = 0
        self._is_failing = False
        self._batches: SimpleQueue[bytearray | _Order] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> None:
        """Takes one line, line end included."""
        size = len(line)
        self._waiting += size
        # `_written` belongs to the thread; reading a little too low a number only drops a little too early.
        if self._waiting - self._written > MAX_WAITING:
            self._waiting -= size
            self.dropped += 1
            return
        buffer = self._buffer
        buffer += line  # copied: a line that is kept would cost the next one cold memory
        if len(buffer) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Hands what there is to the thread."""
        if self._buffer:
            self._batches.put(self._buffer)
            self._buffer = bytearray()

    def reopen(self) -> None:
        """Has the thread reopen the file, once what there is now is written."""
        self.flush()
        self._batches.put(_Order.REOPEN)

    def close(self) -> None:
        """Writes what there is, for two seconds at most, and closes."""
        self.flush()
        self._batches.put(_Order.CLOSE)
        self._thread.join(2.0)

    def _open(self) -> int:
        if self._path == STDOUT:
            return 1
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _run(self) -> None:
        while (order := self._batches.get()) is not _Order.CLOSE:
            batch = bytearray() if isinstance(order, _Order) else order
            try:
                if batch:
                    self._reopen_if_moved()
                    self._write(batch)
                else:
                    self._reopen()
                self._is_failing = False
            except OSError as error:
                self.dropped += batch.count(b"\n")
                if not self._is_failing:
                    self._is_failing = True
                    _log.error("cannot write the access log %s: %s", self._path, error.strerror or error)
            self._written += len(batch)
        if self._path != STDOUT:
            os.close(self._file)

    def _write(self, batch: bytearray) -> None:
        left = memoryview(batch)
        while left:
            left = left[os.write(self._file, left) :]

    def _reopen_if_moved(self) -> None:
        if self._path == STDOUT:
            return
        mine = os.fstat(self._file)
        try:
            there = Path(self._path).stat()
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                return
        except FileNotFoundError:
            pass
        self._reopen()

    def _reopen(self) -> None:
        if self._path == STDOUT:
            return
        old = self._file
        self._file = self._open()
        os.close(old)
