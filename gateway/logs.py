"""What every process of this program says to people: a line of text or a JSON object on stderr for each event.

One set-up for all roles and for workers, so that every record has the same fields: when (UTC, ISO 8601), how bad, which
part of the program, which process, what. A record is one line whatever it holds; only in text, a traceback follows on
its own lines, which are indented.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from gateway.printable import printable

LEVELS: Final = ("debug", "info", "warning", "error")
TEXT: Final = "text"
JSON: Final = "json"
LEVEL_VARIABLE: Final = "GATEWAY_LOG_LEVEL"
FORMAT_VARIABLE: Final = "GATEWAY_LOG_FORMAT"

BURST: Final = 100
"""Records that one place in the program may write at once …"""
RATE: Final = 1.0
"""… and a second after that: enough for a gateway that starts with a hundred services, and less than 10 MB a day of what
somebody outside causes with every request."""

_log = logging.getLogger("gateway")


def set_up(level: str = "info", style: str = TEXT, worker: int | None = None) -> None:
    """Has this process write its records to stderr. `worker` is the number of the worker that it is.

    The processes that it starts find `level` and `style` in their environment.
    """
    os.environ[LEVEL_VARIABLE], os.environ[FORMAT_VARIABLE] = level, style
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JSONFormatter if style == JSON else TextFormatter)(worker))
    handler.addFilter(Flood().lets_through)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("aiohttp.server").addFilter(_is_our_fault)
    sys.excepthook = _uncaught
    threading.excepthook = lambda raised: _uncaught(raised.exc_type, raised.exc_value, raised.exc_traceback)


def set_up_worker(worker: int) -> None:
    """Has a worker write its records as the process does that started it."""
    set_up(os.environ.get(LEVEL_VARIABLE, "info"), os.environ.get(FORMAT_VARIABLE, TEXT), worker)


def _is_our_fault(record: logging.LogRecord) -> bool:
    """Whether a record is about us: aiohttp writes a traceback for what a client sends that is not HTTP."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__module__ != "aiohttp.http_exceptions"


def _uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    _log.critical("unexpected: the program has a bug", exc_info=(kind, error or kind(), traceback))


class Flood:
    """Lets each place in the program write `BURST` records, then `RATE` a second.

    What somebody outside can cause, he can cause a million times: records are not to fill a disk, or hide the others. The
    last record before some are left out says so, and the next one that comes through says how many it were.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By place, not by text: the text may have been put together, and places are bounded in number.
        self._budgets: dict[tuple[str, int], _Budget] = {}

    def lets_through(self, record: logging.LogRecord) -> bool:
        """Whether a record is to be written.

        Notes in its `left_out` how many like it were not, and in `is_last` whether the next one will not, if it comes now.
        """
        place = (record.pathname, record.lineno)
        budget = self._budgets.get(place)
        if budget is None:
            budget = self._budgets[place] = _Budget(self._clock())
        if not budget.takes(self._clock()):
            return False
        record.left_out, budget.left_out = budget.left_out, 0
        record.is_last = budget.is_empty
        return True


class _Budget:
    __slots__ = ("_at", "_tokens", "left_out")

    def __init__(self, now: float) -> None:
        self._tokens: float = BURST
        self._at = now
        self.left_out = 0

    @property
    def is_empty(self) -> bool:
        return self._tokens < 1.0

    def takes(self, now: float) -> bool:
        self._tokens = min(BURST, self._tokens + (now - self._at) * RATE)
        self._at = now
        if self.is_empty:
            self.left_out += 1
            return False
        self._tokens -= 1.0
        return True


class _Formatter(logging.Formatter):
    """What both formats are made of."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._worker = worker

    def _when(self, record: logging.LogRecord) -> str:
        return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z"

    def _message(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        if left_out := getattr(record, "left_out", 0):
            message += f" ({left_out} records like this one were left out)"
        elif getattr(record, "is_last", False):
            message += " (more records like this one are left out while they come this fast)"
        return message

    def _traceback(self, record: logging.LogRecord) -> str:
        parts = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return "\n".join(parts)


class TextFormatter(_Formatter):
    """`2026-11-23T19:31:46.218Z INFO gateway.control [4711]: …`; of a worker `[4712 worker 0]`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback's lines."""
        process = str(record.process) if self._worker is None else f"{record.process} worker {self._worker}"
        line = f"{self._when(record)} {record.levelname} {record.name} [{process}]: {printable(self._message(record))}"
        traceback = self._traceback(record)
        # Indented: no line that somebody else has a word in is to look like a record.
        return line + "".join(f"\n    {printable(part)}" for part in traceback.splitlines())


class JSONFormatter(_Formatter):
    """An object a line: `ts`, `level`, `logger`, `pid`, `worker`, `message`, and `traceback` after an unexpected error."""

    def format(self, record: logging.LogRecord) -> str:
        """The object. It is ASCII: JSON escapes the rest itself."""
        fields: dict[str, Any] = {
            "ts": self._when(record),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "worker": self._worker,
            "message": self._message(record),
        }
        traceback = self._traceback(record)
        if traceback:
            fields["traceback"] = traceback
        return json.dumps(fields)
