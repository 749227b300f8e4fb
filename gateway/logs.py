"""Log lines: one an event, whatever is in it."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from gateway.printable import printable

_ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)  # as logging has it

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Escapes what messages bring from outside, so that nobody forges a line or steers the terminal that shows it.

    A line of a traceback begins with white space: it cannot be taken for an event.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line, without a traceback."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802
        """The lines of a traceback."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """The lines of a stack."""
        return _indented(super().formatStack(stack_info))


def log_to_stderr(who: str = "") -> None:
    """Writes what is logged from now on to stderr; `who` stands before each message."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(FORMAT.replace("%(message)s", f"{who}%(message)s")))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _indented(text: str) -> str:
    return "\n".join(f"    {printable(line)}" for line in text.split("\n"))
