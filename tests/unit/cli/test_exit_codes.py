"""What `gateway rules …` exits with, and what it says then: 0 fine, 1 something was found, 2 usage."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.release.ports import free_port

RULES = "lane_groups: [{name: g, services: [a], lanes: [{name: l, tag: t, match: [{param: p, equals: x}]}]}]\n"
FORMATTED = """\
lane_groups:
  - name: g
    services: [a]
    lanes:
      - {name: l, tag: t, match: [{param: p, equals: x}]}
"""
TESTS = "tests: [{name: one, request: {url: '/?p=x'}, lane: g/l}]\n"
LINE = {"ts": "2027-01-15T08:00:00.000Z", "client": "10.0.0.1", "method": "GET", "host": "h", "target": "/?p=x"}
LANE = {"Name": "l", "Tag": "t", "EntryRules": [{"Paths": ["/A"], "RestItems": []}]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with sound rules, tests of them, and other files that are what their names say."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules" / "tests").mkdir(parents=True)
    (tmp_path / "rules" / "r.yaml").write_text(FORMATTED)
    (tmp_path / "rules" / "tests" / "r.yaml").write_text(TESTS)
    (tmp_path / "same.yaml").write_text(RULES)
    (tmp_path / "loose.yaml").write_text(FORMATTED.replace("services: [a]", "services:   [a]"))
    (tmp_path / "moved.yaml").write_text(RULES.replace("equals: x", "equals: y"))
    (tmp_path / "shadow.yaml").write_text(
        RULES.replace("}]}]}]", "}]}, {name: m, tag: u, match: [{param: p, equals: x}]}]}]")
    )
    (tmp_path / "wrong.yaml").write_text(RULES.replace("tag", "tga"))
    (tmp_path / "failing.yaml").write_text(TESTS.replace("g/l", "none"))
    (tmp_path / "refused.yaml").write_text(TESTS.replace("/?p=x", "/.."))
    (tmp_path / "binary").write_bytes(os.urandom(64) + b"\0\xff\xfe")
    (tmp_path / "log").write_text(json.dumps(LINE) + "\n")
    (tmp_path / "mixed.log").write_bytes(b"\xff\xfe\n" + json.dumps(LINE).encode() + b"\n")
    (tmp_path / "lane.json").write_text(json.dumps(LANE))
    (tmp_path / "lossy.json").write_text(json.dumps({**LANE, "Id": 7}))
    return tmp_path


def run(command: str) -> Result:
    return CliRunner().invoke(main, command.split())


FINE = [
    "lint", "lint rules", "test", "test rules/tests", "fmt rules", "fmt same.yaml", "fmt --diff rules", "diff rules same.yaml --requests log",
    "diff same.yaml rules --requests mixed.log -o json", "import mse lane.json", "import mse lane.json --strict", "import mse lossy.json",
    "export mse", "export polaris rules", "export istio rules",
]  # fmt: skip
FOUND = [
    "lint shadow.yaml", "lint wrong.yaml", "lint nope", "lint binary", "lint --config nope", "lint --config wrong.yaml",
    "test failing.yaml", "test refused.yaml", "test nope", "test binary", "test rules", "test --rules same.yaml", "test --rules nope",
    "test --rules binary", "fmt --diff loose.yaml", "fmt nope", "fmt binary", "diff rules moved.yaml --requests log",
    "diff rules nope --requests log", "diff nope rules --requests log", "diff rules rules --requests nope",
    "diff rules rules --requests rules", "diff rules rules --requests binary", "diff rules wrong.yaml --requests log",
    "import mse nope", "import mse rules", "import mse binary", "import mse same.yaml", "import polaris lane.json",
    "import istio lane.json", "import mse lossy.json --strict", "export mse nope", "export mse binary", "export mse wrong.yaml",
    "export istio rules --strict", "history --server 127.0.0.1:PORT", "rollback 1 --server 127.0.0.1:PORT", "history --server nonsense:x",
]  # fmt: skip
USAGE = [
    "lint --nope", "lint --ignore GR999", "lint -o xml", "test --nope", "fmt --nope", "diff", "diff rules", "diff rules rules",
    "diff rules rules --requests", "import", "import mse", "import nacos lane.json", "export", "export nacos rules", "history",
    "history x --server h:1", "rollback --server h:1", "nope",
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code"),
    [*((line, 0) for line in FINE), *((line, 1) for line in FOUND), *((line, 2) for line in USAGE)],
)
def test_exit_codes(folder: Path, arguments: str, code: int) -> None:
    result = run(f"rules {arguments.replace('PORT', str(free_port()))}")
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    if code:
        assert result.output
    if code == 2:
        assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [line for line in FOUND if line.split()[0] in ("lint", "test", "diff", "history") and "rollback" not in line],
)
def test_json_is_json_whatever_happens(folder: Path, arguments: str) -> None:
    result = run(f"rules {arguments.replace('PORT', str(free_port()))} -o json")
    assert result.exit_code == 1
    found: Any = json.loads(result.stdout)
    if isinstance(found, dict) and "error" in found:
        assert found.keys() == {"error", "problems"}
        assert found["error"] == result.stderr.rstrip("\n")
        assert found["error"] == "\n".join(
            f"{item['file']}:{item['line']}:{item['column']}: {item['message']}" for item in found["problems"]
        ) or not found["problems"]  # fmt: skip


READERS = [
    "lint {}", "test {}", "test --rules {} rules/tests", "fmt {}", "diff {} same.yaml --requests log", "diff same.yaml {} --requests log",
    "export mse {}",
]  # fmt: skip
TAKERS = ["diff same.yaml same.yaml --requests {}", "import istio {}"]
"""Of these a directory is not read."""


@pytest.mark.parametrize(
    "arguments",
    [
        *(line.format(name) for line in READERS for name in ("nope", "binary")),
        *(line.format(name) for line in TAKERS for name in ("nope", "binary", "rules")),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_place(folder: Path, arguments: str) -> None:
    name = next(word for word in ("nope", "binary", "rules") if word in arguments.split())
    result = run(f"rules {arguments}")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{name}:1:1: ")


def test_a_place_that_cannot_be_written_to_is_a_problem_of_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("gateway.files.write_file", refuse)
    result = run("rules fmt loose.yaml rules")
    assert result.exit_code == 1
    assert result.stderr == "loose.yaml:1:1: cannot write the file: Permission denied\n"


def test_what_moves_is_read_from_a_pipe(folder: Path) -> None:
    for rules, code in (("same.yaml", 0), ("moved.yaml", 1)):
        result = CliRunner().invoke(
            main, ["rules", "diff", "rules", rules, "--requests", "-"], input=json.dumps(LINE).encode()
        )
        assert (result.exit_code, result.stderr) == (code, f"{code} of 1 request would move\n")
    result = CliRunner().invoke(main, ["rules", "diff", "rules", "rules", "--requests", "-"], input=b"\xff")
    assert (result.exit_code, result.stderr.partition(":")[0]) == (1, "<stdin>")
