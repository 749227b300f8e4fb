"""The file behind the access log: whole lines, moved files, and a bound on what waits."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from gateway.telemetry import linefile
from gateway.telemetry.linefile import LineFile


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    file = LineFile(str(path))
    file.add(b"one\n")
    file.add(b"two\n")
    file.close()
    assert path.read_bytes() == b"before\none\ntwo\n"


def test_a_file_that_was_moved_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = LineFile(str(path))
    path.rename(tmp_path / "log.1")
    file.add(b"one\n")
    file.close()
    assert path.read_bytes() == b"one\n"
    assert (tmp_path / "log.1").read_bytes() == b""


def test_what_nobody_reads_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe whose reader does not read: the writing thread is stuck, and memory stays bounded."""
    monkeypatch.setattr(linefile, "MAX_WAITING", 100_000)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = LineFile(str(path))
    line = b"x" * 999 + b"\n"
    for _ in range(1000):
        file.add(line)
        file.flush()
    assert file.dropped >= 1000 - 100 - 66  # what waits, and what the pipe holds
    received = bytearray()
    os.set_blocking(reader, True)
    closing = threading.Thread(target=file.close)
    closing.start()
    while len(received) < (1000 - file.dropped) * 1000:
        received += os.read(reader, 65536)
    closing.join()
    os.close(reader)
    assert bytes(received) == line * (1000 - file.dropped)


def test_a_disk_that_fails_is_said_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = LineFile("/dev/full")
    for _ in range(3):
        file.add(b"one\n")
        file.flush()
    file.close()
    assert file.dropped == 3
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "cannot write the access log /dev/full" in caplog.text


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        LineFile(str(tmp_path / "missing" / "log"))
