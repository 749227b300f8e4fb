"""Explaining a match: every lane, every condition, the actual value and whether it held.

This is a second, naive reading of the rules, straight from the model. It shares no code with the index in `match`,
which makes it the oracle that the index is tested against.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import ip_address, ip_network

from gateway.http.grammar import field_pattern
from gateway.http.request import Request
from gateway.rules.model import Condition, LaneGroup, compile_pattern


@dataclass(frozen=True, slots=True)
class ConditionEvidence:
    """One condition: its text, the value found (None: absent), the percent bucket (0 to 9,999) and whether it held."""

    text: str
    value: str | None
    held: bool
    bucket: int | None = None


@dataclass(frozen=True, slots=True)
class LaneEvidence:
    """One lane: whether its conditions hold, and whether it is the one the request is put on."""

    group: str
    lane: str
    tag: str
    enabled: bool
    match_mode: str
    conditions: tuple[ConditionEvidence, ...]
    matched: bool
    winner: bool

    def as_dict(self) -> dict[str, object]:
        """As plain values, for JSON."""
        return asdict(self)


def explain(groups: Sequence[LaneGroup], request: Request) -> tuple[LaneEvidence, ...]:
    """The evidence of every lane in the order in which they are tried, closed ones included."""
    found: list[LaneEvidence] = []
    has_winner = False
    for group in groups:
        for lane in group.lanes:
            evidence = tuple(_weigh(condition, group.name, request) for condition in lane.match)
            held = [item.held for item in evidence]
            matched = all(held) if lane.match_mode == "all" else any(held)
            enabled = group.enabled and lane.enabled
            winner = matched and enabled and not has_winner
            has_winner = has_winner or winner
            found.append(
                LaneEvidence(group.name, lane.name, lane.tag, enabled, lane.match_mode, evidence, matched, winner)
            )
    return tuple(found)


def _weigh(condition: Condition, salt: str, request: Request) -> ConditionEvidence:
    value = _value(condition, request)
    test = condition.test
    operator = test.operator
    subject = f"{condition.source} {condition.name}".strip()
    operand = test.operand(operator)
    if operator == "exists":
        text = f"{subject} {'exists' if operand else 'is absent'}"
        return ConditionEvidence(text, value, (value is not None) == test.exists)
    shown = repr(operand)
    if test.percent is not None:
        shown = f"{test.percent:.15g} %"
    elif test.range is not None:
        shown = f"{test.range[0]:.15g} to {test.range[1]:.15g}"
    text = f"{subject} {operator} {shown}"
    if value is None:
        return ConditionEvidence(text, None, False)
    bucket = None
    if test.percent is not None:
        bucket = int(hashlib.sha256(f"{salt}\0{value}".encode()).hexdigest()[:16], 16) % 10_000
    return ConditionEvidence(text, value, _holds(condition, value, bucket), bucket)


def _value(condition: Condition, request: Request) -> str | None:
    if condition.param is not None:
        return request.param(condition.param)
    if condition.cookie is not None:
        return request.cookie(condition.cookie)
    if condition.header is not None:
        return request.header(field_pattern(re.escape(condition.header).encode()))
    return {
        "path": request.path,
        "method": request.method.upper(),
        "host": request.host or None,
        "client_ip": request.client_ip or None,
    }[condition.source]


def _holds(condition: Condition, value: str, bucket: int | None) -> bool:
    test = condition.test
    if test.percent is not None:
        return bucket is not None and bucket < round(test.percent * 100)
    if test.range is not None:
        is_number = re.fullmatch(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})", value, re.ASCII) is not None
        return is_number and test.range[0] <= float(value) <= test.range[1]
    if test.regex is not None:
        return len(value) <= 1024 and compile_pattern(test.regex).fullmatch(value) is not None
    if test.prefix is not None:
        return value.startswith(_normal(condition.source, test.prefix))
    if test.equals is not None or test.in_ is not None:
        return _is_one_of(condition.source, value, [test.equals] if test.equals is not None else test.in_ or [])
    return not _is_one_of(
        condition.source, value, [test.not_equals] if test.not_equals is not None else test.not_in or []
    )


def _is_one_of(source: str, value: str, texts: list[str]) -> bool:
    if source == "client_ip":
        try:
            return any(ip_address(value) in ip_network(text, strict=False) for text in texts)
        except ValueError:
            return False
    return value in [_normal(source, text) for text in texts]


def _normal(source: str, text: str) -> str:
    return {"method": text.upper(), "host": text.lower()}.get(source, text)
