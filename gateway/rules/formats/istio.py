"""Istio: VirtualService and DestinationRule (networking.istio.io).

A lane becomes a match block that leads to the subset of its tag, in the VirtualService of each service of its group. Istio's
match blocks are alternatives, what stands in one holds together; it has no shares by key, no comparisons of numbers, no bodies.
"""

from __future__ import annotations

import re
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
    plain_name,
)
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.rows import rows_of

LABEL = "version"
"""The label that a subset selects by."""
_COOKIE = re.compile(r"\^\(\.\*\??;(?:\\s\*)?\)\?\(?([^=;()\s]+)=([^;()]*?)\)?\(;\.\*\)\?\$")
"""The usual way to look for one cookie, `^(.*?;)?(name=value)(;.*)?$`: Istio has no other."""
_SAYABLE = ("path", "method", "host", "header", "param", "cookie")
_TAG_LABELS = ("version", "lane", "tag", "gray.tag", "alicloud.service.tag")


def read(data: Any) -> Imported:
    """VirtualServices and DestinationRules, one or a list. Raises FormatError."""
    losses: list[Loss] = []
    items = [keys_of(item, str(index)) for index, item in enumerate(data if isinstance(data, list) else [data])]
    kinds = {"VirtualService": [], "DestinationRule": []}  # type: dict[str, list[Keys]]
    for item in items:
        kind = item.text("kind")
        if kind not in kinds:
            raise FormatError(f"{item.at('kind')}: VirtualService or DestinationRule is expected, found {kind!r}")
        item.get("apiVersion")
        kinds[kind].append(item)
    tags = _tags(kinds["DestinationRule"], losses)
    groups: list[LaneGroup | None] = []
    lanes_of: dict[tuple[str, ...], list[str]] = {}
    for item in kinds["VirtualService"]:
        spec = keys_of(item.get("spec") or {}, item.at("spec"))
        metadata = keys_of(item.get("metadata") or {}, item.at("metadata"))
        name = plain_name(metadata.text("name"), "istio")
        lanes, services = _lanes(spec, tags, losses)
        # The services of one group each have a VirtualService with the same lanes.
        signature = tuple(lane.model_dump_json() for lane in lanes)
        known = lanes_of.get(signature)
        if known is not None:
            known.extend(service for service in services if service not in known)
            continue
        lanes_of[signature] = services
        groups.append(make_group(name, lanes, losses, item.place, services=services))
    merged = [
        group.model_copy(update={"services": services})
        for group, services in zip(groups, lanes_of.values(), strict=True)
        if group is not None
    ]
    return Imported(tuple(merged), tuple(losses))


def _tags(rules: Sequence[Keys], losses: list[Loss]) -> dict[tuple[str, str], str]:
    """The tag of each host's subsets."""
    tags: dict[tuple[str, str], str] = {}
    for item in rules:
        spec = keys_of(item.get("spec") or {}, item.at("spec"))
        host = spec.text("host")
        item.get("metadata")
        for number, subset in enumerate(spec.items("subsets")):
            about = keys_of(subset, f"{spec.at('subsets')}.{number}")
            labels = about.get("labels") or {}
            found = [str(labels[key]) for key in _TAG_LABELS if key in labels]
            tags[(host, about.text("name"))] = found[0] if found else about.text("name")
            losses.extend(Loss(about.at(key), f"{key} is lost") for key in about.unused())
        losses.extend(Loss(spec.at(key), f"{key} is lost") for key in spec.unused())
    return tags


def _lanes(spec: Keys, tags: dict[tuple[str, str], str], losses: list[Loss]) -> tuple[list[Lane], list[str]]:
    lanes: list[Lane] = []
    services: list[str] = []
    spec.get("hosts")
    for number, route in enumerate(spec.items("http")):
        keys = keys_of(route, f"{spec.at('http')}.{number}")
        destinations = [keys_of(item, f"{keys.at('route')}.{n}") for n, item in enumerate(keys.items("route"))]
        for item in destinations:
            host = keys_of(item.get("destination") or {}, item.at("destination")).text("host").split(".")[0]
            if host and host not in services:
                services.append(host)
        if not keys.items("match"):
            continue  # the default route: the baseline
        lane = _lane(keys, destinations, tags, losses)
        if lane is not None:
            lanes.append(lane)
        losses.extend(Loss(keys.at(key), f"{key} is lost") for key in keys.unused())
    losses.extend(Loss(spec.at(key), f"{key} is lost") for key in spec.unused())
    return lanes, services


def _lane(
    keys: Keys, destinations: Sequence[Keys], tags: dict[tuple[str, str], str], losses: list[Loss]
) -> Lane | None:
    if len(destinations) != 1:
        message = "a split by weight is drawn anew for each request: here a share needs a key. It is left out"
        losses.append(Loss(keys.at("route"), message))
        return None
    target = keys_of(destinations[0].get("destination") or {}, destinations[0].at("destination"))
    host, subset = target.text("host"), target.text("subset")
    if not subset:
        losses.append(Loss(target.place, "the route leads to no subset: it is no lane, and left out"))
        return None
    tag = tags.get((host, subset)) or tags.get((host.split(".")[0], subset)) or subset
    alternatives: list[list[dict[str, Any]]] = []
    is_whole = True
    for number, match in enumerate(keys.items("match")):
        block = keys_of(match, f"{keys.at('match')}.{number}")
        try:
            alternatives.append(_block(block))
        except Unsayable as error:
            losses.append(Loss(block.place, f"{error}; the lane is imported closed"))
            is_whole = False
    name = plain_name(keys.text("name") or tag, "lane")
    mode = "all"
    if len(alternatives) == 1:
        conditions = alternatives[0]
    else:
        mode = "any"
        conditions = [block[0] if len(block) == 1 else {"all": block} for block in alternatives]
    more: dict[str, Any] = {} if is_whole else {"enabled": False}
    return make_lane(name, tag, conditions or everybody(), mode, losses, keys.place, **more)


def _block(keys: Keys) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = []
    folds = keys.get("ignoreUriCase") in (True, "true")
    for source, key in (("path", "uri"), ("method", "method"), ("host", "authority")):
        if keys.get(key) is not None:
            test = _string_match(keys_of(keys.get(key), keys.at(key)))
            if folds and source == "path" and "regex" not in test:
                test["ignore_case"] = True
            conditions.append({source: test})
    for source, key in (("header", "headers"), ("param", "queryParams")):
        for name, match in (keys.get(key) or {}).items():
            test = _string_match(keys_of(match or {}, f"{keys.at(key)}.{name}"))
            found = _COOKIE.fullmatch(test.get("regex", "")) if name.lower() == "cookie" else None
            cookie = _literal_cookie(found) if found is not None else None
            conditions.append(cookie or {source: name, **test})
    for name, match in (keys.get("withoutHeaders") or {}).items():
        test = _string_match(keys_of(match or {}, f"{keys.at('withoutHeaders')}.{name}"))
        conditions.append({"not": {"header": name, **test}})
    keys.get("name")
    unknown = list(keys.unused())
    if unknown:
        raise Unsayable(f"{unknown[0]} cannot be said")
    return conditions


def _literal_cookie(match: re.Match[str]) -> dict[str, Any] | None:
    """The condition on one cookie that a pattern spells out, or None where it is more than that."""
    texts = [re.sub(r"\\(.)", r"\1", part) for part in match.groups()]
    plain = all(
        re.escape(text) == part or re.escape(part) == part for text, part in zip(texts, match.groups(), strict=True)
    )
    return {"cookie": texts[0], "equals": texts[1]} if plain else None


def _string_match(keys: Keys) -> dict[str, Any]:
    for kind, operator in (("exact", "equals"), ("prefix", "prefix"), ("regex", "regex")):
        value = keys.get(kind)
        if value is not None:
            return {operator: str(value)}
    return {"exists": True}


def write(groups: Sequence[LaneGroup]) -> Exported:
    """A VirtualService and a DestinationRule for each service of each group."""
    losses: list[Loss] = []
    documents: list[dict[str, Any]] = []
    for group in groups:
        losses.extend(group_losses(group, frozenset({"services"})))
        if not group.services:
            losses.append(
                Loss(group.name, "the group is left out: it names no services, and Istio has a host for each rule")
            )
            continue
        lanes: list[tuple[Lane, list[dict[str, Any]]]] = []
        for lane in group.lanes:
            if not (group.enabled and lane.enabled):
                losses.append(Loss(f"{group.name}/{lane.name}", "the lane is closed, and left out"))
                continue
            try:
                lanes.append((lane, _matches(lane)))
            except Unsayable as error:
                losses.append(Loss(f"{group.name}/{lane.name}", f"the lane is left out: {error}"))
                continue
            losses.extend(lane_losses(group, lane, frozenset({"paths"})))
        for service in group.services:
            documents += _documents(group, service, lanes)
    return Exported(tuple(documents), tuple(losses))


def _documents(
    group: LaneGroup, service: str, lanes: Sequence[tuple[Lane, list[dict[str, Any]]]]
) -> list[dict[str, Any]]:
    http: list[dict[str, Any]] = [
        {"name": lane.name, "match": matches, "route": [{"destination": {"host": service, "subset": lane.tag}}]}
        for lane, matches in lanes
    ]
    http.append({"route": [{"destination": {"host": service, "subset": "base"}}]})
    tags = list(dict.fromkeys(["base", *(lane.tag for lane, _ in lanes)]))
    name = f"{group.name}-{service}"
    version = "networking.istio.io/v1"
    return [
        {
            "apiVersion": version,
            "kind": "VirtualService",
            "metadata": {"name": name},
            "spec": {"hosts": [service], "http": http},
        },
        {
            "apiVersion": version,
            "kind": "DestinationRule",
            "metadata": {"name": name},
            "spec": {"host": service, "subsets": [{"name": tag, "labels": {LABEL: tag}} for tag in tags]},
        },
    ]


def _matches(lane: Lane) -> list[dict[str, Any]]:
    """The match blocks of a lane: one for each alternative, and for each of its paths."""
    blocks: list[dict[str, Any]] = []
    for row in rows_of(lane.match, lane.match_mode):
        conditions = [(literal.condition, literal.negated) for literal in row]
        if len(conditions) == 1 and not conditions[0][1] and is_everybody([conditions[0][0]]):
            conditions = []
        for path in lane.paths or [""]:
            block: dict[str, Any] = {}
            if path:
                block["uri"] = {"regex": re.escape(path.rstrip("/")) + "(/.*)?"}
            for condition, negated in conditions:
                _add(block, condition, negated)
            blocks.append(block or {"uri": {"prefix": "/"}})
    return blocks


def _add(block: dict[str, Any], condition: Condition, negated: bool) -> None:
    source, test = condition.source, condition.test
    if source not in _SAYABLE:
        raise Unsayable(f"a condition on {source}")
    if test.in_ is not None and not test.ignore_case:
        match: dict[str, Any] = {"regex": "|".join(re.escape(text) for text in test.in_)}
    elif test.ignore_case:
        raise Unsayable("ignore_case")
    elif test.equals is not None:
        match = {"exact": test.equals}
    elif test.prefix is not None:
        match = {"prefix": test.prefix}
    elif test.regex is not None:
        match = {"regex": test.regex}
    elif (test.exists is True or test.absent is False) and source == "header":
        match = {}
    else:
        raise Unsayable(f"operator {test.operator} of {source}")
    if negated and source != "header":
        raise Unsayable(f"not of {source}")
    places = {"path": "uri", "method": "method", "host": "authority"}
    if source in places:
        if places[source] in block:
            raise Unsayable(f"two conditions on {source}")
        block[places[source]] = match
    else:
        key = "withoutHeaders" if negated else "queryParams" if source == "param" else "headers"
        name = condition.name
        if source == "cookie":
            if test.equals is None:
                raise Unsayable("a cookie that is not compared as a whole")
            name, match = (
                "cookie",
                {"regex": rf"^(.*?;\s*)?({re.escape(condition.name)}={re.escape(test.equals)})(;.*)?$"},
            )
        if name in block.setdefault(key, {}):
            raise Unsayable(f"two conditions on {source} {name}")
        block[key][name] = match
