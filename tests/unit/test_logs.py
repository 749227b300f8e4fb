"""Records for people and for programs: one line each, in UTC, the same fields in every process, and no floods."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from gateway import logs
from gateway.logs import BURST, Flood, JSONFormatter, TextFormatter

WHEN = 1_795_455_126.97  # 2026-11-23T17:32:06.970Z


def record(message: str, *args: object, level: int = logging.INFO, line: int = 7) -> logging.LogRecord:
    made = logging.LogRecord("gateway.control", level, "gateway/x.py", line, message, args, None)
    made.created, made.msecs, made.process = WHEN, 970.0, 4711
    return made


def failed(message: str) -> logging.LogRecord:
    made = record("watching service %s failed unexpectedly", "a", level=logging.ERROR)
    try:
        raise ValueError(message)
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_a_line_of_text() -> None:
    line = "2026-11-23T17:32:06.970Z INFO gateway.control [4711]: reloaded: revision 2"
    assert TextFormatter(None).format(record("reloaded: revision %d", 2)) == line


def test_a_workers_line_says_which() -> None:
    line = "2026-11-23T17:32:06.970Z INFO gateway.control [4711 worker 0]: reloaded"
    assert TextFormatter(0).format(record("reloaded")) == line


@pytest.mark.parametrize("worker", [None, 3])
def test_a_json_object_has_the_same_fields_in_every_process(worker: int | None) -> None:
    assert json.loads(JSONFormatter(worker).format(record("reloaded: revision %d", 2))) == {
        "ts": "2026-11-23T17:32:06.970Z",
        "level": "INFO",
        "logger": "gateway.control",
        "pid": 4711,
        "worker": worker,
        "message": "reloaded: revision 2",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n2026 INFO forged", "a\\n2026 INFO forged"),
        ("\x1b[2J\x9b1m\r", "\\x1b[2J\\x9b1m\\r"),
        ("\u202e\u2028", "\\u202e\\u2028"),
        ("商品", "商品"),
        ("\udc80", "\\udc80"),
    ],
)
def test_text_from_outside_neither_ends_a_line_nor_moves_a_cursor(text: str, shown: str) -> None:
    assert TextFormatter(None).format(record("service %s", text)).endswith(f"]: service {shown}")
    line = JSONFormatter(None).format(record("service %s", text))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == f"service {text}"


def test_a_traceback_is_one_record() -> None:
    first, *rest = TextFormatter(None).format(failed("x\n2026 INFO forged\x1b[2J")).split("\n")
    assert first.endswith("]: watching service a failed unexpectedly")
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    line = JSONFormatter(None).format(failed("x\ny"))
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("\nValueError: x\ny")


def test_a_stack_follows_the_record_as_a_traceback_does() -> None:
    made = failed("x")
    made.stack_info = "Stack (most recent call last):\n2026 INFO forged"
    _, *rest = TextFormatter(None).format(made).split("\n")
    assert rest[-3:] == ["    ValueError: x", "    Stack (most recent call last):", "    2026 INFO forged"]
    assert json.loads(JSONFormatter(None).format(made))["traceback"].endswith("\n2026 INFO forged")


def test_what_comes_a_million_times_is_let_through_once_a_second() -> None:
    now, text = 0.0, TextFormatter(None)
    flood = Flood(lambda: now)
    records = [record("service %s", f"x{number}") for number in range(BURST + 500)]
    written = [text.format(made) for made in records if flood.lets_through(made)]
    assert written[: BURST - 1] == [text.format(made) for made in records[: BURST - 1]]
    assert written[BURST - 1 :] == [
        f"{text.format(record('service x99'))} (more records like this one are left out while they come this fast)"
    ]
    assert flood.lets_through(record("something else", line=8))
    now = 1.0
    late = record("service %s", "y")
    assert flood.lets_through(late)
    assert text.format(late).endswith("]: service y (500 records like this one were left out)")
    assert not flood.lets_through(record("service %s", "z"))
    now = 1000.0
    assert sum(flood.lets_through(record("service %s", "x")) for _ in range(2 * BURST)) == BURST


@pytest.fixture
def untouched() -> Iterator[None]:
    """What `set_up` changes in the process is put back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(logs.LEVEL_VARIABLE, "")
        patch.setenv(logs.FORMAT_VARIABLE, "")
        yield
    logging.getLogger("aiohttp.server").filters.clear()
    root.handlers[:], sys.excepthook, threading.excepthook = handlers, *hooks
    root.setLevel(level)


@pytest.mark.usefixtures("untouched")
def test_a_worker_writes_as_the_process_does_that_started_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("warning", logs.JSON)
    logs.set_up_worker(2)
    logging.getLogger("gateway").info("unwanted")
    logging.getLogger("gateway").warning("wanted")
    [line] = capsys.readouterr().err.splitlines()
    assert (json.loads(line)["message"], json.loads(line)["worker"]) == ("wanted", 2)


@pytest.mark.usefixtures("untouched")
def test_a_client_that_does_not_speak_http_is_no_error_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up()
    log = logging.getLogger("aiohttp.server")
    log.error("Error handling request from %s", "1.2.3.4", exc_info=BadHttpMessage("no method"))
    log.error("Error handling request from %s", "1.2.3.5", exc_info=ValueError("a bug"))
    told = [line for line in capsys.readouterr().err.splitlines() if "Error handling" in line]
    assert [line.rpartition(" ")[2] for line in told] == ["1.2.3.5"]


@pytest.mark.usefixtures("untouched")
def test_an_error_that_nobody_caught_is_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", logs.JSON)
    try:
        raise ValueError("x")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["level"] == "CRITICAL"
    assert json.loads(line)["traceback"].endswith("\nValueError: x")
