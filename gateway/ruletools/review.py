"""What is to be said of a change of rules before it is made: what the linter finds, which tests fail, who would move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from gateway.errors import ConfigError
from gateway.rules.environment import MatchEnvironment
from gateway.rules.ruleset import RuleSet
from gateway.ruletools.lint import Finding, Knowledge, lint
from gateway.ruletools.ruletests import load_tests, run_tests
from gateway.ruletools.whatif import Recorded, compare

MOST: Final = 50
"""Findings, and failed tests, that are told."""


Key = tuple[str, str, str, str, str]
"""What makes two findings the same."""


class Linted:
    """What the linter finds in the rules in force, kept: of the same rules, a change is tried with each word that is typed."""

    def __init__(self) -> None:
        self._of: tuple[RuleSet, Knowledge, int] | None = None
        self._keys: frozenset[Key] = frozenset()

    def keys(self, rules: RuleSet, environment: MatchEnvironment, known: Knowledge) -> frozenset[Key]:
        """The findings in some rules; looked for again if they are other rules, or after a minute, since lanes expire."""
        before, minute = self._of, int(environment.clock() // 60)
        if before is None or before[0] is not rules or before[1:] != (known, minute):
            self._keys = frozenset(_key(finding) for finding in lint(rules, environment, known))
            self._of = rules, known, minute
        return self._keys


def review(
    old: RuleSet,
    new: RuleSet,
    environment: MatchEnvironment,
    known: Knowledge,
    tests: Sequence[Path],
    records: Iterable[Recorded | None],
    *,
    linted: Linted | None = None,
) -> dict[str, Any]:
    """As plain values: `lint` has what the linter finds in `new`, and whether `old` has it too.

    `tests` are directories of rule tests, `records` requests that came lately. `linted` keeps what is found in `old`.
    """
    before = (linted or Linted()).keys(old, environment, known)
    findings = lint(new, environment, known)
    findings.sort(key=lambda finding: _key(finding) in before)
    return {
        "lint": [
            {
                "code": finding.code,
                "severity": finding.severity,
                "group": finding.group,
                "lane": finding.lane,
                "field": finding.key,
                "message": finding.message,
                "hint": finding.hint,
                "is_new": _key(finding) not in before,
            }
            for finding in findings[:MOST]
        ],
        "tests": _tested(new, environment, tests),
        "what_if": compare(old, new, environment, records).as_dict(),
    }


def _tested(rules: RuleSet, environment: MatchEnvironment, folders: Sequence[Path]) -> dict[str, Any]:
    try:
        tests = load_tests(folders)
    except (ConfigError, OSError) as error:
        return {"passed": 0, "failed": [], "problem": str(error)}
    # The claims of tokens are in the tests themselves.
    outcomes = run_tests(rules, tests, replace(environment, claims=lambda context: context.claims or {}))
    failed = [
        {
            "name": outcome.placed.test.name,
            "file": outcome.placed.file,
            "line": outcome.placed.line,
            "expected": outcome.placed.test.lane,
            "lane": outcome.lane,
        }
        for outcome in outcomes
        if not outcome.passed
    ]
    return {"passed": len(outcomes) - len(failed), "failed": failed[:MOST], "problem": None}


def _key(finding: Finding) -> Key:
    return finding.code, finding.group, finding.lane, finding.key, finding.message
