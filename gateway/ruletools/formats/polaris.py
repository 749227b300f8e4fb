"""Lanes of Polaris: a `LaneGroup` of its specification (api/v1/traffic_manage/lane.proto), read.

There, texts are compared without case, a pattern is looked for anywhere in the value, and a blank value satisfies nothing.
What the JSON leaves out has protobuf's default: a rule without `enable` is closed, one without `match_mode` strict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.rules.conditions import Condition
from gateway.rules.environment import EVERY_ENTRY
from gateway.rules.model import LaneGroup
from gateway.ruletools.formats import drafts, patterns
from gateway.ruletools.formats.drafts import CLOSED, Branch, LaneDraft
from gateway.ruletools.formats.outcome import Imported, Loss, Unfit
from gateway.ruletools.formats.reading import Fields, unwrapped
from gateway.ruletools.formats.writing import show_number

SOURCES: Final = {
    "HEADER": "header",
    "QUERY": "param",
    "COOKIE": "cookie",
    "PATH": "path",
    "METHOD": "method",
    "CALLER_IP": "client_ip",
}
BARE: Final = ("path", "method", "client_ip")
"""What is always there and never blank, and has no name."""
CASELESS: Final = ("method", "client_ip")
"""Where ours have no case either."""
EVERY: Final = "*"
DEFAULT_NAMESPACE: Final = "default"
_KINDS: Final = ("EXACT", "REGEX", "NOT_EQUALS", "IN", "NOT_IN", "RANGE")
_KIND: Final = "LaneGroup"
_WRAPPERS: Final = ("data", "responses", "lanes", "laneGroups", "configurations", "items")
"""Where responses have them: those to queries, to changes, and to clients that discover."""
_INTEGER: Final = "[+-]?[0-9]+"


def import_polaris(data: object) -> Imported:
    """Groups of ours from a LaneGroup, a list of them, or what Polaris returns for a query for them.

    Raises FormatError for anything else.
    """
    losses: list[Loss] = []
    taken: set[str] = set()
    groups = []
    for fields in unwrapped(data, _WRAPPERS, lambda fields: fields.has("rules", "entries", "destinations")):
        kind = fields.text("@type").rpartition(".")[2] or _KIND
        if kind == _KIND:
            groups.append(_group(fields, taken, losses))
        else:
            losses.append(Loss(fields.place, f"{kind}: only {_KIND} is read"))
    return Imported(tuple(groups), tuple(losses))


def integers(place: str, source: str, name: str, low: int, high: int) -> Condition:
    """A RANGE: it takes whole numbers only. Raises Unfit."""
    tests: list[dict[str, Any]] = [{"range": [low, high]}, {"regex": _INTEGER}]
    return drafts.combined([drafts.condition(place, source, name, test) for test in tests], "all")


def _group(fields: Fields, taken: set[str], losses: list[Loss]) -> LaneGroup:
    name = fields.text("name", None)
    entries, entries_shut = _places(fields.children("entries"), losses, "selector")
    services, services_shut = _places(fields.children("destinations"), losses)
    is_shut = entries_shut or services_shut
    if not entries:
        losses.append(Loss(fields.at("entries"), "no entry, so no lane is matched anywhere: give the group its entry"))
    if not services:
        losses.append(Loss(fields.at("destinations"), "no destination, and here no services would mean all: closed"))
        is_shut = True
    names: set[str] = set()
    found = [_draft(rule, name, losses) for rule in fields.children("rules")]
    found.sort(key=lambda pair: pair[0])
    made = [drafts.lane_of(draft, names, losses) for _, draft in found]
    losses += fields.rest()
    return drafts.group_of(
        fields.place,
        [lane for lane in made if lane],
        losses,
        name=drafts.free_name(name, taken, fields.at("name"), losses),
        enabled=not is_shut,
        entry=[EVERY_ENTRY] if EVERY in entries else entries,
        services=[] if EVERY in services else services,
    )


def _places(items: Sequence[Fields], losses: list[Loss], key: str = "") -> tuple[list[str], bool]:
    """The services that entries or destinations name, and whether labels limit them to some instances."""
    found = []
    is_shut = False
    for item in items:
        fields = item
        if key:
            item.get("type")
            fields = item.child(key) or item
        fields.get("@type")
        found.append(fields.text("service", None))
        namespace = fields.text("namespace", DEFAULT_NAMESPACE)
        if namespace not in (DEFAULT_NAMESPACE, EVERY):
            losses.append(Loss(fields.at("namespace"), f"{namespace}: services have no namespace here; left out"))
        if fields.get("labels"):
            losses.append(Loss(fields.at("labels"), "limited to some instances of the service; the group is closed"))
            is_shut = True
        losses += fields.rest() + (item.rest() if item is not fields else [])
    return list(dict.fromkeys(found)), is_shut


def _draft(fields: Fields, group: str, losses: list[Loss]) -> tuple[tuple[float, str], LaneDraft]:
    """A rule, and what orders it."""
    tags = [tag.strip() for tag in fields.text("default_label_value", None).split(",")]
    if len(tags) > 1:
        losses.append(Loss(fields.at("default_label_value"), f"a lane has one tag: left out are {', '.join(tags[1:])}"))
    draft = LaneDraft(fields.place, fields.text("name"), tags[0], fields.flag("enable", False))
    draft.strict = fields.word("match_mode", ("STRICT", "PERMISSIVE"), "STRICT") == "STRICT"
    order = (fields.number("priority", 0), fields.text("ctime"))
    if fields.text("group_name", group) not in ("", group):
        losses.append(Loss(fields.at("group_name"), "a different group from the one it is in; left out"))
    if fields.text("label_key", "lane") not in ("", "lane"):
        losses.append(Loss(fields.at("label_key"), "under which key instances carry their tag is configured elsewhere"))
    match = fields.child("traffic_match_rule")
    conditions: list[Condition] = []
    paths: list[str] = []
    mode: drafts.Mode = "all"
    if match is not None:
        mode = "any" if match.word("match_mode", ("AND", "OR"), "AND") == "OR" else "all"
        arguments = match.children("arguments")
        if mode == "all":
            paths, arguments = _split_paths(arguments)
        conditions = drafts.gathered(arguments, _argument, losses)
        losses += match.rest()
    draft.branches.append(Branch(conditions, mode, paths))
    gray = fields.child("traffic_gray")
    if gray is not None:
        draft.is_shut = _is_gradual(gray, losses)
    losses += fields.rest()
    return order, draft


def _is_gradual(fields: Fields, losses: list[Loss]) -> bool:
    """Whether only some of the requests that match are taken."""
    if fields.word("mode", ("PERCENTAGE", "WARMUP"), "PERCENTAGE") == "WARMUP":
        fields.get("warmup")
        losses.append(Loss(fields.at("warmup"), f"lanes have no warm-up; {CLOSED}"))
        return True
    share = fields.child("percentage")
    percent = 0.0 if share is None else share.number("percent", 0)
    losses += fields.rest()
    if percent >= 100:
        return False
    message = f"{show_number(percent)} % are drawn for each request, so clients would not stay in: split by a cookie"
    losses.append(Loss(fields.at("percentage"), f"{message}; {CLOSED}"))
    return True


def _split_paths(arguments: list[Fields]) -> tuple[list[str], list[Fields]]:
    """The `paths` of a lane that was exported, and the other arguments."""
    for argument in arguments:
        value = argument.get("value")
        if argument.get("type") != "PATH" or not isinstance(value, dict) or value.get("type") != "REGEX":
            continue
        start, body, end = patterns.trimmed(str(value.get("value")))
        paths = patterns.paths_of(body) if start and end else None
        if paths:
            return paths, [other for other in arguments if other is not argument]
    return [], arguments


def _argument(fields: Fields, losses: list[Loss]) -> Condition:
    """An argument as a condition. Raises Unfit."""
    kind = fields.text("type", "CUSTOM").upper()
    name = fields.text("key")
    value = fields.child("value") or Fields({}, fields.at("value"))
    operator = value.word("type", _KINDS, "EXACT")
    text = value.text("value")
    if kind not in SOURCES:
        raise Unfit(fields.at("type"), f"{kind} {name} cannot be a condition")
    if value.text("value_type", "TEXT").upper() not in ("", "TEXT", "0"):
        raise Unfit(value.at("value_type"), "only texts can be compared")
    losses += fields.rest() + value.rest()
    place = value.at("value")
    source = SOURCES[kind]
    if text == EVERY:
        return drafts.condition(place, source, name, {"exists": True})
    if not text:
        raise Unfit(place, "an empty value")
    if source == "client_ip" and "/" in text:
        raise Unfit(place, f"{text} is text to Polaris, and a network here")
    if operator == "RANGE":
        low, _, high = text.partition("~")
        try:
            return integers(place, source, name, int(low), int(high))
        except ValueError as error:
            raise Unfit(place, f"a range is FROM~TO in whole numbers; found {text!r}") from error
    return drafts.condition(place, source, name, _test(operator, text, source))


def _test(operator: str, text: str, source: str) -> dict[str, Any]:
    if operator == "REGEX":
        return patterns.simplified(patterns.whole(text))
    # Java's split leaves out what is empty at the end.
    texts = text.rstrip(",").split(",") if operator in ("IN", "NOT_IN") else [text]
    case: dict[str, Any] = {} if source in CASELESS else {"ignore_case": True}
    if operator in ("EXACT", "IN"):
        return {"equals": text, **case} if operator == "EXACT" else {"in": texts, **case}
    if source in BARE:
        return {"not_equals": text, **case} if operator == "NOT_EQUALS" else {"not_in": texts, **case}
    # A blank value satisfies nothing there: here it would be another one.
    return {"not_in": ["", *texts], **case}
