"""VirtualService and DestinationRule of Istio (networking.istio.io/v1), read.

A route to a subset is a lane with the subset's tag; routes to anything else keep their requests off the lanes behind them.
The route without a match is the baseline. A subset without instances returns 503 there: the lanes are strict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.rules.conditions import Condition, InnerTest
from gateway.rules.environment import EVERY_ENTRY
from gateway.rules.model import Lane, LaneGroup
from gateway.ruletools.formats import drafts, patterns
from gateway.ruletools.formats.drafts import CLOSED, Branch, LaneDraft
from gateway.ruletools.formats.outcome import Imported, Loss
from gateway.ruletools.formats.reading import Fields, at, unwrapped, wrong
from gateway.tags import BASE

GROUP: Final = "gray-gateway/lane-group"
"""The annotation that keeps the services of an exported group together."""
COOKIE: Final = "cookie"
_LABELS: Final = ("version", "lane", "tag")
_COOKIE: Final = re.compile(r"\^\(\.\*\??;(?:\\s\*| \??)?\)\?\(([^=;()\s]+)=(.+)\)\(;\.\*\)\?\$")
_MESH: Final = "mesh"
_BOOKKEEPING: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")
"""What a cluster adds to every object."""

Subsets = dict[tuple[str, str], Mapping[str, str]]
"""Labels by host and subset."""


@dataclass(slots=True)
class _Found:
    """What a VirtualService says."""

    name: str
    is_ours: bool
    entry: list[str]
    services: list[str]
    lanes: list[Lane]


def import_istio(data: object) -> Imported:
    """Groups of ours from VirtualServices and DestinationRules: one object, or a list, as YAML or Kubernetes has it.

    Services whose lanes are the same come into one group. Raises FormatError for what is not such an object.
    """
    losses: list[Loss] = []
    services: list[Fields] = []
    subsets: Subsets = {}
    items = data if isinstance(data, list | tuple) else [data]
    for fields in unwrapped(items, ("items",), lambda fields: not fields.has("items")):
        kind = fields.text("kind", None)
        fields.text("apiVersion")
        if kind == "VirtualService":
            services.append(fields)
        elif kind == "DestinationRule":
            _read_subsets(fields, subsets, losses)
        else:
            losses.append(Loss(fields.place, f"{kind}: only VirtualService and DestinationRule are read"))
    merged: list[_Found] = []
    for found in [_service(fields, subsets, losses) for fields in services]:
        same = (other for other in merged if (other.is_ours, other.entry, other.lanes) == _key(found))
        other = next((other for other in same if not found.is_ours or other.name == found.name), None)
        if other is None:
            merged.append(found)
        else:
            other.services += [service for service in found.services if service not in other.services]
    taken: set[str] = set()
    if len(merged) > 1:
        losses.append(Loss("", "here a request is on one lane of all groups; there each host decides by itself"))
    return Imported(tuple(_group(found, taken, losses) for found in merged), tuple(losses))


def _key(found: _Found) -> tuple[bool, list[str], list[Lane]]:
    return found.is_ours, found.entry, found.lanes


def _group(found: _Found, taken: set[str], losses: list[Loss]) -> LaneGroup:
    name = drafts.free_name(found.name, taken, "metadata.name", losses)
    return drafts.group_of("", found.lanes, losses, name=name, entry=found.entry, services=found.services)


def _read_subsets(fields: Fields, subsets: Subsets, losses: list[Loss]) -> None:
    fields.get("metadata")
    spec = fields.child("spec") or Fields({}, fields.at("spec"))
    host = _short(spec.text("host", None))
    for subset in spec.children("subsets"):
        labels = subset.get("labels") or {}
        if not isinstance(labels, Mapping):
            raise wrong(subset.at("labels"), "an object", labels)
        subsets[(host, subset.text("name", None))] = labels
        losses += subset.rest()
    fields.get("status")
    losses += spec.rest() + fields.rest()


def _service(fields: Fields, subsets: Subsets, losses: list[Loss]) -> _Found:
    metadata = fields.child("metadata") or Fields({}, fields.at("metadata"))
    annotations = metadata.get("annotations") or {}
    ours = annotations.get(GROUP) if isinstance(annotations, Mapping) else None
    name = str(ours or metadata.text("name", None))
    metadata.get("name")
    if metadata.text("namespace", "default") != "default":
        losses.append(Loss(metadata.at("namespace"), "services have no namespace here; left out"))
    spec = fields.child("spec") or Fields({}, fields.at("spec"))
    hosts = spec.texts("hosts")
    gateways = spec.texts("gateways") or [_MESH]
    reader = _Routes(subsets, [] if gateways == [_MESH] else hosts, losses)
    for route in spec.children("http"):
        reader.route(route)
    names: set[str] = set()
    lanes = [drafts.lane_of(draft, names, losses) for draft in reader.drafts]
    if gateways == [_MESH] and reader.services and set(map(_short, hosts)) != set(reader.services):
        losses.append(Loss(spec.at("hosts"), f"requests for {hosts} go to {reader.services}; all its lanes are closed"))
        lanes = [drafts.closed(lane) for lane in lanes if lane]
    fields.get("status")
    for key in _BOOKKEEPING:
        metadata.get(key)
    losses += spec.rest() + fields.rest() + metadata.rest()
    entry = [EVERY_ENTRY] if _MESH in gateways else gateways
    return _Found(name, bool(ours), entry, reader.services, [lane for lane in lanes if lane])


class _Routes:
    """The routes of a VirtualService, in order. `hosts` are those that a request must name."""

    def __init__(self, subsets: Subsets, hosts: Sequence[str], losses: list[Loss]) -> None:
        self.drafts: list[LaneDraft] = []
        self.services: list[str] = []
        self._subsets = subsets
        self._losses = losses
        self._hosts = [_host(host) for host in hosts if host != "*"] if "*" not in hosts else []
        self._unless: list[Condition] = []
        self._is_shut = False
        self._is_over = False

    def route(self, fields: Fields) -> None:
        """Reads the next route."""
        if self._is_over:
            self._losses.append(Loss(fields.place, "after the route for all requests: never reached"))
            return
        name = fields.text("name")
        matches = fields.children("match")
        targets = [target for target in fields.children("route") if target.number("weight", 100) > 0]
        tags = [(target, self._tag(target)) for target in targets]
        self._losses += [loss for target in targets for loss in target.rest()] + fields.rest()
        self._is_over = not matches
        if not matches:
            self._baseline(tags)
            return
        branches = [_branch(match, self._losses) for match in matches]
        for branch in branches:
            branch.conditions += [drafts.combined(self._hosts, "any")] if self._hosts else []
        is_split = len(targets) > 1
        if is_split:
            message = (
                f"split by weight, drawn for each request, so clients would not stay in it: split by a cookie; {CLOSED}"
            )
            self._losses.append(Loss(fields.at("route"), message))
        found = [tag for _, tag in tags if tag]
        for tag in found:
            draft = LaneDraft(fields.place, name or tag, tag, strict=True, branches=branches, unless=list(self._unless))
            draft.is_shut = is_split or self._is_shut
            self.drafts.append(draft)
        if is_split or not found:
            self._keep_off(fields.place, branches)

    def _keep_off(self, place: str, branches: Sequence[Branch]) -> None:
        """What a route takes that is not an open lane does not reach the lanes behind it."""
        taken = drafts.combined([drafts.branch_condition(branch) for branch in branches], "any")
        if drafts.NEVER in taken.leaves():
            self._losses.append(
                Loss(place, "what it matches cannot be expressed, so every lane after it is imported closed")
            )
            self._is_shut = True
        self._unless.append(Condition.model_validate({"not": taken}))

    def _baseline(self, tags: Sequence[tuple[Fields, str]]) -> None:
        for target, tag in tags:
            if tag:
                message = f"the baseline: here it is the instances without a tag, not those with {tag}"
                self._losses.append(Loss(target.place, message))

    def _tag(self, target: Fields) -> str:
        """The tag of a destination; empty for the baseline."""
        destination = target.child("destination") or Fields({}, target.at("destination"))
        host = _short(destination.text("host", None))
        subset = destination.text("subset")
        self._losses += destination.rest()
        if not subset:
            return ""
        labels = self._subsets.get((host, subset))
        tag = next((str(labels[key]) for key in _LABELS if key in labels), "") if labels is not None else subset
        if labels is None or not tag:
            tag = subset
            message = f"no DestinationRule says the {', '.join(_LABELS)} of {subset}: its name is used as the tag"
            self._losses.append(Loss(destination.at("subset"), message))
        elif len(labels) > 1:
            self._losses.append(
                Loss(destination.at("subset"), f"a tag is one label; the others are left out: {dict(labels)}")
            )
        if tag == BASE:
            return ""
        if host not in self.services:
            self.services.append(host)
        return tag


def _branch(fields: Fields, losses: list[Loss]) -> Branch:
    """A match: everything in it must hold."""
    fields.text("name")
    is_caseless = fields.flag("ignoreUriCase", False)
    items: list[tuple[str, str, Fields]] = []
    paths: list[str] | None = None
    for key, source in (("uri", "path"), ("method", "method"), ("authority", "host")):
        value = fields.child(key)
        if value is not None:
            paths = patterns.paths_of(value.text("regex")) if source == "path" else paths
            items += [] if source == "path" and paths else [(source, "", value)]
    present = _named(fields, "headers")
    without = _named(fields, "withoutHeaders")
    items += [("header", name, value) for name, value in present.items() if name not in without or value.unread()]
    items += [("param", name, value) for name, value in _named(fields, "queryParams").items()]
    conditions = drafts.gathered(items, lambda item, more: _condition(*item, is_caseless, more), losses)
    negative = [(name, value, name in present and not present[name].unread()) for name, value in without.items()]
    conditions += drafts.gathered(negative, lambda item, more: _without(*item, more), losses)
    for key in fields.unread():
        losses.append(Loss(fields.at(key), f"{key} cannot be a condition; {CLOSED}"))
        conditions.append(drafts.NEVER)
    return Branch(conditions, paths=paths or [])


def _named(fields: Fields, key: str) -> dict[str, Fields]:
    found = fields.get(key) or {}
    if not isinstance(found, Mapping):
        raise wrong(fields.at(key), "an object", found)
    return {str(name): Fields(value or {}, at(fields.at(key), name)) for name, value in found.items()}


def _condition(source: str, name: str, fields: Fields, is_caseless: bool, losses: list[Loss]) -> Condition:
    """A StringMatch as a condition. Raises Unfit."""
    given = fields.unread() or [key for key in ("regex",) if fields.has(key)]
    if len(given) > 1 or (given and given[0] not in ("exact", "prefix", "regex")):
        raise wrong(fields.place, "one of exact, prefix and regex", given)
    if source == "host":
        losses.append(Loss(fields.place, "a port in the authority is ignored here"))
    kind = given[0] if given else ""
    text = fields.text(kind) if kind else ""
    # An empty text requires only that the header is present.
    if not kind or (kind == "exact" and not text and source == "header"):
        return drafts.condition(fields.place, source, name, {"exists": True})
    if kind == "regex":
        if source == "header" and name.lower() == COOKIE and (cookie := _cookie(text)) is not None:
            return drafts.condition(fields.place, COOKIE, *cookie)
        return drafts.condition(fields.place, source, name, patterns.simplified(patterns.trimmed(text)[1]))
    case: dict[str, Any] = {"ignore_case": True} if is_caseless and source == "path" else {}
    return drafts.condition(fields.place, source, name, {"equals" if kind == "exact" else kind: text, **case})


def _cookie(pattern: str) -> tuple[str, dict[str, Any]] | None:
    """The cookie that a pattern for the whole Cookie header looks for, and what it must be; None if it does more."""
    found = _COOKIE.fullmatch(pattern)
    name = patterns.literal(found[1]) if found else None
    test = patterns.simplified(patterns.trimmed(f"^{found[2]}$")[1]) if found else {}
    return (name, test) if name and test.keys() <= {"equals", "in"} else None


def _without(name: str, fields: Fields, is_present: bool, losses: list[Loss]) -> Condition:
    """What must not be said of a header. `is_present`: it must be there all the same. Raises Unfit."""
    found = _condition("header", name, fields, False, losses)
    if found.exists and not is_present:
        return drafts.condition(fields.place, "header", name, {"absent": True})
    operator = {"equals": "not_equals", "in": "not_in"}.get(found.operator)
    if is_present and found.source == "header" and operator is not None:
        return drafts.condition(fields.place, "header", name, {operator: found.operand(found.operator)})
    turned = Condition.model_validate({"not": found})
    return drafts.combined([Condition(header=name, exists=True), turned], "all") if is_present else turned


def _host(host: str) -> Condition:
    return Condition(host=InnerTest(suffix=host[1:]) if host.startswith("*.") else InnerTest(equals=host))


def _short(host: str) -> str:
    """A service's name without the namespace and the cluster's domain."""
    return host.partition(".")[0] if re.search(r"\.svc(\.|\Z)", host) else host
