"""MSE, SAE and EDAS: the JSON of `CreateOrUpdateSwimmingLane` (and its group).

Source: https://help.aliyun.com/zh/mse/developer-reference/api-mse-2019-05-31-createorupdateswimminglane; operators as the SAE
documentation gives them. Where it does not say, the narrower reading is taken: paths are whole paths, patterns match the
whole value, and `!=` wants a value to be there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gateway.rules.conditions import Condition
from gateway.rules.formats.common import (
    Exported,
    FormatError,
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

_EQUALS = {"==", "=", "equal", "equals", "exact"}
_DIFFERS = {"!=", "notequal", "not_equals"}
_IN = {"in", "list"}
_PATTERN = {"regex", "=~", "~", "ergular", "regular"}
"""Words for comparisons; the gateway's own form spells its last one so."""
_ROUTES = (
    "RouteIdList",
    "RouteIndependentPercentageList",
    "RouteIndependentPercentageEnable",
    "GatewayId",
    "GatewayUniqueId",
)


def read(data: Any) -> Imported:
    """A lane, a list of lanes, or `{"Group": …, "Lanes": […]}`, or a list of these. Raises FormatError."""
    losses: list[Loss] = []
    groups: list[LaneGroup | None] = []
    bundles: list[tuple[Any, list[Any], str]] = []
    loose: list[Any] = []
    for index, item in enumerate(data if isinstance(data, list) else [data]):
        place = str(index) if isinstance(data, list) else ""
        keys = keys_of(item, place)
        if keys.get("Lanes") is not None:
            bundles.append((keys.get("Group") or {}, keys.items("Lanes"), place))
        else:
            loose.append(item)
    if loose:
        bundles.append(({}, loose, ""))
    for number, (described, lanes, place) in enumerate(bundles):
        about = keys_of(described, f"{place}.Group".lstrip("."))
        name = plain_name(about.text("Name"), "mse" if not number else f"mse-{number + 1}")
        found: list[tuple[int, Lane | None]] = []
        for index, item in enumerate(lanes):
            found += _lanes(keys_of(item, f"{place}.{index}".lstrip(".")), losses)
        enabled = about.text("Status", "1") not in ("0", "False")
        ordered = [lane for _, lane in sorted(found, key=lambda pair: pair[0])]
        groups.append(make_group(name, ordered, losses, about.place or name, enabled=enabled))
        losses.extend(
            Loss(about.at(key), f"{key} is lost: applications have no ids here; name `services` yourself")
            for key in ("Id", "AppIds", "EntryApp", "Namespace", "Region")
            if about.get(key) not in (None, "", -1)
        )
        losses.extend(Loss(about.at(key), f"{key} is lost") for key in about.unused())
    return Imported(tuple(group for group in groups if group is not None), tuple(losses))


def _lanes(keys: Keys, losses: list[Loss]) -> list[tuple[int, Lane | None]]:
    """The lanes of one swimming lane, one for each entry rule, with their priority."""
    name = plain_name(keys.text("Name"), "lane")
    tag = keys.text("Tag") or name
    switches = keys.get("Enable"), keys.get("EnableRules")
    enabled = all(_switch(value) for value in switches)
    for key in ("Id", "GroupId"):
        keys.get(key)
    found: list[tuple[int, Lane | None]] = []
    rules = _parsed(keys.get("EntryRules"), keys.at("EntryRules")) or []
    if not isinstance(rules, list):
        raise FormatError(f"{keys.at('EntryRules')}: a list is expected, found {rules!r}")
    for index, rule in enumerate(rules):
        found.append(_entry_rule(keys_of(rule, f"{keys.at('EntryRules')}.{index}"), name, tag, enabled, losses))
    place = keys.at("GatewaySwimmingLaneRouteJson")
    route = _parsed(keys.get("GatewaySwimmingLaneRouteJson"), place)
    if route:
        found.append(_gateway_route(keys_of(route, place), name, tag, enabled, losses))
    if not found:
        losses.append(Loss(keys.place or name, "no rule says who is on the lane: it is imported closed"))
        found.append((0, make_lane(name, tag, everybody(), "all", losses, keys.place, enabled=False)))
    losses.extend(Loss(keys.at(key), f"{key} is lost") for key in keys.unused())
    return found


def _entry_rule(keys: Keys, name: str, tag: str, enabled: bool, losses: list[Loss]) -> tuple[int, Lane | None]:
    paths = [str(path) for path in keys.items("Paths")] or ([keys.text("Path")] if keys.text("Path") else [])
    mode = "any" if keys.text("Condition", "AND").upper() == "OR" else "all"
    items = [keys_of(item, f"{keys.at('RestItems')}.{number}") for number, item in enumerate(keys.items("RestItems"))]
    conditions, is_whole = _conditions(items, losses)
    if paths and mode == "any" and conditions:
        conditions, mode = [{"path": {"in": paths}}, {"any": conditions}], "all"
    elif paths:
        conditions = [{"path": {"in": paths}}, *conditions]
    priority = int(keys.text("Priority", "0") or 0)
    losses.extend(Loss(keys.at(key), f"{key} is lost") for key in keys.unused())
    lane = make_lane(name, tag, conditions or everybody(), mode, losses, keys.place, **_closed(enabled and is_whole))
    return priority, lane


def _gateway_route(keys: Keys, name: str, tag: str, enabled: bool, losses: list[Loss]) -> tuple[int, Lane | None]:
    mode = "any" if keys.text("Condition", "AND").upper() == "OR" else "all"
    items = [keys_of(item, f"{keys.at('Conditions')}.{number}") for number, item in enumerate(keys.items("Conditions"))]
    conditions, is_whole = _conditions(items, losses)
    percentage = keys.text("Percentage")
    if keys.text("CanaryModel", "0") == "1":
        message = f"{percentage} % of requests, drawn anew for each: here a share needs a key. It is imported closed"
        losses.append(Loss(keys.at("Percentage"), message))
        is_whole = False
    losses.extend(Loss(keys.at(key), f"{key} is lost: limit the lane with `paths`") for key in _ROUTES if keys.get(key))
    losses.extend(Loss(keys.at(key), f"{key} is lost") for key in keys.unused())
    lane = make_lane(name, tag, conditions or everybody(), mode, losses, keys.place, **_closed(enabled and is_whole))
    return 0, lane


def _conditions(items: Sequence[Keys], losses: list[Loss]) -> tuple[list[dict[str, Any]], bool]:
    """Conditions, and whether all could be read: a lane with fewer would be wider."""
    conditions: list[dict[str, Any]] = []
    is_whole = True
    for item in items:
        try:
            conditions.append(_condition(item, losses))
        except Unsayable as error:
            losses.append(Loss(item.place, f"{error}; the lane is imported closed"))
            is_whole = False
    return conditions, is_whole


def _condition(item: Keys, losses: list[Loss]) -> dict[str, Any]:
    kind = item.text("Type").lower()
    if kind not in ("header", "param", "cookie"):
        raise Unsayable(f"type {item.text('Type')!r} is not known")
    subject = {kind: item.text("Name")}
    operator = item.text("Operator", "rawvalue").lower()
    cond = item.text("Cond", "==").lower()
    value = item.text("Value") or item.text("Datum")
    names = [str(name) for name in item.items("NameList")]
    if operator == "percent":
        losses.append(Loss(item.at("Rate"), "other users are drawn: MSE hashes in another way"))
        return {**subject, "percent": float(item.text("Rate") or value)}
    if operator == "mod":
        raise Unsayable("a remainder (mod) cannot be said; percent is what it is for")
    if operator == "list" or cond in _IN:
        return {**subject, "in": names or [part.strip() for part in value.split(",") if part.strip()]}
    if cond in _EQUALS:
        return {**subject, "equals": value}
    if cond in _DIFFERS:
        return {**subject, "not_equals": value}
    if cond == "pre":
        return {**subject, "prefix": value}
    if cond in _PATTERN:
        return {**subject, "regex": value}
    raise Unsayable(f"comparison {item.text('Cond')!r} of operator {item.text('Operator')!r} is not known")


def _closed(is_open: bool) -> dict[str, Any]:
    return {} if is_open else {"enabled": False}


def _switch(value: Any) -> bool:
    return value in (None, True, 1, "1", "true", "True")


def _parsed(value: Any, place: str) -> Any:
    """A value that the API takes as JSON in a text, or as it is. Raises FormatError."""
    if isinstance(value, str) and value:
        try:
            return json.loads(value)
        except ValueError as error:
            raise FormatError(f"{place}: JSON is expected: {error}") from error
    return value


def write(groups: Sequence[LaneGroup]) -> Exported:
    """A `{"Group": …, "Lanes": […]}` for each group."""
    losses: list[Loss] = []
    documents: list[dict[str, Any]] = []
    for group in groups:
        losses.extend(group_losses(group, frozenset({"enabled"})))
        lanes: list[dict[str, Any]] = []
        for number, lane in enumerate(group.lanes):
            try:
                rule = _rule(lane, number + 1, losses, f"{group.name}/{lane.name}")
            except Unsayable as error:
                losses.append(Loss(f"{group.name}/{lane.name}", f"the lane is left out: {error}"))
                continue
            losses.extend(lane_losses(group, lane, frozenset()))
            lanes.append(
                {
                    "Name": lane.name,
                    "Tag": lane.tag,
                    "Enable": lane.enabled,
                    "EnableRules": True,
                    "EntryRules": [rule],
                }
            )
        documents.append({"Group": {"Name": group.name, "Status": int(group.enabled)}, "Lanes": lanes})
    return Exported(tuple(documents), tuple(losses))


def _rule(lane: Lane, priority: int, losses: list[Loss], place: str) -> dict[str, Any]:
    if lane.paths:
        raise Unsayable("paths with all below them: MSE has whole paths")
    conditions = list(lane.match)
    mode = lane.match_mode
    paths: list[str] = []
    if mode == "all" or len(conditions) == 1:
        rest: list[Condition] = []
        for condition in conditions:
            test = condition.path
            if test is not None and not paths and not test.ignore_case and (test.in_ or test.equals):
                paths = test.in_ or [test.equals or ""]
            else:
                rest.append(condition)
        conditions = rest
        if paths and len(conditions) == 1 and conditions[0].any is not None:
            conditions, mode = list(conditions[0].any), "any"
    if is_everybody(conditions):
        conditions = []
    items = [_item(item, losses, place) for item in plain_conditions(lane.model_copy(update={"match": conditions}))]
    return {"Paths": paths, "Condition": "OR" if mode == "any" else "AND", "Priority": priority, "RestItems": items}


def _item(condition: Condition, losses: list[Loss], place: str) -> dict[str, Any]:
    test = condition.test
    if condition.source not in ("header", "param", "cookie") or condition.issue is not None:
        raise Unsayable(f"a condition on {condition.source}")
    if test.ignore_case:
        raise Unsayable("ignore_case")
    item: dict[str, Any] = {"Type": condition.source, "Name": condition.name, "Operator": "rawvalue"}
    if test.equals is not None:
        return {**item, "Cond": "==", "Value": test.equals}
    if test.not_equals is not None:
        return {**item, "Cond": "!=", "Value": test.not_equals}
    if test.in_ is not None:
        return {**item, "Operator": "list", "Cond": "in", "NameList": test.in_}
    if test.regex is not None:
        return {**item, "Cond": "regex", "Value": test.regex}
    if test.prefix is not None:
        return {**item, "Cond": "PRE", "Value": test.prefix}
    if isinstance(test.percent, float) and test.percent == int(test.percent):
        losses.append(Loss(f"{place} percent", "other users are drawn: MSE hashes in another way"))
        return {**item, "Operator": "percent", "Cond": "<", "Rate": int(test.percent)}
    raise Unsayable(f"operator {test.operator}")
