"""Polaris: `LaneGroup` with its rules (specification, api/v1/traffic_manage/lane.proto), as JSON.

Its text comparisons ignore case and its patterns need not match the whole value; a blank value satisfies nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.rules.conditions import Condition
from gateway.rules.formats.common import (
    Exported,
    Imported,
    Keys,
    Loss,
    Unsayable,
    everybody,
    group_losses,
    is_everybody,
    keys_of,
    lane_losses,
    make_group,
    make_lane,
    plain_conditions,
    plain_name,
)
from gateway.rules.model import Lane, LaneGroup

_SOURCES = {
    "HEADER": "header",
    "QUERY": "param",
    "COOKIE": "cookie",
    "PATH": "path",
    "METHOD": "method",
    "CALLER_IP": "client_ip",
}
_NAMES = {source: name for name, source in _SOURCES.items()}
_NO_CASE = frozenset({"method", "client_ip"})
"""Things for which `ignore_case` means nothing."""
_UNANCHORED = "(?s:.*)"


def read(data: Any) -> Imported:
    """A lane group, or a list of them. Raises FormatError."""
    losses: list[Loss] = []
    groups: list[LaneGroup | None] = []
    for index, item in enumerate(data if isinstance(data, list) else [data]):
        keys = keys_of(item, str(index) if isinstance(data, list) else "")
        name = plain_name(keys.text("name"), f"polaris-{index + 1}")
        rules = [keys_of(rule, f"{keys.at('rules')}.{number}") for number, rule in enumerate(keys.items("rules"))]
        rules.sort(key=lambda rule: (int(rule.text("priority", "0") or 0), rule.text("ctime")))
        lanes = [_lane(rule, losses) for rule in rules]
        services: list[str] = []
        for number, destination in enumerate(keys.items("destinations")):
            described = keys_of(destination, f"{keys.at('destinations')}.{number}")
            services.append(described.text("service"))
            described.get("namespace")
            losses.extend(Loss(described.at(key), f"{key} is lost") for key in described.unused())
        for number, _ in enumerate(keys.items("entries")):
            losses.append(Loss(f"{keys.at('entries')}.{number}", "the entry is lost: name entry gateways in `entry`"))
        for key in ("id", "revision", "ctime", "mtime", "description"):
            keys.get(key)
        losses.extend(Loss(keys.at(key), f"{key} is lost") for key in keys.unused())
        groups.append(make_group(name, lanes, losses, keys.place or name, services=[text for text in services if text]))
    return Imported(tuple(group for group in groups if group is not None), tuple(losses))


def _lane(keys: Keys, losses: list[Loss]) -> Lane | None:
    name = plain_name(keys.text("name"), "lane")
    tags = [tag.strip() for tag in keys.text("default_label_value").split(",") if tag.strip()] or [name]
    if len(tags) > 1:
        losses.append(
            Loss(keys.at("default_label_value"), f"a lane has one tag: {tags[0]} is kept, {', '.join(tags[1:])} lost")
        )
    if keys.text("label_key", "lane") != "lane":
        losses.append(
            Loss(keys.at("label_key"), "label_key is lost: instances carry the tag as the registry's adapter reads it")
        )
    rule = keys_of(keys.get("traffic_match_rule") or {}, keys.at("traffic_match_rule"))
    mode = "any" if rule.text("match_mode", "AND").upper() in ("OR", "1") else "all"
    conditions: list[dict[str, Any]] = []
    is_whole = True
    for number, argument in enumerate(rule.items("arguments")):
        about = keys_of(argument, f"{rule.at('arguments')}.{number}")
        try:
            conditions.append(_condition(about))
        except Unsayable as error:
            losses.append(Loss(about.place, f"{error}; the lane is imported closed"))
            is_whole = False
    gray = keys.get("traffic_gray")
    if isinstance(gray, Mapping) and gray:
        about = keys_of(gray, keys.at("traffic_gray"))
        percentage = keys_of(about.get("percentage") or {}, about.at("percentage"))
        if about.text("mode", "PERCENTAGE") not in ("PERCENTAGE", "0") or percentage.text("percent", "100") != "100":
            message = "a share of requests, drawn anew for each: here a share needs a key. It is imported closed"
            losses.append(Loss(about.place, message))
            is_whole = False
    strict = keys.text("match_mode", "STRICT").upper() in ("STRICT", "0")
    is_open = keys.get("enable", True) in (True, "true", 1) and is_whole
    for key in ("id", "group_name", "revision", "ctime", "mtime", "etime", "description", "priority"):
        keys.get(key)
    losses.extend(Loss(keys.at(key), f"{key} is lost") for key in keys.unused())
    more: dict[str, Any] = {"strict": True} if strict else {}
    if not is_open:
        more["enabled"] = False
    return make_lane(name, tags[0], conditions or everybody(), mode, losses, keys.place, **more)


def _condition(keys: Keys) -> dict[str, Any]:
    kind = keys.text("type").upper()
    source = _SOURCES.get(kind)
    if source is None:
        raise Unsayable(f"argument type {kind!r} cannot be said")
    value = keys_of(keys.get("value") or {}, keys.at("value"))
    if value.text("value_type", "TEXT").upper() not in ("TEXT", "0"):
        raise Unsayable("a value from a parameter or a variable cannot be said")
    inner = value.get("value")
    text = str(inner.get("value", "")) if isinstance(inner, Mapping) else str(inner or "")
    test = _test(source, value.text("type", "EXACT").upper(), text)
    return {source: test} if source in ("path", "method", "client_ip") else {source: keys.text("key"), **test}


def _test(source: str, kind: str, text: str) -> dict[str, Any]:
    folds = {} if source in _NO_CASE else {"ignore_case": True}
    several = [part.strip() for part in text.split(",")]
    if text == "*":
        return {"exists": True}
    if kind == "EXACT":
        return {"equals": text, **folds}
    if kind == "NOT_EQUALS":
        return {"not_equals": text, **folds}
    if kind == "IN":
        return {"in": several, **folds}
    if kind == "NOT_IN":
        return {"not_in": several, **folds}
    if kind == "REGEX" and source != "client_ip":
        literal = _literals(text)
        if literal:
            return {"equals": literal[0]} if len(literal) == 1 else {"in": literal}
        start = "" if text.startswith("^") else _UNANCHORED
        end = "" if text.endswith("$") else _UNANCHORED
        return {"regex": f"{start}(?:{text}){end}" if start or end else text}
    if kind == "RANGE" and source != "client_ip":
        match = re.fullmatch(r"(-?\d+)~(-?\d+)", text)
        if match is not None:
            return {"range": [int(match[1]), int(match[2])]}
    raise Unsayable(f"{kind} {text!r} of {source} cannot be said")


def write(groups: Sequence[LaneGroup]) -> Exported:
    """A lane group for each group."""
    losses: list[Loss] = []
    documents: list[dict[str, Any]] = []
    for group in groups:
        losses.extend(group_losses(group, frozenset({"services", "enabled"})))
        rules: list[dict[str, Any]] = []
        for number, lane in enumerate(group.lanes):
            try:
                arguments = _arguments(lane)
            except Unsayable as error:
                losses.append(Loss(f"{group.name}/{lane.name}", f"the lane is left out: {error}"))
                continue
            losses.extend(lane_losses(group, lane, frozenset({"strict"})))
            rules.append(
                {
                    "name": lane.name,
                    "group_name": group.name,
                    "traffic_match_rule": {
                        "arguments": arguments,
                        "match_mode": "OR" if lane.match_mode == "any" else "AND",
                    },
                    "default_label_value": lane.tag,
                    "enable": group.enabled and lane.enabled,
                    "match_mode": "STRICT" if lane.strict else "PERMISSIVE",
                    "priority": number,
                }
            )
        destinations = [{"namespace": "default", "service": service} for service in group.services]
        documents.append({"name": group.name, "entries": [], "destinations": destinations, "rules": rules})
    return Exported(tuple(documents), tuple(losses))


def _arguments(lane: Lane) -> list[dict[str, Any]]:
    if lane.paths:
        raise Unsayable("paths with all below them")
    conditions = plain_conditions(lane)
    return [] if is_everybody(conditions) else [_argument(condition) for condition in conditions]


def _argument(condition: Condition) -> dict[str, Any]:
    source, test = condition.source, condition.test
    if source not in _NAMES:
        raise Unsayable(f"a condition on {source}")
    texts = test.texts()
    if any(not text or text == "*" or "," in text for text in texts):
        raise Unsayable("a text that is empty, `*` or has a comma")
    if (test.equals is not None or test.in_ is not None) and source not in _NO_CASE and not test.ignore_case:
        # Its own comparisons ignore case, its patterns do not.
        pattern = "|".join(map(re.escape, texts))
        text = f"^{pattern}$" if len(texts) == 1 else f"^(?:{pattern})$"
        return {"type": _NAMES[source], "key": condition.name, "value": _value("REGEX", text)}
    if texts and source not in _NO_CASE and not test.ignore_case:
        raise Unsayable("not_equals and not_in in which case counts (Polaris ignores it)")
    if source == "client_ip" and any("/" in text for text in texts):
        raise Unsayable("a network")
    if test.equals is not None:
        kind, text = "EXACT", test.equals
    elif test.not_equals is not None:
        kind, text = "NOT_EQUALS", test.not_equals
    elif test.in_ is not None:
        kind, text = "IN", ",".join(test.in_)
    elif test.not_in is not None:
        kind, text = "NOT_IN", ",".join(test.not_in)
    elif test.regex is not None and not test.ignore_case:
        kind, text = "REGEX", _unanchored(test.regex)
    elif test.range is not None and all(number == int(number) for number in test.range):
        kind, text = "RANGE", "~".join(f"{number:.0f}" for number in test.range)
    elif test.exists is True or test.absent is False:
        kind, text = "EXACT", "*"
    else:
        raise Unsayable(f"operator {test.operator}")
    return {"type": _NAMES[source], "key": condition.name, "value": _value(kind, text)}


def _value(kind: str, text: str) -> dict[str, str]:
    return {"type": kind, "value": text, "value_type": "TEXT"}


def _literals(pattern: str) -> list[str]:
    """The texts that an anchored pattern spells out; none where it is more than that."""
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return []
    body = pattern[1:-1]
    if body.startswith("(?:") and body.endswith(")"):
        body = body[3:-1]
    parts = body.split("|")
    texts = [re.sub(r"\\(.)", r"\1", part) for part in parts]
    return texts if [re.escape(text) for text in texts] == parts else []


def _unanchored(pattern: str) -> str:
    """A pattern that has to match the whole value, for a system in which it need not."""
    match = re.fullmatch(r"\(\?s:\.\*\)\(\?:(.*)\)\(\?s:\.\*\)", pattern, re.DOTALL)
    if match is not None:
        return match[1]
    if pattern.startswith("^") and pattern.endswith("$"):
        return pattern
    return f"^(?:{pattern})$"
