"""`gateway check`: problems are data on stdout, the summary is for people on stderr, the exit code for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main

LANE = "lane_groups: [{name: g, lanes: [{name: l, tag: gray, match: [{param: a, equals: '1'}]}]}]\n"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(LANE)
    (tmp_path / "b.yaml").write_text(LANE.replace("name: g", "name: h"))
    return tmp_path


def test_fine(rules: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(rules)])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "2 files checked, no problems\n")
    result = CliRunner().invoke(main, ["check", str(rules / "a.yaml"), "-o", "json"])
    assert (result.exit_code, json.loads(result.stdout), result.stderr) == (0, [], "1 file checked, no problems\n")


def test_problems(rules: Path) -> None:
    bad = rules / "b.yaml"
    bad.write_text("lane_groups: [{name: g!, lane: []}]\n")
    result = CliRunner().invoke(main, ["check", str(rules)])
    assert result.exit_code == 1
    assert result.stderr == "2 problems in 1 file\n"
    assert result.stdout.splitlines() == [
        f"{bad}:1:22: lane_groups.0.name: a name is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit",
        f"{bad}:1:26: lane_groups.0.lane: unknown key 'lane'; did you mean 'lanes'?",
    ]
    result = CliRunner().invoke(main, ["check", str(rules), "-o", "json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)[1] == {
        "file": str(bad),
        "line": 1,
        "column": 26,
        "message": "lane_groups.0.lane: unknown key 'lane'; did you mean 'lanes'?",
    }


@pytest.mark.parametrize("arguments", [["check"], ["check", "-o", "xml", "x"], ["check", "--strict", "x"]])
def test_usage(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
