"""What is to be said of a change of rules before it is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.rules.environment import MatchEnvironment
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet
from gateway.ruletools.lint import Finding, Knowledge, lint
from gateway.ruletools.review import Linted, review
from gateway.ruletools.whatif import Recorded
from tests.support.asked import asked
from tests.support.proxy import LANE
from tests.support.rules import around

OLD = RuleSet.of([LaneGroup.model_validate(LANE)])
SPLIT = [{"param": "group", "equals": "gray"}, {"param": "group", "equals": "red"}]
NEW = RuleSet.of([LaneGroup.model_validate({**LANE, "lanes": [{"name": "gray", "tag": "gray", "match": SPLIT}]})])
TESTS = """\
tests:
  - {name: gray users, request: {url: "/A?group=gray"}, lane: demo/gray}
  - {name: others, request: {url: /A}, lane: none}
"""


def test_findings_tests_and_moves_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "gray.yaml").write_text(TESTS)
    records = [Recorded(asked("GET", "/A?group=gray"), 100.0, number) for number in range(1, 6)]
    found = review(OLD, NEW, around(), Knowledge(), [tmp_path], [*records, Recorded(asked("GET", "/A"), None, 9)])
    [finding] = found["lint"]
    assert (finding["code"], finding["severity"], finding["lane"], finding["is_new"]) == (
        "GR102",
        "error",
        "gray",
        True,
    )
    failed = {
        "name": "gray users",
        "file": str(tmp_path / "gray.yaml"),
        "line": 2,
        "expected": "demo/gray",
        "lane": "none",
    }
    assert found["tests"] == {"passed": 1, "failed": [failed], "problem": None}
    move = {"from": "demo/gray", "to": "baseline", "requests": 5, "examples": [], "records": [1, 2, 3]}
    assert (found["what_if"]["requests"], found["what_if"]["moves"]) == (6, [move])


def test_a_finding_that_there_is_already_is_not_new_and_comes_last() -> None:
    both = RuleSet.of(
        [LaneGroup.model_validate({**LANE, "lanes": [*NEW.groups[0].lanes, {"name": "x", "tag": "x", "match": SPLIT}]})]
    )
    found = review(NEW, both, around(), Knowledge(), [], [])
    assert [(item["lane"], item["is_new"]) for item in found["lint"]] == [("x", True), ("gray", False)]


def test_tests_that_cannot_be_read_are_a_problem_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "gray.yaml").write_text("tests: 1\n")
    found = review(OLD, OLD, around(), Knowledge(), [tmp_path], [])["tests"]
    assert (found["passed"], found["failed"]) == (0, [])
    assert "gray.yaml:1" in found["problem"]


def test_the_rules_in_force_are_linted_once_however_many_changes_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[RuleSet] = []

    def look(rules: RuleSet, environment: MatchEnvironment, known: Knowledge) -> list[Finding]:
        looked.append(rules)
        return lint(rules, environment, known)

    monkeypatch.setattr("gateway.ruletools.review.lint", look)
    linted, environment = Linted(), around()
    for _ in range(3):
        [finding] = review(OLD, NEW, environment, Knowledge(), [], [], linted=linted)["lint"]
        assert finding["is_new"]
    assert [rules is OLD for rules in looked] == [True, False, False, False]
    [finding] = review(NEW, NEW, environment, Knowledge(), [], [], linted=linted)["lint"]  # other rules are in force
    assert not finding["is_new"]
    review(NEW, NEW, environment, Knowledge(inspects_body=False), [], [], linted=linted)
    assert len(looked) == 8
