"""Lanes of Polaris, written. Texts in which case counts become anchored patterns: its own comparisons ignore case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.rules.conditions import Condition, Test
from gateway.rules.environment import EVERY_ENTRY
from gateway.rules.model import Lane, LaneGroup
from gateway.ruletools.formats import drafts, patterns
from gateway.ruletools.formats.outcome import Exported, Loss, Unfit
from gateway.ruletools.formats.polaris import BARE, CASELESS, DEFAULT_NAMESPACE, EVERY, SOURCES, integers
from gateway.ruletools.formats.reading import at
from gateway.ruletools.formats.writing import group_losses, refusal, written

_TYPES: Final = {source: kind for kind, source in SOURCES.items()}


def export_polaris(groups: Sequence[LaneGroup]) -> Exported:
    """A LaneGroup for each group."""
    losses: list[Loss] = []
    return Exported(tuple(_write_group(group, losses) for group in groups), tuple(losses))


def _write_group(group: LaneGroup, losses: list[Loss]) -> dict[str, Any]:
    losses += group_losses(group)
    services = group.services or [EVERY]
    entries = [EVERY if name == EVERY_ENTRY else name for name in group.entry]
    for key, names in (("entry", entries), ("services", services)):
        if EVERY in names:
            message = "whether Polaris accepts * for every service is not documented: name them"
            losses.append(Loss(f"{group.name} {key}", message))
    if entries or group.services:
        message = f"everything is written as a service in the namespace {DEFAULT_NAMESPACE}; change what is not"
        losses.append(Loss(f"{group.name} entry", message))
    rules = written(group, ("strict",), _write_lane, losses)
    if not group.enabled:
        losses.append(Loss(f"{group.name} enabled", "groups are not closed there; each rule is written closed"))
    for priority, rule in enumerate(rules):
        rule |= {"group_name": group.name, "priority": priority, "enable": rule["enable"] and group.enabled}
    selector = {"@type": "type.googleapis.com/v1.ServiceSelector"}
    return {
        "name": group.name,
        "entries": [{"type": "polarismesh.cn/service", "selector": selector | _service(name)} for name in entries],
        "destinations": [_service(name) for name in services],
        "rules": rules,
    }


def _service(name: str) -> dict[str, str]:
    return {"namespace": DEFAULT_NAMESPACE, "service": name}


def _write_lane(lane: Lane, losses: list[Loss]) -> dict[str, Any]:
    arguments = []
    if lane.paths:
        if lane.match_mode == "any" and len(lane.match) > 1:
            raise Unfit("paths", "Polaris cannot express that a path and one of several conditions must match")
        arguments.append(_argument("path", "", "REGEX", patterns.anchored_paths(lane.paths)))
    if list(lane.match) != [drafts.EVERYBODY]:
        arguments += [_write(at("match", index), condition, losses) for index, condition in enumerate(lane.match)]
    mode = "AND" if lane.match_mode == "all" or lane.paths else "OR"
    return {
        "name": lane.name,
        "traffic_match_rule": {"arguments": arguments, "match_mode": mode},
        "default_label_value": lane.tag,
        "enable": lane.enabled,
        "match_mode": "STRICT" if lane.strict else "PERMISSIVE",
        "traffic_gray": {"mode": "PERCENTAGE", "percentage": {"percent": 100}},
    }


def _argument(source: str, name: str, kind: str, value: str) -> dict[str, Any]:
    return {"type": _TYPES[source], "key": name, "value": {"type": kind, "value": value, "value_type": "TEXT"}}


def _write(place: str, condition: Condition, losses: list[Loss]) -> dict[str, Any]:
    """An argument. Raises Unfit."""
    whole = condition.all[0] if condition.all else condition
    source, name, test = whole.source, whole.name, whole.test
    if source not in _TYPES:
        raise refusal(place, condition, "Polaris")
    if test.range is not None:
        low, high = map(int, test.range)
        if [low, high] != test.range:
            raise refusal(place, condition, "Polaris")
        if whole is condition:
            losses.append(Loss(place, "a range accepts only whole numbers there"))
        elif condition != integers(place, source, name, low, high):
            raise refusal(place, condition, "Polaris")
        return _argument(source, name, "RANGE", f"{low}~{high}")
    if whole is not condition:
        raise refusal(place, condition, "Polaris")
    if (test.operator, test.operand(test.operator)) in (("exists", True), ("absent", False)):
        if source not in BARE:
            losses.append(Loss(place, "an empty value counts as absent there"))
        return _argument(source, name, "EXACT", EVERY)
    kind, value = _compared(test, source, place, losses) or ("", "")
    if not value or value == EVERY:
        raise refusal(place, condition, "Polaris")
    return _argument(source, name, kind, value)


def _compared(test: Test, source: str, place: str, losses: list[Loss]) -> tuple[str, str] | None:
    """The type and the value of a comparison of texts; None if there is none."""
    is_caseless = test.ignore_case or source in CASELESS
    texts = test.texts()
    if test.not_equals is not None or test.not_in is not None:
        if source not in BARE and "" not in texts:
            losses.append(Loss(place, "an empty value counts as absent there"))
        if not is_caseless:
            losses.append(Loss(place, "texts that differ only in case are the same there"))
        texts = [text for text in texts if text]
        if len(texts) == 1 and (source not in BARE or test.not_equals is not None):
            return "NOT_EQUALS", texts[0]
        return _listed("NOT_IN", texts)
    if "" in texts or (source == "client_ip" and any("/" in text for text in texts)):
        return None
    if test.equals is not None:
        return ("EXACT", test.equals) if is_caseless else ("REGEX", f"^{patterns.quote(test.equals)}\\z")
    if test.in_ is not None:
        return _listed("IN", texts) if is_caseless else ("REGEX", patterns.anchored(patterns.alternatives(texts)))
    # Java's (?i) and ours do not agree on letters beyond ASCII.
    if is_caseless:
        return None
    if test.regex is not None:
        return "REGEX", patterns.anchored(test.regex)
    text = patterns.quote(test.prefix or test.suffix or test.contains or "")
    start, end = ("^" if test.prefix else ""), ("\\z" if test.suffix else "")
    return ("REGEX", start + text + end) if text else None


def _listed(kind: str, texts: list[str]) -> tuple[str, str] | None:
    """Texts with commas between them; None if one has a comma itself."""
    return None if any("," in text for text in texts) else (kind, ",".join(texts))
