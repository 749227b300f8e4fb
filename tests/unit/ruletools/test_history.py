"""What outlives a restart of the rules' history, and what is not believed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from gateway.ruletools.history import History, Revision

GOOD = Revision(3, 1000.5, "alice", "lane demo/gray disabled", {"../rules/gray.yaml": "lane_groups: []  # ü\n"})


def put(folder: Path, name: str, content: Any) -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def record(history: History, revision: Revision) -> None:
    history.add(revision)
    history.save(revision)


def test_revisions_outlive_a_restart_and_are_their_owners_alone(tmp_path: Path) -> None:
    history = History(tmp_path / "history", limit=3)
    for number in range(1, 6):
        record(history, Revision(number, float(number), "", "start", GOOD.files))
    again = History(tmp_path / "history", limit=3)
    assert again.revisions() == history.revisions()
    assert [revision.number for revision in again.revisions()] == [5, 4, 3]
    assert again.last == 5
    assert sorted(path.name for path in (tmp_path / "history").iterdir()) == [f"00000000{n}.json" for n in (3, 4, 5)]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "history").iterdir()} == {0o600}


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", "[" * 100_000, {}, {**asdict(GOOD), "number": "3"}, {**asdict(GOOD), "number": 4}, {**asdict(GOOD), "number": -3},
        {**asdict(GOOD), "number": True}, {**asdict(GOOD), "number": 3.0}, {**asdict(GOOD), "files": ["/etc/passwd"]},
        {**asdict(GOOD), "files": {"x": 1}}, {**asdict(GOOD), "files": {"x": None}}, {**asdict(GOOD), "author": None},
        {**asdict(GOOD), "at": "now"}, json.dumps({**asdict(GOOD), "at": 0}).replace('"at": 0', '"at": 1e999'),
        json.dumps({**asdict(GOOD), "at": 0}).replace('"at": 0', '"at": NaN'),
        '{"number": 3, "at": 1, "author": "", "cause": "", "files": {"x": "\\ud800"}}', "root:x:0:0:secret",
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_a_file_that_is_no_revision_is_passed_over(
    tmp_path: Path, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, and not what is in it: it may be anything."""
    put(tmp_path, "000000003.json", content)
    put(tmp_path, "000000002.json", {**asdict(GOOD), "number": 2})
    assert [revision.number for revision in History(tmp_path).revisions()] == [2]
    assert "000000003.json is ignored" in caplog.text
    assert "passwd" not in caplog.text
    assert "secret" not in caplog.text


def test_what_is_no_file_of_a_revision_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "000000001.json")
    (tmp_path / "000000002.json").symlink_to("/dev/zero")
    (tmp_path / "000000003.json").mkdir()
    put(tmp_path, "notes.json", asdict(GOOD))
    put(tmp_path, "3.json", asdict(GOOD))
    put(tmp_path, "1000000003.json", {**asdict(GOOD), "number": 1_000_000_003})
    history = History(tmp_path)
    assert [revision.number for revision in history.revisions()] == [1_000_000_003]
    record(history, Revision(1_000_000_004, 0.0, "", "", {}))
    assert History(tmp_path).last == 1_000_000_004
    monkeypatch.setattr("gateway.ruletools.history.MAX_HISTORY", 100)
    assert History(tmp_path).last == 1_000_000_004
    assert len(History(tmp_path).revisions()) == 1
    assert History(tmp_path / "nowhere").revisions() == []
