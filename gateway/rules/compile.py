"""Compiling lane groups into the index that `match` uses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, ip_network
from zoneinfo import ZoneInfo

from gateway.rules.checks import During
from gateway.rules.columns import ADDRESS, Column
from gateway.rules.conditions import DAYS, Condition
from gateway.rules.environment import MatchEnvironment
from gateway.rules.fields import TimeField
from gateway.rules.injected import InjectedFault, InjectedFaults
from gateway.rules.match import CheckOf, CompiledLane, CompiledRules
from gateway.rules.mirrored import MirroredLane, MirroredLanes
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.operators import Entry
from gateway.rules.rows import Literal, rows_of
from gateway.rules.ruleset import RuleSet
from gateway.rules.schedule import spans_at
from gateway.rules.shares import GroupShares, Spans
from gateway.rules.sources import SOURCES, in_form, values_in_form
from gateway.rules.terms import TagRules, Terms

ColumnKey = tuple[str, str, bool, bool]
"""Source, name, whether case is ignored, whether it is for shares."""


def compile_rules(rules: RuleSet, environment: MatchEnvironment) -> CompiledRules:
    """Compiles rules for one place and time. Closed lanes are left out; what is left keeps its order."""
    return _Compiler(rules, environment).compile()


def is_open(group: LaneGroup, lane: Lane, now: float) -> bool:
    """Whether a lane takes requests at a time, in seconds since the epoch."""
    return group.enabled and lane.enabled and (lane.expires is None or lane.expires.timestamp() > now)


class _Compiler:
    def __init__(self, rules: RuleSet, environment: MatchEnvironment) -> None:
        self._rules = rules
        self._environment = environment
        self._now = environment.clock()
        self._columns: dict[ColumnKey, Column] = {}
        self._lanes: list[CompiledLane] = []
        self._checks: list[tuple[CheckOf, ...]] = []
        self._mirrors: list[MirroredLane] = []
        self._issues: dict[str, int] = {}
        self._reads_body = False
        self._segments: dict[tuple[str, str, bool], frozenset[str]] = {}

    def compile(self) -> CompiledRules:
        groups = self._rules.groups
        for group in groups:
            if self._environment.place.takes(group):
                self._add_group(group)
        everything = (1 << len(self._lanes)) - 1
        columns = sorted(self._columns.values(), key=Column.worth)
        return CompiledRules(
            tuple(self._lanes),
            tuple(column.index(everything) for column in columns),
            tuple(sieve for column in columns if (sieve := column.sieve()) is not None),
            tuple(self._checks),
            terms=Terms(_tags(groups, self._now), _rejoining(groups, self._now)),
            mirrors=MirroredLanes(self._mirrors) if self._mirrors else None,
            faults=_faults(groups, self._now),
            issues=tuple(self._issues.items()),
            reads_body=self._reads_body,
            signer=self._environment.signer,
        )

    def _add_group(self, group: LaneGroup) -> None:
        services = frozenset(group.services) if group.services else None
        shares = group.shares()
        for lane in group.lanes:
            if not is_open(group, lane, self._now):
                continue
            compiled = CompiledLane(
                group.name,
                lane.name,
                lane.tag,
                services,
                strict=lane.strict,
                sticky=lane.sticky or 0,
                debug=lane.debug,
            )
            if lane.mirror is not None:
                self._mirrors.append(lane.mirror.compile(f"{group.name}/{lane.name}", lane.tag, group.services))
            for row in rows_of(lane.match, lane.match_mode):
                bit = 1 << len(self._lanes)
                checks: list[CheckOf] = []
                if lane.paths:
                    column = self._column("path", "", False, False)
                    column.concern(bit)
                    texts = tuple(path.rstrip("/") + "/" for path in lane.paths)
                    column.starts(bit, texts, negated=False, closes=True)
                for literal in row:
                    check = self._add(bit, literal, group, lane, shares)
                    if check is not None:
                        checks.append(check)
                self._lanes.append(compiled)
                self._checks.append(tuple(checks))
            for leaf in lane.leaves():
                self._reads_body = self._reads_body or leaf.body is not None
                if leaf.issue is not None and leaf.cookie is not None:
                    self._issues[leaf.cookie] = max(self._issues.get(leaf.cookie, 0), leaf.issue)

    def _column(self, source: str, name: str, folds: bool, draws: bool) -> Column:
        key = (source, name, folds, draws)
        column = self._columns.get(key)
        if column is None:
            kind = TimeField if source == "time" else SOURCES[source].field
            field = kind(name, folds, self._environment.clock, self._environment.claims)
            column = self._columns[key] = Column(field, draws, source != "time" and SOURCES[source].is_caseless)
        return column

    def _add(self, bit: int, literal: Literal, group: LaneGroup, lane: Lane, shares: GroupShares) -> CheckOf | None:
        """Enters one literal of a row into its column; returns the check that is left of it, if one is."""
        condition, negated = literal
        source = condition.source
        if source == "time":
            column = self._column(source, "", False, False)
            column.concern(bit)
            column.survives_absence(bit, negated)
            return column.field, _during(condition), negated
        test = condition.test
        given = test.given()
        assert given is not None
        operator, operand = given
        column = self._column(source, condition.name, test.ignore_case, operator.draws)
        column.concern(bit)
        wants = operator.presence(operand)
        if wants is not None:
            wants_value = wants != negated
            column.survives_absence(bit, not wants_value)
            if not wants_value:
                column.needs_absence(bit)
            return None
        column.survives_absence(bit, negated)
        negated = negated != operator.negates
        if source == "client_ip" and operator.lists:
            column.spans(bit, ADDRESS, self._networks(operator.values(operand, self._rules.segments, source)), negated)
            return None
        entry = Entry(
            column,
            bit,
            negated,
            str.casefold if test.ignore_case else str,
            test.ignore_case or SOURCES[source].is_caseless,
            lambda name: self._members(name, source, test.ignore_case),
            lambda: self._spans(lane, condition, shares),
            group.name,
        )
        check = operator.enter(entry, operand)
        return None if check is None else (column.field, check, negated)

    def _spans(self, lane: Lane, condition: Condition, shares: GroupShares) -> Spans:
        spans = shares.spans_of(lane.name, condition)
        if lane.schedule is None or (percent := lane.percent) is None:
            return spans
        return spans_at(spans, percent, lane.schedule, self._now)

    def _members(self, segment: str, source: str, folds: bool) -> frozenset[str]:
        """A segment's values as those of a source are; the same set for all that read it alike."""
        key = (segment, source if SOURCES[source].is_respelt else "", folds)
        if key not in self._segments:
            values = values_in_form(source, self._rules.segments[segment])
            self._segments[key] = frozenset(map(str.casefold, values)) if folds else values
        return self._segments[key]

    def _networks(self, texts: Iterable[str]) -> tuple[tuple[int, int], ...]:
        spans: list[tuple[int, int]] = []
        for text in texts:
            network = ip_network(in_form("client_ip", text), strict=False)
            shift = 0 if isinstance(network, IPv4Network) else 1 << 32
            spans.append((int(network[0]) + shift, int(network[-1]) + shift + 1))
        return tuple(spans)


def _during(condition: Condition) -> During:
    window = condition.time
    assert window is not None
    opens, closes = window.minutes()
    return During(
        -math.inf if window.from_ is None else window.from_.timestamp(),
        math.inf if window.until is None else window.until.timestamp(),
        frozenset(DAYS.index(day) for day in window.days or DAYS),
        opens,
        closes,
        ZoneInfo(window.zone),
    )


def _tags(groups: Sequence[LaneGroup], now: float) -> Mapping[str, TagRules]:
    """Per tag what all lanes that have it say together, in groups for this place or not; closed ones too, for `services`."""
    tags: dict[str, TagRules] = {}
    for group in groups:
        for lane in group.lanes:
            known = tags.get(lane.tag)
            services = frozenset(group.services) if group.services else None
            strict = lane.strict or not is_open(group, lane, now)
            if known is not None:
                services = None if services is None or known.services is None else services | known.services
                strict = strict and known.strict
            tags[lane.tag] = TagRules(services, strict)
    open_tags = {lane.tag for group in groups for lane in group.lanes if is_open(group, lane, now)}
    for tag, rules in tags.items():
        rules.strict = rules.strict and tag in open_tags
    return tags


def _faults(groups: Sequence[LaneGroup], now: float) -> InjectedFaults | None:
    """What open lanes inject, in groups for this place or not; None if they inject nothing."""
    by_tag: dict[str, list[InjectedFault]] = {}
    for group in groups:
        for lane in group.lanes:
            if lane.fault is not None and is_open(group, lane, now):
                fault = lane.fault.compile(f"{group.name}/{lane.name}", group.services)
                by_tag.setdefault(lane.tag, []).append(fault)
    return InjectedFaults(by_tag) if by_tag else None


def _rejoining(groups: Sequence[LaneGroup], now: float) -> Mapping[str, frozenset[str] | None]:
    """Tags all of whose lanes are closed, with the services whose instances rejoin the baseline; None: every service."""
    still_open = {lane.tag for group in groups for lane in group.lanes if is_open(group, lane, now)}
    rejoining: dict[str, frozenset[str] | None] = {}
    for group in groups:
        if group.baseline != "closed_lanes_rejoin":
            continue
        for tag in {lane.tag for lane in group.lanes} - still_open:
            known = rejoining.get(tag, frozenset())
            rejoining[tag] = None if known is None or not group.services else known | frozenset(group.services)
    return rejoining
