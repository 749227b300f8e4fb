"""The linter: what rules say that nobody meant. Every finding has a code, a place, a hint and, where it helps, a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from gateway.http.request import Request
from gateway.rules.compile import compile_rules, is_open
from gateway.rules.explain import weigh_lane
from gateway.rules.lint import plain
from gateway.rules.lint.findings import CODES, Finding, Knowledge
from gateway.rules.lint.reach import implies, takes_everything, why_dead
from gateway.rules.lint.witness import Setting, find_request
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.rows import rows_of
from gateway.rules.ruleset import RuleSet
from gateway.rules.shares import GroupShares
from gateway.rules.surroundings import Surroundings

__all__ = ["CODES", "Finding", "Knowledge", "lint"]

MAX_PAIRS: Final = 60
"""Pairs of lanes of two groups that are tried for a request which both claim."""


def lint(rules: RuleSet, around: Surroundings, known: Knowledge) -> list[Finding]:
    """Every finding, in the order of groups and lanes."""
    return list(_Linter(rules, around, known).findings())


@dataclass(frozen=True, slots=True)
class _Open:
    """An open lane with its rows, and a witness for each row that has one."""

    group: LaneGroup
    lane: Lane
    shares: GroupShares
    settings: list[Setting]
    witnesses: list[tuple[Request, dict[str, Any]] | None]


class _Linter:
    def __init__(self, rules: RuleSet, around: Surroundings, known: Knowledge) -> None:
        self._rules = rules
        self._around = around
        self._known = known
        self._now = around.clock()
        self._compiled = compile_rules(rules, around)
        self._open: dict[tuple[str, str], _Open] = {}

    def findings(self) -> Iterator[Finding]:
        for group in self._rules.groups:
            yield from plain.of_services(group, self._known)
            yield from plain.of_shares(group)
            shares = group.shares()
            for lane in group.lanes:
                yield from plain.of_expiry(group, lane, self._known, self._now)
                yield from plain.of_conditions(group, lane, self._known)
                yield from plain.of_routes(group, lane, self._known)
                if is_open(group, lane, self._now) and self._around.place.takes(group):
                    yield from self._of_rows(group, lane, shares)
        for found in list(self._open.values()):
            yield from self._of_winners(found)
        yield from self._of_groups()
        yield from plain.of_tags(self._rules)
        yield from plain.of_names(self._rules)
        yield from plain.of_segments(self._rules)

    def _of_rows(self, group: LaneGroup, lane: Lane, shares: GroupShares) -> Iterator[Finding]:
        """Rows that are dead; the others are kept with a witness."""
        rows = rows_of(lane.match, lane.match_mode)
        settings = [Setting(self._rules, group, shares, lane.name, tuple(lane.paths), row) for row in rows]
        reasons = [why_dead(setting, self._now) for setting in settings]
        alive = [setting for setting, reason in zip(settings, reasons, strict=True) if not reason]
        dead = next((reason for reason in reasons if reason), "")
        if dead and not alive and lane.sticky is None:
            yield Finding("GR102", group.name, lane.name, "match", f"can never hold: {dead}", "nobody is on the lane")
        elif dead and lane.sticky is None:
            message = f"one of {len(rows)} alternatives can never hold: {dead}"
            yield Finding("GR103", group.name, lane.name, "match", message, "leave it out, or mend it")
        if any(takes_everything(setting) for setting in alive):
            hint = "that is how a release is rolled out to all; otherwise add a condition"
            yield Finding("GR104", group.name, lane.name, "match", "takes every request of its entry", hint)
        witnesses = [self._confirmed(group, lane, shares, find_request([setting])) for setting in alive]
        self._open[(group.name, lane.name)] = _Open(group, lane, shares, alive, witnesses)

    def _confirmed(
        self, group: LaneGroup, lane: Lane, shares: GroupShares, found: tuple[Request, dict[str, Any]] | None
    ) -> tuple[Request, dict[str, Any]] | None:
        """A witness that the naive interpreter agrees with, or None."""
        if found is None:
            return None
        evidence = weigh_lane(self._rules, group, lane, shares, found[0], self._around)
        return found if evidence.matched else None

    def _of_winners(self, found: _Open) -> Iterator[Finding]:
        """Who takes the witnesses of a lane: itself, or an earlier one."""
        name = (found.group.name, found.lane.name)
        losses: list[tuple[Setting, _Open, dict[str, Any]]] = []
        for setting, witness in zip(found.settings, found.witnesses, strict=True):
            winner = None if witness is None else self._compiled.match(witness[0])
            if witness is None or winner is None or (winner.group, winner.name) == name:
                continue
            losses.append((setting, self._open[(winner.group, winner.name)], witness[1]))
        if not losses:
            return
        _, other, shown = losses[0]
        rival = f"{other.group.name}/{other.lane.name}"
        # A sticky cookie may bring clients that the conditions leave out.
        is_proved = (
            found.lane.sticky is None
            and len(losses) == len(found.settings)
            and all(any(implies(setting, wide) for wide in winner.settings) for setting, winner, _ in losses)
        )
        if is_proved:
            message = f"never wins: {rival} comes earlier and takes every request that it would take"
            hint = "put it before that lane, or add a condition to that one"
            yield Finding("GR101", *name, "match", message, hint, shown)
        elif other.group.name == found.group.name and other.lane.tag != found.lane.tag:
            message = f"shares requests with {rival} (tag {other.lane.tag}), which comes earlier and wins"
            yield Finding("GR202", *name, "match", message, "order decides; see the request", shown)

    def _of_groups(self) -> Iterator[Finding]:
        """Pairs of groups that claim one request for different tags: one pair of lanes is shown for each."""
        by_group: dict[str, list[_Open]] = {}
        for found in self._open.values():
            by_group.setdefault(found.group.name, []).append(found)
        for first, second in combinations(by_group.values(), 2):
            pairs = [(a, b) for a in first[:MAX_PAIRS] for b in second[:MAX_PAIRS] if a.lane.tag != b.lane.tag]
            for a, b in pairs[:MAX_PAIRS]:
                shown = self._shared_request(a, b)
                if shown is not None:
                    message = (
                        f"claims requests that {a.group.name}/{a.lane.name} (tag {a.lane.tag}) claims too; that group "
                        "comes earlier and wins"
                    )
                    hint = "`order` says which group is tried first"
                    yield Finding("GR201", b.group.name, b.lane.name, "match", message, hint, shown)
                    break

    def _shared_request(self, a: _Open, b: _Open) -> dict[str, Any] | None:
        for one in a.settings[:4]:
            for other in b.settings[:4]:
                found = find_request([one, other])
                if (
                    found is not None
                    and self._confirmed(a.group, a.lane, a.shares, found) is not None
                    and self._confirmed(b.group, b.lane, b.shares, found) is not None
                ):
                    return found[1]
        return None
