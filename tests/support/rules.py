"""Rules for tests: compiled from plain data, in a match environment that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.rules.compile import compile_rules
from gateway.rules.environment import MatchEnvironment
from gateway.rules.match import CompiledRules
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet

NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z, a Friday."""


def around(**parts: Any) -> MatchEnvironment:
    """A match environment whose clock stands still."""
    return MatchEnvironment(**{"clock": lambda: NOW, **parts})


def rule_set(
    groups: Sequence[LaneGroup | dict[str, Any]], segments: Mapping[str, frozenset[str]] | None = None
) -> RuleSet:
    """Rules of groups, given as models or as a file has them."""
    return RuleSet.of(
        [group if isinstance(group, LaneGroup) else LaneGroup.model_validate(group) for group in groups], segments
    )


def compiled(
    groups: Sequence[LaneGroup | dict[str, Any]], segments: Mapping[str, frozenset[str]] | None = None, **parts: Any
) -> CompiledRules:
    """Compiled rules of groups."""
    return compile_rules(rule_set(groups, segments), around(**parts))
