"""The linter: what rules say that nobody meant. Every finding has a code, a place, a hint and, where it helps, a request.

What is said of all requests is proved (`proof`); what is said of some is shown by one (`witness`), which was put through the
rules. `docs/lint.md` says of each code which of the two it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Any, Final

from gateway.rules.compile import compile_rules, is_open
from gateway.rules.context import MatchContext
from gateway.rules.environment import MatchEnvironment
from gateway.rules.explain import weigh_lane
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.rows import rows_of
from gateway.rules.ruleset import RuleSet
from gateway.rules.shares import GroupShares
from gateway.ruletools.lint import plain
from gateway.ruletools.lint.facts import Fact, facts_of, texts_of, ways_out
from gateway.ruletools.lint.findings import CODES, Finding, Knowledge
from gateway.ruletools.lint.proof import why_impossible
from gateway.ruletools.lint.witness import Key, LaneRow, find_request

__all__ = ["CODES", "Finding", "Knowledge", "lint"]

MAX_BEFORE: Final = 200
"""Lanes right before another one that are looked at with it."""
MAX_PAIRS: Final = 60
"""Pairs of two groups' lanes, and of a lane with those before it, that are tried for a request which both claim."""
MAX_ROWS: Final = 4
"""Alternatives of each lane of such a pair that are tried."""

Witness = tuple[MatchContext, dict[str, Any]]


def lint(rules: RuleSet, environment: MatchEnvironment, known: Knowledge) -> list[Finding]:
    """Every finding, in the order of groups and lanes."""
    return list(_Linter(rules, environment, known).findings())


@dataclass(slots=True)
class _Open:
    """An open lane: its rows that are alive, and a request for each row that one was found for.

    `whole` is the lane without a row; `texts` are those that a row wants of a field, by row and field.
    """

    group: LaneGroup
    lane: Lane
    whole: LaneRow
    rows: list[LaneRow]
    witnesses: list[Witness | None] = field(default_factory=list)
    texts: list[dict[Key, frozenset[str]]] = field(default_factory=list)

    @property
    def name(self) -> tuple[str, str]:
        """Of the group and of the lane."""
        return self.group.name, self.lane.name

    def may_meet(self, other: _Open) -> bool:
        """Whether one request may be both lanes', as far as that is seen at a glance."""
        # In plain loops: of a thousand lanes, half a million pairs are looked at.
        for mine in self.texts[:MAX_ROWS]:
            for theirs in other.texts[:MAX_ROWS]:
                for key, texts in mine.items():
                    if key in theirs and texts.isdisjoint(theirs[key]):
                        break
                else:
                    return True
        return False


def grown(rules: RuleSet) -> RuleSet:
    """The rules as they are when all schedules are complete."""
    if not any(lane.schedule for group in rules.groups for lane in group.lanes):
        return rules
    groups = [
        group.model_copy(update={"lanes": [lane.model_copy(update={"schedule": None}) for lane in group.lanes]})
        for group in rules.groups
    ]
    return RuleSet(tuple(groups), rules.segments)


class _Linter:
    def __init__(self, rules: RuleSet, environment: MatchEnvironment, known: Knowledge) -> None:
        self._rules = grown(rules)
        self._environment = environment
        self._known = known
        self._now = environment.clock()
        self._compiled = compile_rules(self._rules, environment)
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
                if is_open(group, lane, self._now) and self._environment.place.takes(group):
                    yield from self._of_rows(group, lane, shares)
        lanes = list(self._open.values())
        for index, found in enumerate(lanes):
            yield from self._of_earlier(found, lanes[max(0, index - MAX_BEFORE) : index])
        yield from self._of_groups()
        yield from plain.of_tags(self._rules)
        yield from plain.of_names(self._rules)
        yield from plain.of_segments(self._rules)

    def _of_rows(self, group: LaneGroup, lane: Lane, shares: GroupShares) -> Iterator[Finding]:
        """Rows that are dead; the others are kept, with a witness for each."""
        keeps = lane.sticky is not None
        whole = LaneRow(self._rules, group, shares, lane.name, tuple(lane.paths), (), keeps)
        rows = [whole.of(row) for row in rows_of(lane.match, lane.match_mode)]
        reasons = [self._why_impossible(facts_of(row)) for row in rows]
        alive = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
        dead = next((reason for reason in reasons if reason), "")
        if dead and not alive:
            yield Finding(
                "GR102", group.name, lane.name, "match", f"can never hold: {dead}", "no request is on the lane"
            )
        elif dead:
            message = f"one of {len(rows)} alternatives can never hold: {dead}"
            yield Finding("GR103", group.name, lane.name, "match", message, "remove it or fix it")
        found = _Open(group, lane, whole, alive)
        if self._proves_within([], found):
            hint = "that is how a release is rolled out to all; otherwise add a condition"
            yield Finding("GR104", group.name, lane.name, "match", "matches every request of its entry", hint)
        found.witnesses = [self._confirmed([found], find_request([row])) for row in alive]
        found.texts = [texts_of(row) for row in alive]
        self._open[found.name] = found

    def _why_impossible(self, facts: Sequence[Fact]) -> str:
        return why_impossible(facts, self._rules.segments, self._now)

    def _proves_within(self, facts: Sequence[Fact], wide: _Open) -> bool:
        """Whether a lane certainly takes every request that is as these facts want it."""
        ways = ways_out(wide.whole, wide.lane)
        return ways is not None and all(self._why_impossible([*facts, *way]) for way in ways)

    def _confirmed(self, lanes: Sequence[_Open], found: Witness | None) -> Witness | None:
        """A witness that the naive interpreter agrees with for each of the lanes, or None."""
        if found is None:
            return None
        weighed = (
            weigh_lane(self._rules, item.group, item.lane, item.whole.shares, found[0], self._environment)
            for item in lanes
        )
        return found if all(evidence.matched for evidence in weighed) else None

    def _of_earlier(self, found: _Open, earlier: Sequence[_Open]) -> Iterator[Finding]:
        """Who takes requests of a lane before it: all of them, or some."""
        rivals = [self._rival(row, witness, earlier) for row, witness in zip(found.rows, found.witnesses, strict=True)]
        if rivals and all(rivals) and not self._outlives(found, rivals):
            names = dict.fromkeys("/".join(rival.name) for rival in rivals if rival is not None)
            come, match = ("comes", "matches") if len(names) == 1 else ("come", "match")
            message = f"never wins: {' and '.join(names)} {come} earlier and {match} every request that it would match"
            hint = "put it before that lane, or add a condition to that one"
            shown = next((witness[1] for witness in found.witnesses if witness is not None), None)
            yield Finding("GR101", *found.name, "match", message, hint, shown)
            return
        others = [other for other in earlier if other.group is found.group and other.lane.tag != found.lane.tag]
        shared = self._shared(found, others)
        if shared is not None:
            other, witness = shared
            message = (
                f"shares requests with {'/'.join(other.name)} (tag {other.lane.tag}), which comes earlier and wins"
            )
            yield Finding("GR202", *found.name, "match", message, "order decides; see the request", witness[1])

    def _rival(self, row: LaneRow, witness: Witness | None, earlier: Sequence[_Open]) -> _Open | None:
        """An earlier lane that certainly takes every request of a row."""
        others = earlier
        if witness is not None:
            winner = self._winner(witness)
            others = [] if winner is None or winner.name == (row.group.name, row.lane) else [winner]
        facts = facts_of(row)
        return next((other for other in others if self._proves_within(facts, other)), None)

    def _winner(self, witness: Witness) -> _Open | None:
        lane = self._compiled.match(witness[0])
        return None if lane is None else self._open[(lane.group, lane.name)]

    def _outlives(self, found: _Open, rivals: Sequence[_Open | None]) -> bool:
        """Whether a lane has its time when one that is before it has expired."""
        ends = [rival.lane.expires for rival in rivals if rival is not None and rival.lane.expires is not None]
        return bool(ends) and (found.lane.expires is None or found.lane.expires > min(ends))

    def _shared(self, found: _Open, earlier: Sequence[_Open]) -> tuple[_Open, Witness] | None:
        """A request of a lane that one of these wins, and that one."""
        for witness in found.witnesses:
            winner = None if witness is None else self._winner(witness)
            if witness is not None and winner is not None and any(winner is other for other in earlier):
                return winner, witness
        for other in islice((other for other in earlier if other.may_meet(found)), MAX_PAIRS):
            witness = self._request_of(other, found)
            if witness is not None and self._winner(witness) is other:
                return other, witness
        return None

    def _of_groups(self) -> Iterator[Finding]:
        """Pairs of groups that claim one request for different tags: one pair of lanes is shown for each."""
        by_group: dict[str, list[_Open]] = {}
        for found in self._open.values():
            by_group.setdefault(found.group.name, []).append(found)
        for first, second in combinations(by_group.values(), 2):
            near = ((a, b) for a in first[:MAX_BEFORE] for b in second[:MAX_BEFORE] if a.lane.tag != b.lane.tag)
            for a, b in islice(((a, b) for a, b in near if a.may_meet(b)), MAX_PAIRS):
                witness = self._request_of(a, b)
                if witness is not None:
                    message = (
                        f"claims requests that {a.group.name}/{a.lane.name} (tag {a.lane.tag}) claims too; that group "
                        "comes earlier and wins"
                    )
                    hint = "`order` says which group is tried first"
                    yield Finding("GR201", b.group.name, b.lane.name, "match", message, hint, witness[1])
                    break

    def _request_of(self, a: _Open, b: _Open) -> Witness | None:
        """A request that both lanes claim."""
        pairs = ((one, other) for one in a.rows[:MAX_ROWS] for other in b.rows[:MAX_ROWS])
        found = (self._confirmed([a, b], find_request([one, other])) for one, other in pairs)
        return next((witness for witness in found if witness is not None), None)
