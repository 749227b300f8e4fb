"""Compiling lane groups into the index that `match` uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Final

from gateway.http.grammar import field_pattern
from gateway.rules.match import (
    CLIENT_IP,
    COOKIE,
    HEADER,
    HOST,
    METHOD,
    PARAM,
    PATH,
    Between,
    Check,
    CompiledLane,
    CompiledRules,
    Field,
    FieldIndex,
    InNetworks,
    Matches,
    NoneOf,
    Prefix,
    Share,
)
from gateway.rules.model import Condition, LaneGroup, compile_pattern

_KINDS: Final = {
    "param": PARAM,
    "header": HEADER,
    "cookie": COOKIE,
    "path": PATH,
    "method": METHOD,
    "host": HOST,
    "client_ip": CLIENT_IP,
}


class _Column:
    """What all rows want of one field, while it is collected."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.concerned = 0
        self.absent = 0
        self.present = 0
        self.exact: dict[str, int] = {}


def compile_rules(groups: Sequence[LaneGroup]) -> CompiledRules:
    """Compiles groups in order. Closed lanes are left out; what is left keeps its order."""
    lanes: list[CompiledLane] = []
    checks: list[tuple[tuple[Field, Check], ...]] = []
    columns: dict[tuple[int, str], _Column] = {}
    for group in groups:
        services = frozenset(group.services) if group.services else None
        for lane in group.lanes:
            if not (group.enabled and lane.enabled):
                continue
            compiled = CompiledLane(group.name, lane.name, lane.tag, services)
            rows = [lane.match] if lane.match_mode == "all" else [[condition] for condition in lane.match]
            for conditions in rows:
                checks.append(_add_row(columns, 1 << len(lanes), conditions, group.name))
                lanes.append(compiled)
    everything = (1 << len(lanes)) - 1
    indices = []
    for column in columns.values():
        indifferent = everything & ~column.concerned
        indices.append(
            FieldIndex(column.field, column.absent | indifferent, column.present | indifferent, column.exact)
        )
    return CompiledRules(tuple(lanes), tuple(indices), tuple(checks), _services_of_tags(groups))


def _add_row(
    columns: dict[tuple[int, str], _Column], bit: int, conditions: Iterable[Condition], salt: str
) -> tuple[tuple[Field, Check], ...]:
    """Enters one row into the columns; returns the checks that the index cannot decide."""
    checks: list[tuple[Field, Check]] = []
    by_field: dict[tuple[int, str], list[Condition]] = {}
    for condition in conditions:
        by_field.setdefault((_KINDS[condition.source], condition.name), []).append(condition)
    for key, members in by_field.items():
        column = columns.get(key)
        if column is None:
            column = columns[key] = _Column(_field(*key))
        column.concerned |= bit
        wanted: set[str] | None = None
        needs_absent = needs_present = False
        for condition in members:
            test = condition.test
            if test.exists is not None:
                needs_absent |= not test.exists
                needs_present |= test.exists
                continue
            needs_present = True
            values = _exact_values(key[0], condition)
            if values is None:
                checks.append((column.field, _check(condition, salt)))
            else:
                wanted = values if wanted is None else wanted & values
        if needs_absent:
            if not needs_present:
                column.absent |= bit
        elif wanted is None:
            column.present |= bit
        else:
            for value in wanted:
                column.exact[value] = column.exact.get(value, 0) | bit
    return tuple(checks)


def _field(kind: int, name: str) -> Field:
    pattern = field_pattern(re.escape(name.encode("ascii"))) if kind == HEADER else None
    return Field(kind, name, pattern)


def normal(kind: int, value: str) -> str:
    """A rule's text as values of this kind are read: methods in upper case, hosts in lower."""
    if kind == METHOD:
        return value.upper()
    if kind == HOST:
        return value.lower()
    return value


def _exact_values(kind: int, condition: Condition) -> set[str] | None:
    """The values that satisfy a condition, where they can be listed."""
    test = condition.test
    if kind == CLIENT_IP:
        return None
    if test.equals is not None:
        return {normal(kind, test.equals)}
    if test.in_ is not None:
        return {normal(kind, value) for value in test.in_}
    return None


def _check(condition: Condition, salt: str) -> Check:
    kind = _KINDS[condition.source]
    test = condition.test
    if test.percent is not None:
        return Share(salt, test.percent)
    if test.range is not None:
        return Between(test.range[0], test.range[1])
    if test.regex is not None:
        return Matches(compile_pattern(test.regex))
    if test.prefix is not None:
        return Prefix(normal(kind, test.prefix))
    refused = [test.not_equals] if test.not_equals is not None else test.not_in or []
    if kind == CLIENT_IP:
        accepted = [test.equals] if test.equals is not None else test.in_ or []
        networks = tuple(ip_network(text, strict=False) for text in (accepted or refused))
        return InNetworks(networks, negated=not accepted)
    return NoneOf(frozenset(normal(kind, value) for value in refused))


def _services_of_tags(groups: Sequence[LaneGroup]) -> dict[str, frozenset[str] | None]:
    """Per tag the services of all groups that have a lane with it; None where one of them is not limited."""
    services: dict[str, frozenset[str] | None] = {}
    for group in groups:
        for lane in group.lanes:
            known = services.get(lane.tag, frozenset())
            services[lane.tag] = None if known is None or not group.services else known | frozenset(group.services)
    return services
