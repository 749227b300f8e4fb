"""Findings that each stand on one lane, or on names: no witness is needed to see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from gateway.rules.conditions import Condition
from gateway.rules.explain import show_condition
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.rows import rows_of
from gateway.rules.ruleset import RuleSet
from gateway.rules.shares import key_of, show_spans
from gateway.rules.sources import SOURCES
from gateway.ruletools.lint.findings import Finding, Knowledge

_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")


def of_conditions(group: LaneGroup, lane: Lane, known: Knowledge) -> Iterator[Finding]:
    """What one lane's conditions say that is seldom meant."""
    leaves = lane.leaves()
    asked = {
        id(literal.condition) for row in rows_of(lane.match, lane.match_mode) for literal in row if not literal.negated
    }
    for leaf in leaves:
        text = show_condition(leaf)
        if leaf.header == known.tag_header:
            hint = "mark requests by something that only your own people have, or let the debug header choose the lane"
            message = f"{text}: a condition sees the tag header as it was sent"
            yield Finding("GR501", group.name, lane.name, "match", message, hint)
        values = _everything(leaf)
        if values:
            hint = "say `exists: true` if that is meant, or leave the condition out"
            yield Finding("GR105", group.name, lane.name, "match", f"{text} holds for every value{values}", hint)
        escaped = _escaped(leaf) if leaf.source in SOURCES and SOURCES[leaf.source].is_unescaped else ""
        if escaped:
            message = f"{text}: values are decoded before they are compared"
            hint = f"write {unquote(escaped)!r}, unless what is sent has its percent sign escaped"
            yield Finding("GR106", group.name, lane.name, "match", message, hint)
        subject = f"{leaf.source} {leaf.name}".strip()
        is_covered = id(leaf) not in asked or any(
            (other.source, other.name) == (leaf.source, leaf.name)
            and (other.test.exists is False or other.test.absent is True)
            for other in leaves
        )
        given = leaf.test.given()
        if given is not None and given[0].negates and leaf.name and not is_covered:
            hint = f"take them too: any: [{{…}}, {{{leaf.source}: {leaf.name}, absent: true}}], or use `not`"
            message = f"{text} does not hold for requests without {subject}"
            yield Finding("GR303", group.name, lane.name, "match", message, hint)
        if leaf.test.percent is not None and leaf.cookie is not None and leaf.issue is None and not is_covered:
            hint = "`issue: 30d` beside the percent gives them one"
            message = f"{text}: clients without the cookie are out of the share"
            yield Finding("GR302", group.name, lane.name, "match", message, hint)
        if leaf.body is not None and known.inspects_body is False:
            hint = "give the route `inspect_body: 65536`"
            yield Finding("GR403", group.name, lane.name, "match", f"{text}: no route lets rules look at bodies", hint)


def _escaped(leaf: Condition) -> str:
    """The first text of a condition that has a percent escape, or nothing."""
    given = leaf.test.given()
    texts = [] if given is None else given[0].texts(given[1])
    return next((text for text in texts if _ESCAPE.search(text)), "")


def _everything(condition: Condition) -> str:
    """Of which values a condition holds, if that is all of them, or nearly; empty if it is not."""
    given = condition.test.given()
    return "" if given is None else given[0].is_everything(given[1], condition.source) or ""


def of_expiry(group: LaneGroup, lane: Lane, known: Knowledge, now: float) -> Iterator[Finding]:
    """Lanes that close by themselves."""
    if lane.expires is None or not (group.enabled and lane.enabled):
        return
    left = lane.expires.timestamp() - now
    owner = f"; its owner is {lane.owner}" if lane.owner else ""
    if left <= 0:
        message = f"expired at {lane.expires.isoformat()} and matches nothing{owner}"
        yield Finding("GR601", group.name, lane.name, "expires", message, "delete the lane, or give it more time")
    elif left < known.expiry_warning:
        message = f"expires at {lane.expires.isoformat()}{owner}"
        yield Finding("GR602", group.name, lane.name, "expires", message, "give it more time, or plan its end")


def of_services(group: LaneGroup, known: Knowledge) -> Iterator[Finding]:
    """Services and tags that nobody has."""
    if known.tags is None:
        return
    for service in group.services:
        if service not in known.tags:
            names = ", ".join(sorted(known.tags)) or "none"
            message = f"service '{service}' is not in the registry (it has: {names})"
            yield Finding("GR402", group.name, "", "services", message, "a typo, or a service that only others call")
    if any(service not in known.tags for service in group.services):
        return  # what it carries is not known
    carried = {tag for name, tags in known.tags.items() if not group.services or name in group.services for tag in tags}
    for lane in group.lanes:
        if group.enabled and lane.enabled and lane.tag not in carried:
            message = f"no instance of the group's services carries tag '{lane.tag}'"
            hint = f"tags there are: {', '.join(sorted(carried)) or 'none'}; its requests are served by the baseline"
            yield Finding("GR401", group.name, lane.name, "tag", message, hint)


def of_routes(group: LaneGroup, lane: Lane, known: Knowledge) -> Iterator[Finding]:
    """Lanes limited to paths that no route leads to."""
    if known.routes is None or not lane.paths:
        return
    routed = [route.rstrip("/") + "/" for route in known.routes]
    for path in lane.paths:
        closed = path.rstrip("/") + "/"
        if not any(closed.startswith(route) or route.startswith(closed) for route in routed):
            message = f"no route leads to {path}"
            hint = f"routes there are: {', '.join(known.routes) or 'none'}"
            yield Finding("GR404", group.name, lane.name, "paths", message, hint)


def of_shares(group: LaneGroup) -> Iterator[Finding]:
    """Lanes that share a key by plain numbers: where they are now, to be written down."""
    shares = group.shares()
    claims: dict[object, list[tuple[Lane, str, bool]]] = {}
    for lane in group.lanes:
        for leaf in lane.leaves():
            if leaf.test.percent is not None:
                spans = ", ".join(show_spans(shares.spans_of(lane.name, leaf)))
                plain = not isinstance(leaf.test.percent, list)
                claims.setdefault(key_of(leaf), []).append((lane, spans, plain))
    for key, members in claims.items():
        if len({lane.name for lane, _, _ in members}) < 2 or not any(plain for _, _, plain in members):
            continue
        assert isinstance(key, tuple)
        subject = f"{key[0]} {key[1]}".strip()
        held = "; ".join(f"{lane.name} percent: [{spans}]" for lane, spans, _ in members)
        lane = next(lane for lane, _, plain in members if plain)
        message = (
            f"several lanes split by {subject}, and not all say which spans they hold: that follows from their order"
        )
        yield Finding("GR301", group.name, lane.name, "match", message, f"they hold now: {held}")


def of_tags(rules: RuleSet) -> Iterator[Finding]:
    """Lanes that share a tag and do not agree on what it means."""
    members: dict[str, list[tuple[LaneGroup, Lane]]] = {}
    for group in rules.groups:
        for lane in group.lanes:
            members.setdefault(lane.tag, []).append((group, lane))
    for tag, several in members.items():
        first_group, first = several[0]
        other = next(((group, lane) for group, lane in several if lane.strict != first.strict), None)
        if other is not None:
            message = f"tag '{tag}' is strict in some lanes and not in others ({first_group.name}/{first.name})"
            hint = "after the entry only the tag is known: sidecars are strict if every lane of a tag is"
            yield Finding("GR503", other[0].name, other[1].name, "tag", message, hint)
        services = {frozenset(group.services) for group, _ in several}
        if len(services) > 1:
            group, lane = several[-1]
            message = f"tag '{tag}' is used by groups with different services"
            yield Finding("GR504", group.name, lane.name, "tag", message, "after the entry the union of them applies")


def of_names(rules: RuleSet) -> Iterator[Finding]:
    """Names that a person would take for one another."""
    tags: dict[str, str] = {}
    groups: dict[str, str] = {}
    for group in rules.groups:
        yield from _alike("group name", group.name, groups, Finding("GR502", group.name, "", "name", ""))
        lanes: dict[str, str] = {}
        for lane in group.lanes:
            yield from _alike("tag", lane.tag, tags, Finding("GR502", group.name, lane.name, "tag", ""))
            yield from _alike("lane name", lane.name, lanes, Finding("GR502", group.name, lane.name, "name", ""))


def _alike(what: str, name: str, seen: dict[str, str], place: Finding) -> Iterator[Finding]:
    folded = re.sub(r"[._-]", "", name.casefold())
    known = seen.setdefault(folded, name)
    if known != name:
        message = f"{what} '{name}' is nearly '{known}'"
        yield Finding(place.code, place.group, place.lane, place.key, message, "names are compared to the letter")


def of_segments(rules: RuleSet) -> Iterator[Finding]:
    """Segments without use or values."""
    used: dict[str, tuple[str, str]] = {}
    for group in rules.groups:
        for lane in group.lanes:
            for leaf in lane.leaves():
                if leaf.test.segment is not None:
                    used.setdefault(leaf.test.segment, (group.name, lane.name))
    for name, values in rules.segments.items():
        if name not in used:
            yield Finding("GR701", "", "", "segments", f"no condition names segment '{name}'", "delete it, or use it")
        elif not values:
            yield Finding("GR702", *used[name], "match", f"segment '{name}' has no values", "nobody is in it")
