"""One event, one line: what a registry or a client says cannot forge another."""

from __future__ import annotations

import logging
import sys

from gateway.logs import FORMAT, LineFormatter

FORGED = "x\r\n2027-01-01 00:00:00,000 INFO gateway: all is well \x1b[2J\u202e"


def line_of(record: logging.LogRecord) -> str:
    return LineFormatter(FORMAT.removeprefix("%(asctime)s ")).format(record)


def test_a_message_is_one_line_and_steers_no_terminal() -> None:
    record = logging.LogRecord("gateway", logging.WARNING, "f", 1, "registry says %s", (FORGED,), None)
    escaped = r"x\r\n2027-01-01 00:00:00,000 INFO gateway: all is well \x1b[2J\u202e"
    assert line_of(record) == f"WARNING gateway: registry says {escaped}"


def test_a_traceback_is_told_from_events_by_its_indentation() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError:
        record = logging.LogRecord(
            "gateway", logging.ERROR, "f", 1, "unexpected", (), sys.exc_info(), sinfo="Stack:\ny"
        )
    first, *rest = line_of(record).split("\n")
    assert first == "ERROR gateway: unexpected"
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-2:] == ["    Stack:", "    y"]
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    assert any("gateway: all is well" in line for line in rest)
