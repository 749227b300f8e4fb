"""Swimming lanes of Alibaba Cloud: `CreateOrUpdateSwimmingLane` of MSE, and the lanes of EDAS that look alike.

What its documents leave open is read the narrow way: a regular expression has to match the whole value, a smaller
`Priority` comes first (1 to 100), and a `!=` does not hold where the key is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from gateway.rules.conditions import Condition
from gateway.rules.environment import EVERY_ENTRY
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.names import LanePath
from gateway.ruletools.formats import drafts, patterns
from gateway.ruletools.formats.drafts import CLOSED, Branch, LaneDraft, Mode
from gateway.ruletools.formats.outcome import Exported, Imported, Loss, Unfit
from gateway.ruletools.formats.reading import Fields, at, sequence, unwrapped
from gateway.ruletools.formats.writing import group_losses, refusal, show_number, written

_SOURCES: Final = ("header", "param", "cookie")
_COMPARISONS: Final = {"==": "equals", "!=": "not_equals", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_REGEX: Final = ("regex", "=~", "ergular")
"""The last is how the SDKs spell it."""
_PERCENT: Final = "deterministic_proportional_steaming_division"
_WRAPPERS: Final = ("Data", "Body", "Result", "Items", "List")
"""Where the responses of the APIs, and what SDKs make of them, have lanes and groups."""
_LAST: Final = 101.0
"""Behind every priority."""
_OTHERS_DRAWN: Final = "the share has the same size but other clients: the two draw differently"
_PATH: Final[TypeAdapter[str]] = TypeAdapter(LanePath)


def import_mse(data: object) -> Imported:
    """Groups of ours from a lane, a list of lanes, `{"Group": …, "Lanes": […]}` or a list of those.

    What the API returns for a query for lanes, and for their groups, is read too: lanes come into the group whose `Id`
    is their `GroupId`, or into one for each `GroupId`. Raises FormatError for anything else.
    """
    losses: list[Loss] = []
    taken: set[str] = set()
    groups = []
    named: dict[str, Fields] = {}
    loose: dict[str, list[Fields]] = {}
    for fields in unwrapped(data, _WRAPPERS, _is_one):
        if fields.has("Group", "Lanes"):
            groups.append(_group(fields.child("Group"), fields.children("Lanes"), "mse", taken, losses))
            losses += fields.rest()
        elif fields.has("AppIds", "EntryApp") and not fields.has("Tag"):
            named[fields.text("Id") or fields.text("GroupId")] = fields
        else:
            # Responses have it in two spellings, and their documents show two values.
            loose.setdefault(str(fields.first("GroupId") or ""), []).append(fields)
    for name, lanes in loose.items():
        group = named.pop(name, None)
        groups.append(_group(group, lanes, f"mse-{name}" if name else "mse", taken, losses))
    losses += [Loss(fields.place, "a lane group without its lanes: query them too") for fields in named.values()]
    return Imported(tuple(groups), tuple(losses))


def _is_one(fields: Fields) -> bool:
    """Whether it is a lane, or a group."""
    return fields.has("Tag", "Group", "Lanes", "AppIds", "EntryApp")


def export_mse(groups: Sequence[LaneGroup]) -> Exported:
    """A `{"Group": …, "Lanes": […]}` for each group: requests for CreateOrUpdateSwimmingLaneGroup and …Lane."""
    losses: list[Loss] = []
    return Exported(tuple(_write_group(group, losses) for group in groups), tuple(losses))


def _group(fields: Fields | None, lanes: list[Fields], name: str, taken: set[str], losses: list[Loss]) -> LaneGroup:
    values: dict[str, Any] = {}
    paths: list[str] = []
    is_shut = False
    place = ""
    if fields is not None:
        place = fields.place
        name = fields.text("Name", None)
        entry = fields.text("EntryApp")
        apps = fields.text("AppIds")
        values["entry"] = [entry or EVERY_ENTRY]
        values["services"] = [app.strip() for app in apps.split(",") if app.strip()]
        values["enabled"] = fields.flag("Status", True)
        if "@" in entry + apps:
            losses.append(Loss(fields.at("AppIds"), "ids of applications; write the names of the services instead"))
        paths, is_shut = _paths(fields, "Paths", losses)
        is_shut = _has_routes(fields, "RouteIds", losses) or is_shut
        losses += fields.rest()
    found = []
    names: set[str] = set()
    for lane in lanes:
        priority, draft = _draft(lane, paths, losses)
        draft.is_shut = draft.is_shut or is_shut
        found.append((priority, draft))
    found.sort(key=lambda pair: pair[0])
    made = [drafts.lane_of(draft, names, losses) for _, draft in found]
    group_name = drafts.free_name(name, taken, at(place, "Name"), losses)
    return drafts.group_of(place, [lane for lane in made if lane], losses, name=group_name, **values)


def _draft(fields: Fields, limits: list[str], losses: list[Loss]) -> tuple[float, LaneDraft]:
    """A lane and its priority. `limits` are the paths of its group."""
    draft = LaneDraft(fields.place, fields.text("Name"), fields.text("Tag", None), fields.flag("Enable", True))
    fields.first("GroupId")
    rules = fields.children("EntryRules") + fields.children("EntryRule")
    priorities = [_rule(rule, draft, limits, losses) for rule in rules]
    if not fields.flag("EnableRules", True) and rules:
        draft.is_shut = True
        losses.append(Loss(fields.at("EnableRules"), f"the rules are switched off; {CLOSED}"))
    for key in ("GatewaySwimmingLaneRouteJson", "GatewaySwimmingLaneRoute"):
        gateway = fields.child(key)
        if gateway is not None:
            _gateway(gateway, draft, limits, losses)
    losses += fields.rest()
    if not draft.branches:
        draft.branches.append(Branch([drafts.NEVER]))
        losses.append(Loss(fields.place, f"no rule says who is on the lane; {CLOSED}"))
    return min(priorities, default=_LAST), draft


def _rule(fields: Fields, draft: LaneDraft, limits: list[str], losses: list[Loss]) -> float:
    """Adds an entry rule to a lane, and returns its priority."""
    priority = fields.number("Priority", _LAST)
    if not fields.flag("Enable", True):
        losses.append(Loss(fields.at("Enable"), "the rule is switched off; left out"))
        fields.word("Condition", ("AND", "OR"), "AND")
        return priority
    own, is_shut = _paths(fields, "Paths" if fields.has("Paths") else "Path", losses)
    draft.is_shut = draft.is_shut or is_shut
    mode: Mode = "any" if fields.word("Condition", ("AND", "OR"), "AND") == "OR" else "all"
    conditions = drafts.gathered(fields.children("RestItems"), _item, losses)
    if not conditions and not own:
        losses.append(Loss(fields.place, f"a rule without paths and conditions; {CLOSED}"))
        conditions = [drafts.NEVER]
    paths = _narrowed(limits, own)
    if limits and own and not paths:
        losses.append(Loss(fields.at("Paths"), f"none of the paths is below those of the group; {CLOSED}"))
        conditions = [drafts.NEVER]
    draft.branches.append(Branch(conditions, mode, paths))
    losses += fields.rest()
    return priority


def _gateway(fields: Fields, draft: LaneDraft, limits: list[str], losses: list[Loss]) -> None:
    """Adds the route of a cloud gateway to a lane."""
    draft.is_shut = _has_routes(fields, "RouteIdList", losses) or draft.is_shut
    mode: Mode = "any" if fields.word("Condition", ("AND", "OR"), "AND") == "OR" else "all"
    items = fields.children("Conditions")
    if fields.number("CanaryModel", 0) != 0:
        share = show_number(fields.number("Percentage", 0))
        message = (
            f"a share of {share} % is drawn without a key, so clients would not stay in it: split by a cookie; {CLOSED}"
        )
        losses.append(Loss(fields.at("Percentage"), message))
        conditions = [drafts.NEVER]
    else:
        conditions = drafts.gathered(items, _item, losses)
        if not conditions:
            losses.append(Loss(fields.at("Conditions"), f"no condition; {CLOSED}"))
            conditions = [drafts.NEVER]
    draft.branches.append(Branch(conditions, mode, list(limits)))
    losses += fields.rest()


def _item(fields: Fields, losses: list[Loss]) -> Condition:
    """A rest item, or a condition of a gateway's route. Raises Unfit."""
    source = fields.text("Type", None).lower()
    if source not in _SOURCES:
        raise Unfit(fields.at("Type"), f"{source} is not one of {', '.join(_SOURCES)}")
    name = fields.text("Name", None)
    operator = fields.text("Operator", "rawvalue").lower() or "rawvalue"
    cond = fields.text("Cond", "==").lower()
    datum = fields.text("Datum")
    value = fields.text("Value", datum)
    values = fields.texts("NameList") or ([value] if fields.has("Value", "Datum") else [])
    rate = fields.number("Rate", -1)
    if operator in ("percent", _PERCENT) or cond in ("percent", "percentage"):
        losses.append(Loss(fields.at("Rate"), _OTHERS_DRAWN))
        return drafts.condition(fields.at("Rate"), source, name, {"percent": rate if rate >= 0 else value})
    if operator not in ("rawvalue", "list"):
        raise Unfit(fields.at("Operator"), f"{operator} has no counterpart")
    losses += fields.rest()
    test: dict[str, Any]
    if operator == "list" or cond == "in":
        if cond not in ("in", "==", "!=", "notin", "not in", "not_in"):
            raise Unfit(fields.at("Cond"), f"{cond} of a list has no counterpart")
        test = {"in" if cond in ("in", "==") else "not_in": values}
    elif cond in _COMPARISONS or cond == "equal":
        test = {_COMPARISONS.get(cond, "equals"): value}
    elif cond == "pre":
        test = {"prefix": value}
    elif cond in _REGEX:
        start, body, end = patterns.trimmed(value)
        test = patterns.simplified(body if start and end else value)
    else:
        raise Unfit(fields.at("Cond"), f"{cond} has no counterpart")
    return drafts.condition(fields.at("Value"), source, name, test)


def _paths(fields: Fields, key: str, losses: list[Loss]) -> tuple[list[str], bool]:
    """Paths as lanes have them, and whether one of them is none."""
    found = []
    texts = fields.texts(key) if isinstance(fields.get(key), list | tuple) else [fields.text(key)]
    for text in filter(None, texts):
        try:
            # Ant's /a/** is /a and everything below it; any other asterisk says more than a path can.
            found.append(_PATH.validate_python(text.removesuffix("/**") or "/"))
        except ValidationError:
            losses.append(Loss(fields.at(key), f"{text!r} is not the path of a lane; {CLOSED}"))
            return [], True
        if "*" in found[-1]:
            losses.append(Loss(fields.at(key), f"{text!r}: lanes have no patterns for paths; {CLOSED}"))
            return [], True
    return found, False


def _has_routes(fields: Fields, key: str, losses: list[Loss]) -> bool:
    """Whether there is a limit to routes of a gateway."""
    routes = sequence(fields.get(key), fields.at(key))
    if routes:
        message = f"limited to routes of a gateway, which lanes cannot be: give the lane paths; {CLOSED}"
        losses.append(Loss(fields.at(key), message))
    return bool(routes)


def _narrowed(limits: list[str], paths: list[str]) -> list[str]:
    """The paths that are below one of each list; an empty list is not a limit."""
    if not limits or not paths:
        return limits or paths
    pairs = [(f"{one.rstrip('/')}/", f"{other.rstrip('/')}/") for one in limits for other in paths]
    return [max(pair)[:-1] or "/" for pair in pairs if max(pair).startswith(min(pair))]


def _write_group(group: LaneGroup, losses: list[Loss]) -> dict[str, Any]:
    losses += group_losses(group)
    document: dict[str, Any] = {"Name": group.name, "Status": int(group.enabled)}
    if group.entry != [EVERY_ENTRY]:
        if len(group.entry) != 1:
            document["Status"] = 0
            message = f"a group has one entry there, so it is written switched off; found {group.entry}"
            losses.append(Loss(f"{group.name} entry", message))
        document["EntryApp"] = ",".join(group.entry)
    if group.services:
        document["AppIds"] = ",".join(group.services)
        losses.append(Loss(f"{group.name} services", "names of services; write the ids of the applications instead"))
    lanes = written(group, (), _write_lane, losses)
    for priority, lane in enumerate(lanes, 1):
        for rule in lane["EntryRules"]:
            rule["Priority"] = priority
    return {"Group": document, "Lanes": lanes}


def _write_lane(lane: Lane, losses: list[Loss]) -> dict[str, Any]:
    """A lane with its entry rules, but for their priority. Raises Unfit."""
    wholes: list[tuple[str, Mode, Sequence[Condition]]] = [("match", lane.match_mode, lane.match)]
    if lane.match_mode == "any" and any(condition.members for condition in lane.match):
        wholes = [
            (f"match.{index}", "any" if condition.any else "all", (condition.any or condition.all or [condition]))
            for index, condition in enumerate(lane.match)
        ]
    rules = []
    for place, mode, conditions in wholes:
        is_open = list(conditions) == [drafts.EVERYBODY]
        items = [] if is_open else [_write(at(place, index), leaf, losses) for index, leaf in enumerate(conditions)]
        paths = lane.paths or (["/"] if is_open else [])
        rules.append({"Paths": paths, "Condition": "AND" if mode == "all" else "OR", "RestItems": items})
    return {"Name": lane.name, "Tag": lane.tag, "Enable": lane.enabled, "EnableRules": True, "EntryRules": rules}


def _write(place: str, condition: Condition, losses: list[Loss]) -> dict[str, Any]:
    """A rest item. Raises Unfit."""
    test = condition.test
    if condition.source not in _SOURCES or test.ignore_case or condition.issue is not None:
        raise refusal(place, condition, "MSE")
    operator, operand = test.operator, test.operand(test.operator)
    item: dict[str, Any] = {"Type": condition.source, "Name": condition.name, "Operator": "rawvalue"}
    by_operator = {word: cond for cond, word in _COMPARISONS.items()}
    texts = {"prefix": "{}" + patterns.ANYTHING, "suffix": patterns.ANYTHING + "{}"}
    texts["contains"] = patterns.ANYTHING + "{}" + patterns.ANYTHING
    if operator in by_operator:
        if operator == "not_equals":
            losses.append(Loss(place, "MSE does not document whether != holds if the key is absent; here it does not"))
        return item | {"Cond": by_operator[operator], "Value": operand if isinstance(operand, str) else f"{operand:g}"}
    if operator == "in":
        return item | {"Operator": "list", "Cond": "in", "NameList": operand}
    if operator == "percent" and not isinstance(operand, list) and operand == int(operand):
        losses.append(Loss(place, _OTHERS_DRAWN))
        return item | {"Operator": _PERCENT, "Rate": int(operand)}
    if operator == "regex":
        return item | {"Cond": "regex", "Value": patterns.anchored(operand)}
    if operator in texts and operand:
        return item | {"Cond": "regex", "Value": patterns.anchored(texts[operator].format(patterns.quote(operand)))}
    if (operator, operand) in (("exists", True), ("absent", False)):
        return item | {"Cond": "regex", "Value": patterns.anchored(patterns.ANYTHING)}
    raise refusal(place, condition, "MSE")
