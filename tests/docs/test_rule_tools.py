"""What docs/rule-tools.md shows of the tools' output is what they print."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main

ROOT = Path(__file__).parents[2]
RULES = """\
lane_groups:
  - name: demo
    lanes:
      - {name: gray, tag: gray, match: [{param: group, equals: gray}]}
"""
BLUE = "      - {name: blue, tag: blue, match: [{param: team, equals: blue}]}\n"
LINE = {"headers": {"X-User": "alice"}, "client_ip": "10.1.2.3"}


def blocks(title: str) -> list[str]:
    """The samples in a section of the document."""
    section = (ROOT / "docs" / "rule-tools.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\w*\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rules" / "tests").mkdir(parents=True)
    (tmp_path / "rules" / "gray.yaml").write_text(RULES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_test_that_fails(folder: Path) -> None:
    _, tests, shown = blocks("Test")
    path = folder / "rules" / "tests" / "gray.yaml"
    path.write_text(tests)
    assert CliRunner().invoke(main, ["rules", "test"]).exit_code == 0
    path.write_text(tests.partition("\n")[2].replace("group=gray", "group=grey"))
    result = CliRunner().invoke(main, ["rules", "test"])
    assert (result.exit_code, result.stdout) == (1, shown + "\n")


def test_a_diff(folder: Path) -> None:
    command, shown = blocks("Diff")
    (folder / "draft").mkdir()
    head, lanes, gray = RULES.partition("    lanes:\n")
    (folder / "draft" / "lanes.yaml").write_text(head + lanes + BLUE + gray)
    urls = ["/A/a?group=gray&team=blue"] * 118 + ["/A/a?group=gray"] * 2 + ["/A/a"] * 880
    (folder / "access.log").write_text("".join(json.dumps({**LINE, "url": url}) + "\n" for url in urls))
    result = CliRunner().invoke(main, command.split()[1:])
    assert result.exit_code == 1
    assert [line.rstrip() for line in result.stdout.splitlines()] == shown.splitlines()
