"""`gateway rules …` and `gateway schema`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main

ROOT = Path(__file__).parents[3]
RULES = """\
lane_groups:
    - name: demo     # a comment
      lanes:
        - {name: gray,   tag: gray, match: [{param: group, equals: "gray"}]}
"""
TESTS = """\
tests:
  - name: gray users
    request: {url: "/?group=%s"}
    lane: demo/gray
  - name: everybody else
    request: {url: /}
    lane: none
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "rules" / "tests").mkdir(parents=True)
    (tmp_path / "rules" / "gray.yaml").write_text(RULES)
    (tmp_path / "rules" / "tests" / "gray.yaml").write_text(TESTS % "gray")
    return tmp_path / "rules"


@pytest.mark.parametrize("folder", ["rules", "rules/examples"])
def test_the_projects_own_rules_pass_their_tests(folder: str) -> None:
    result = run("rules", "test", "--rules", ROOT / folder)
    assert result.exit_code == 0, result.output
    assert " 0 failed" in result.stderr
    names = {path.stem for path in (ROOT / folder).glob("*.yaml")}
    assert names == {path.stem for path in (ROOT / folder / "tests").glob("*.yaml")}


def test_a_test_that_fails_shows_what_every_condition_saw(rules: Path) -> None:
    (rules / "tests" / "gray.yaml").write_text(TESTS % "grey")
    result = run("rules", "test", "--rules", rules)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{rules}/tests/gray.yaml:2: gray users",
        "    GET /?group=grey",
        "  - demo/gray",
        "  + none",
        "    demo/gray: does not match",
        "      no  param group equals 'gray' (value: 'grey')",
        "",
    ]
    assert result.stderr == "2 tests: 1 passed, 1 failed\n"
    outcomes = json.loads(run("rules", "test", "--rules", rules, "-o", "json").stdout)
    assert [(item["passed"], item["expected"], item["lane"]) for item in outcomes] == [
        (False, "demo/gray", "none"),
        (True, "none", "none"),
    ]


@pytest.mark.parametrize(
    ("tests", "problem"),
    [
        ("tests: []", "must have at least 1 item"),
        ("tests: [{name: x, lane: none}]", "tests.0.request: this key is required"),
        ("tests: [{name: x, lane: none, request: {url: '/..'}}]", "the gateway would refuse this request"),
        ("tests: [{name: x, lane: none, request: {urk: /}}]", "unknown key 'urk'; did you mean 'url'?"),
        ("lane_groups: []", "unknown key 'lane_groups'"),
    ],
)
def test_tests_that_are_none(rules: Path, tests: str, problem: str) -> None:
    (rules / "tests" / "gray.yaml").write_text(tests)
    result = run("rules", "test", "--rules", rules)
    assert (result.exit_code, problem in result.stderr) == (1, True), result.output


def test_there_must_be_tests(rules: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "r.yaml").write_text(RULES)
    result = run("rules", "test", "--rules", tmp_path / "other")
    assert (result.exit_code, "there is no directory" in result.stderr) == (1, True)


def test_formatting_changes_spacing_and_keeps_everything_else(rules: Path) -> None:
    shown = run("rules", "fmt", "--diff", rules)
    assert (shown.exit_code, "+  - name: demo" in shown.stdout) == (1, True)
    assert (rules / "gray.yaml").read_text() == RULES
    assert run("rules", "fmt", rules).exit_code == 0
    formatted = (rules / "gray.yaml").read_text()
    assert formatted == (
        "lane_groups:\n"
        "  - name: demo       # a comment\n"  # where it stood
        "    lanes:\n"
        '      - {name: gray, tag: gray, match: [{param: group, equals: "gray"}]}\n'
    )
    again = run("rules", "fmt", "--diff", rules)
    assert (again.exit_code, again.stdout) == (0, "")


def test_what_is_not_yaml_is_not_formatted(rules: Path) -> None:
    (rules / "gray.yaml").write_text("lane_groups: [")
    result = run("rules", "fmt", rules)
    assert (result.exit_code, f"{rules}/gray.yaml:" in result.stderr) == (1, True)
    assert (rules / "gray.yaml").read_text() == "lane_groups: ["


def test_diff_says_who_moves(rules: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.yaml"
    draft.write_text(RULES.replace('"gray"', '"blue"'))
    log = tmp_path / "access.log"
    line = {"ts": "2026-11-24T00:00:00.000Z", "client": "10.0.0.1", "method": "GET", "host": "x", "headers": {}}
    lines = [json.dumps({**line, "target": f"/?group={group}"}) for group in ("gray", "gray", "blue", "x")]
    log.write_text("\n".join([*lines, "half a li"]))
    result = run("rules", "diff", rules, draft, "--requests", log)
    assert result.exit_code == 1
    assert [row.split() for row in result.stdout.splitlines()[:3]] == [
        ["lane", "before", "after"],
        ["demo/gray", "2", "1", "-1"],
        ["baseline", "2", "3", "+1"],
    ]
    assert "3 of 4 requests would move; 1 line could not be read" in result.stderr
    found = json.loads(run("rules", "diff", rules, draft, "--requests", log, "-o", "json").stdout)
    assert (found["moved"], found["moves"][0]["requests"]) == (3, 2)
    log.write_text("nothing\n")
    result = run("rules", "diff", rules, draft, "--requests", log)
    assert (result.exit_code, "no line is a request" in result.stderr) == (1, True)


def test_schema_is_written() -> None:
    result = run("schema", "rules")
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    assert schema["properties"]["lane_groups"]["description"] == "The groups of this file."
