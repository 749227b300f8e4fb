"""`gateway check` and the files of releases."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.release.check import check_all
from tests.support.release import FILES, write_files
from tests.support.releases import CONFIG


def checked(folder: Path) -> list[str]:
    return [str(problem).removeprefix(f"{folder}/") for problem in check_all([folder])[0]]


def test_a_configuration_brings_its_files_with_it_wherever_they_are(tmp_path: Path) -> None:
    write_files(tmp_path / "elsewhere", {"apps/a.yaml": FILES["apps/a.yaml"] + "nope: 1\n"})
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "release.yaml").write_text(CONFIG.replace("files: release", "files: ../elsewhere"))
    problems, count = check_all([tmp_path / "config"])
    assert [problem.message for problem in problems] == ["nope: unknown key 'nope'"]
    assert count == 1 + len(FILES)


def test_files_of_all_kinds_are_checked_together_and_each_once(tmp_path: Path) -> None:
    write_files(tmp_path / "release", {"workflows/release.yaml": "stages: []\n"})
    (tmp_path / "release.yaml").write_text(CONFIG + "nope: 1\n")
    assert checked(tmp_path)[0] == "release.yaml:7:1: nope: unknown key 'nope'"
    (tmp_path / "release.yaml").write_text(CONFIG)
    (tmp_path / "rules.yaml").write_text("lane_groups: x\n")
    assert checked(tmp_path) == [
        "release/workflows/release.yaml:1:9: stages: must have at least 1 item, not 0",
        "rules.yaml:1:14: lane_groups: must be a list (found 'x')",
    ]


def test_without_what_the_extra_installs_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "release")
    (tmp_path / "release.yaml").write_text(CONFIG)
    for name in [name for name in sys.modules if name.startswith("gateway.release") or name == "gotpl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gotpl", None)
    assert checked(tmp_path)[0] == (
        "release.yaml:1:1: checking a release needs gotpl: pip install 'gray-gateway[release]'"
    )
