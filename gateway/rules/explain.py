"""Explaining a match: every lane, every condition, the actual value and whether it held.

This is a second, naive reading of the rules, straight from the model. It shares no code with the index in `match`,
which makes it the oracle that the index is tested against. (What share of the buckets a lane holds is one thing that both
ask `shares`.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from zoneinfo import ZoneInfo

from gateway.rules.conditions import DAYS, Condition, TimeTest
from gateway.rules.context import MatchContext
from gateway.rules.environment import MatchEnvironment
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.operators import OPERATORS
from gateway.rules.ruleset import RuleSet
from gateway.rules.schedule import spans_at
from gateway.rules.shares import GroupShares, Spans, show_spans
from gateway.rules.sources import SOURCES, in_form

OPEN = "open"
CLOSED = "closed"
GROUP_CLOSED = "group closed"
EXPIRED = "expired"
ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class ConditionEvidence:
    """One condition: its text, the value found (None: absent) and whether it held.

    `bucket` (0 to 9,999) and `share` (the spans held, in percent) belong to percent. `kept`: a sticky cookie holds the
    client in the share. `members` are the conditions of all, any and not.
    """

    text: str
    value: str | None
    held: bool
    bucket: int | None = None
    share: tuple[str, ...] = ()
    kept: bool = False
    members: tuple[ConditionEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneEvidence:
    """One lane: whether its conditions hold, and whether it is the one the request is put on.

    `state` is `open`, or why the lane takes nothing: `closed`, `group closed`, `expired`, or `elsewhere` where its group
    is not for this entry.
    """

    group: str
    lane: str
    tag: str
    state: str
    match_mode: str
    conditions: tuple[ConditionEvidence, ...]
    matched: bool
    winner: bool

    def as_dict(self) -> dict[str, object]:
        """As plain values, for JSON."""
        return asdict(self)


def explain(rules: RuleSet, context: MatchContext, environment: MatchEnvironment) -> tuple[LaneEvidence, ...]:
    """The evidence of every lane in the order in which they are tried, closed ones included."""
    found: list[LaneEvidence] = []
    has_winner = False
    now = environment.clock()
    for group in rules.groups:
        shares = group.shares()
        for lane in group.lanes:
            evidence = weigh_lane(rules, group, lane, shares, context, environment)
            matched = evidence.matched
            state = _state(group, lane, environment, now)
            winner = matched and state == OPEN and not has_winner
            has_winner = has_winner or winner
            found.append(replace(evidence, state=state, winner=winner))
    return tuple(found)


def weigh_lane(
    rules: RuleSet,
    group: LaneGroup,
    lane: Lane,
    shares: GroupShares,
    context: MatchContext,
    environment: MatchEnvironment,
) -> LaneEvidence:
    """What one lane says of a request, as if it stood alone and were open."""
    weigher = _Weigher(rules, group, lane, shares, context, environment)
    evidence = [weigher.weigh(condition) for condition in lane.match]
    held = [item.held for item in evidence]
    matched = all(held) if lane.match_mode == "all" else any(held)
    if lane.paths:
        below = weigher.is_below(lane.paths)
        matched = matched and below
        evidence.insert(0, ConditionEvidence(f"path is below {' or '.join(lane.paths)}", context.request.path, below))
    return LaneEvidence(group.name, lane.name, lane.tag, OPEN, lane.match_mode, tuple(evidence), matched, matched)


def _state(group: LaneGroup, lane: Lane, environment: MatchEnvironment, now: float) -> str:
    if not group.enabled:
        return GROUP_CLOSED
    if not lane.enabled:
        return CLOSED
    if lane.expires is not None and lane.expires.timestamp() <= now:
        return EXPIRED
    return OPEN if environment.place.takes(group) else ELSEWHERE


def show_condition(condition: Condition) -> str:
    """A condition as a sentence of a few words."""
    if condition.members:
        joiner = " and " if condition.all is not None else " or "
        inner = joiner.join(show_condition(item) for item in condition.members)
        return f"not {inner}" if condition.not_ is not None else f"({inner})"
    if condition.time is not None:
        return f"time {_show_window(condition.time)}"
    test = condition.test
    name = test.operator
    subject = f"{condition.source} {condition.name}".strip()
    shown = OPERATORS[name].show(name, test.operand(name))
    return f"{subject} {shown}{' (any case)' if test.ignore_case else ''}"


def _show_window(window: TimeTest) -> str:
    parts = [
        f"from {window.from_.isoformat()}" if window.from_ is not None else "",
        f"until {window.until.isoformat()}" if window.until is not None else "",
        ", ".join(window.days or ()),
        window.hours or "",
        window.zone if window.days or window.hours else "",
    ]
    return " ".join(part for part in parts if part)


class _Weigher:
    """Looks at one request for one lane."""

    def __init__(
        self,
        rules: RuleSet,
        group: LaneGroup,
        lane: Lane,
        shares: GroupShares,
        context: MatchContext,
        environment: MatchEnvironment,
    ) -> None:
        self._rules = rules
        self._group = group
        self._lane = lane
        self._shares = shares
        self._context = context
        self._environment = environment

    def is_below(self, paths: Sequence[str]) -> bool:
        for path in paths:
            parts = [part for part in path.split("/") if part]
            if [part for part in self._context.request.path.split("/") if part][: len(parts)] == parts:
                return self._context.request.path.startswith("/") or not parts
        return False

    def weigh(self, condition: Condition) -> ConditionEvidence:
        text = show_condition(condition)
        if condition.members:
            members = tuple(self.weigh(item) for item in condition.members)
            held = [item.held for item in members]
            if condition.not_ is not None:
                return ConditionEvidence(text, None, not held[0], members=members)
            return ConditionEvidence(text, None, all(held) if condition.all is not None else any(held), members=members)
        if condition.time is not None:
            now = self._environment.clock()
            shown = datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")
            return ConditionEvidence(text, shown, _is_within(condition.time, now))
        test = condition.test
        value = self._value(condition)
        given = test.given()
        assert given is not None
        wants = given[0].presence(given[1])
        if wants is not None:
            return ConditionEvidence(text, value, (value is not None) == wants)
        if test.percent is not None:
            return self._draw(condition, text, value)
        if value is None:
            return ConditionEvidence(text, None, False)
        return ConditionEvidence(text, value, self._holds(condition, value))

    def _draw(self, condition: Condition, text: str, value: str | None) -> ConditionEvidence:
        spans: Spans = self._shares.spans_of(self._lane.name, condition)
        schedule, now = self._lane.schedule, self._environment.clock()
        if schedule is not None and (percent := self._lane.percent) is not None:
            spans = spans_at(spans, percent, schedule, now)
            text = f"{text} (schedule: {schedule.shown_at(now, percent)})"
        shown = tuple(show_spans(spans))
        signer = self._environment.signer
        kept = (
            self._lane.sticky is not None
            and signer is not None
            and signer.lane_of(self._context) == f"{self._group.name}/{self._lane.name}"
        )
        if value is None:
            return ConditionEvidence(text, None, kept, share=shown, kept=kept)
        drawn = value.casefold() if condition.test.ignore_case else value
        key = f"{self._group.name}\0{drawn}".encode("utf-8", "surrogatepass")
        bucket = int(hashlib.sha256(key).hexdigest()[:16], 16) % 10_000
        held = any(low <= bucket < high for low, high in spans)
        return ConditionEvidence(text, value, held or kept, bucket, shown, kept and not held)

    def _value(self, condition: Condition) -> str | None:
        return SOURCES[condition.source].read(self._context, condition.name, self._environment.claims)

    def _holds(self, condition: Condition, value: str) -> bool:
        return value_holds(condition, value, self._rules.segments)


def value_holds(condition: Condition, value: str, segments: Mapping[str, frozenset[str]]) -> bool:
    """Whether a condition (but percent, time and presence) holds of a value that is there."""
    test, source = condition.test, condition.source
    given = test.given()
    assert given is not None
    operator, operand = given

    def read(text: str) -> str:
        return text.casefold() if test.ignore_case else text

    if operator.lists:
        held = _is_one_of(source, read(value), [read(text) for text in operator.values(operand, segments, source)])
    else:
        held = operator.holds(operand, read(value), read, test.ignore_case or SOURCES[source].is_caseless)
    return held != operator.negates


def _is_within(window: TimeTest, now: float) -> bool:
    moment = datetime.fromtimestamp(int(now), ZoneInfo(window.zone))
    if window.from_ is not None and moment < window.from_:
        return False
    if window.until is not None and moment >= window.until:
        return False
    if window.days is not None and DAYS[moment.weekday()] not in window.days:
        return False
    if window.hours is None:
        return True
    start, end = window.hours.split("-")
    at = f"{moment:%H:%M}"
    return start <= at < end if start < end else at >= start or at < end


def _is_one_of(source: str, value: str, texts: Collection[str]) -> bool:
    if source != "client_ip":
        return value in texts
    try:
        address = ip_address(value)
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in ip_network(in_form(source, text), strict=False) for text in texts)
    except ValueError:
        return False
