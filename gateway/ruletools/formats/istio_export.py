"""VirtualService and DestinationRule of Istio, written: one of each for every service of a group.

Istio marks no requests: each hop looks at the conditions again, so services have to pass on what they look at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from gateway.rules.conditions import Condition, Test
from gateway.rules.environment import EVERY_ENTRY
from gateway.rules.model import Lane, LaneGroup
from gateway.ruletools.formats import patterns
from gateway.ruletools.formats.istio import COOKIE, GROUP
from gateway.ruletools.formats.outcome import Exported, Loss, Unfit
from gateway.ruletools.formats.reading import at
from gateway.ruletools.formats.writing import group_losses, refusal, written
from gateway.tags import BASE

_API: Final = "networking.istio.io/v1"
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_FIELDS: Final = {"path": "uri", "method": "method", "host": "authority"}
_MAPS: Final = {"header": "headers", "param": "queryParams"}
_WITHOUT: Final = "withoutHeaders"

Put = list[tuple[str, str, dict[str, str]]]
"""What goes into a match: the field, the name inside it (or none), the StringMatch."""


def export_istio(groups: Sequence[LaneGroup]) -> Exported:
    """A VirtualService and a DestinationRule for each service of each group."""
    losses: list[Loss] = []
    documents: list[dict[str, Any]] = []
    claimed: set[str] = set()
    for group in groups:
        reason = _refused(group, claimed)
        if reason:
            losses.append(Loss(group.name, f"{reason}; the group is left out"))
            continue
        claimed |= set(group.services)
        documents += _documents(group, losses)
    return Exported(tuple(documents), tuple(losses))


def _refused(group: LaneGroup, claimed: set[str]) -> str:
    """Why a group cannot be written at all; empty if it can."""
    if not group.services:
        return "services: `every service` cannot be expressed, a rule is for a host"
    if not group.enabled:
        return "enabled: nothing is switched off there"
    if group.entry != [EVERY_ENTRY]:
        return f"entry: every sidecar would match it, not only {group.entry}"
    twice = sorted(claimed & set(group.services))
    return f"services: an earlier group has a VirtualService for {', '.join(twice)}" if twice else ""


def _documents(group: LaneGroup, losses: list[Loss]) -> list[dict[str, Any]]:
    losses += group_losses(group)
    losses.append(Loss(group.name, "requests are not marked there: services must pass on what conditions look at"))
    message = f"instances without a tag need the label version: {BASE}; a subset cannot select a missing label"
    losses.append(Loss(f"{group.name} baseline", message))
    routes = written(group, ("strict",), _write_lane, losses)
    subsets = {tag: _subset_name(tag, number) for number, tag in enumerate(dict.fromkeys(tag for _, tag, _ in routes))}
    documents: list[dict[str, Any]] = []
    for service in group.services:
        name = re.sub(r"[^a-z0-9.-]+", "-", f"{group.name}-{service}".lower()).strip("-.")
        metadata = {"name": name, "annotations": {GROUP: group.name}}
        http: list[dict[str, Any]] = [
            {"name": lane, "match": match, "route": [{"destination": {"host": service, "subset": subsets[tag]}}]}
            for lane, tag, match in routes
        ]
        http.append({"route": [{"destination": {"host": service, "subset": BASE}}]})
        labelled = [{"name": subset, "labels": {"version": tag}} for tag, subset in [(BASE, BASE), *subsets.items()]]
        documents += [
            {"apiVersion": _API, "kind": kind, "metadata": metadata, "spec": spec}
            for kind, spec in (
                ("VirtualService", {"hosts": [service], "http": http}),
                ("DestinationRule", {"host": service, "subsets": labelled}),
            )
        ]
    return documents


def _subset_name(tag: str, number: int) -> str:
    """A tag as a DNS label, which the name of a subset has to be; with its number where it is none."""
    is_label = re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", tag) is not None
    return tag if is_label else re.sub(r"[^a-z0-9-]+", "-", f"{tag.lower()[:50]}-x{number}")


def _write_lane(lane: Lane, losses: list[Loss]) -> tuple[str, str, list[dict[str, Any]]]:
    """A lane's name, tag and match. Raises Unfit."""
    if not lane.enabled:
        raise Unfit("enabled", "nothing is switched off there")
    if _LABEL.fullmatch(lane.tag) is None:
        raise Unfit("tag", f"{lane.tag} cannot be the value of a label")
    branches: list[tuple[str, Sequence[Condition]]] = [("match", lane.match)]
    if lane.match_mode == "any":
        branches = [(f"match.{index}", one.all or [one]) for index, one in enumerate(lane.match)]
    if not lane.strict:
        losses.append(Loss("strict", "a subset without instances returns 503 there; the baseline does not serve"))
    return lane.name, lane.tag, [_match(place, lane.paths, conditions, losses) for place, conditions in branches]


def _match(place: str, paths: Sequence[str], conditions: Sequence[Condition], losses: list[Loss]) -> dict[str, Any]:
    """One match, in which everything holds together. Raises Unfit."""
    match: dict[str, Any] = {"uri": {"regex": patterns.subtrees(paths)}} if paths else {}
    for index, condition in enumerate(conditions):
        where = at(place, index)
        if condition.path is not None and condition.path.ignore_case:
            match["ignoreUriCase"] = True
        for field, name, value in _put(where, condition, losses):
            fields = match.setdefault(field, {}) if name else match
            key = name or field
            if key in fields:
                raise Unfit(where, f"Istio accepts one match for {key}, and there are two")
            fields[key] = value
    return match


def _put(place: str, condition: Condition, losses: list[Loss]) -> Put:
    """What a condition adds to a match. Raises Unfit."""
    inner = condition.not_ or condition
    source, name, test = inner.source, inner.name, inner.test
    if inner.members or source not in (*_FIELDS, *_MAPS, COOKIE) or (condition.not_ and source != "header"):
        raise refusal(place, condition, "Istio")
    there = (test.operator, test.operand(test.operator)) in (("exists", True), ("absent", False))
    gone = (test.operator, test.operand(test.operator)) in (("exists", False), ("absent", True))
    if source == "header" and (there or gone):
        return [(_MAPS["header"] if there != bool(condition.not_) else _WITHOUT, name, {})]
    if source == "header" and not condition.not_ and (test.not_equals is not None or test.not_in is not None):
        turned = {"equals": test.not_equals, "in": test.not_in, "ignore_case": test.ignore_case}
        opposite = Test.model_validate(turned)
        value = _string(opposite, source)
        found = [(_MAPS["header"], name, {}), (_WITHOUT, name, value)] if value else []
    elif source == COOKIE:
        value = _cookie(name, test)
        found = [(_MAPS["header"], COOKIE, value)] if value else []
    else:
        value = {"regex": patterns.ANYTHING} if there else _string(test, source)
        field = _FIELDS.get(source) or (_WITHOUT if condition.not_ else _MAPS[source])
        found = [(field, name, value)] if value else []
    if not found:
        raise refusal(place, condition, "Istio")
    if source == "host":
        losses.append(Loss(place, "an authority with a port does not match there"))
    return found


def _string(test: Test, source: str) -> dict[str, str] | None:
    """A StringMatch; None if there is none."""
    if test.ignore_case and not (source == "path" and test.operator in ("equals", "prefix")):
        return None
    # Istio compares with case what has none here, in the form that goes over the wire.
    turn = {"method": str.upper, "host": str.lower}.get(source, str)
    if test.equals:
        return {"exact": turn(test.equals)}
    if test.prefix and source != "param":
        return {"prefix": turn(test.prefix)}
    if test.regex:
        return {"regex": test.regex}
    if test.in_ and all(test.in_):
        return {"regex": patterns.alternatives(map(turn, test.in_))}
    text = patterns.quote(turn(test.prefix or test.suffix or test.contains or ""))
    before, after = ("" if test.prefix else patterns.ANYTHING), ("" if test.suffix else patterns.ANYTHING)
    return {"regex": before + text + after} if text else None


def _cookie(name: str, test: Test) -> dict[str, str] | None:
    """The usual way to look for a cookie; None if it cannot be said so."""
    values = [test.equals] if test.equals else test.in_ or []
    if test.ignore_case or not values or not all(values) or any(set("();") & set(value) for value in values):
        return None
    pattern = patterns.alternatives(values)
    pattern = pattern if len(values) == 1 else f"(?:{pattern})"
    return {"regex": f"^(.*?;\\s*)?({patterns.quote(name)}={pattern})(;.*)?$"}
