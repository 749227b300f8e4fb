"""From what a foreign format says to lanes of ours: one way for all formats to be careful.

A condition that cannot be said is replaced by one that never holds, and its lane is closed: it stays so until someone
has fixed it, even where it is opened by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from pydantic import ValidationError

from gateway.rules.conditions import PLAIN_SOURCES, Condition, InnerTest
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.names import check_name, check_tag
from gateway.rules.shares import GroupShares, Key, OverlapError, key_of, show_spans
from gateway.ruletools.formats.outcome import Loss, Unfit
from gateway.ruletools.formats.reading import at

NEVER: Final = Condition(path=InnerTest(absent=True))
"""Holds of no request: each has a path."""
EVERYBODY: Final = Condition(path=InnerTest(prefix="/"))
"""What a lane for everybody has for its condition."""
CLOSED: Final = "the lane is imported closed (enabled: false)"

Mode = Literal["all", "any"]
Item = TypeVar("Item")


@dataclass(slots=True)
class Branch:
    """One of the ways onto a lane: paths, and conditions that hold all, or any; none: everybody on the paths."""

    conditions: list[Condition]
    mode: Mode = "all"
    paths: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LaneDraft:
    """A lane as far as it is read. `is_shut`: it has a limit that cannot be said. `unless` are requests it does not get."""

    place: str
    name: str
    tag: str
    enabled: bool = True
    strict: bool = False
    branches: list[Branch] = field(default_factory=list)
    is_shut: bool = False
    unless: list[Condition] = field(default_factory=list)


def condition(place: str, source: str, name: str, test: dict[str, Any]) -> Condition:
    """A condition of ours. Raises Unfit, with what the rules say of it, where it is none."""
    data = {source: test} if source in PLAIN_SOURCES else {source: name, **test}
    try:
        return Condition.model_validate(data)
    except ValidationError as error:
        raise Unfit(place, error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def gathered(
    items: Iterable[Item], convert: Callable[[Item, list[Loss]], Condition], losses: list[Loss]
) -> list[Condition]:
    """Converts conditions; those that are unfit become `NEVER`, with a loss."""
    found = []
    for item in items:
        try:
            found.append(convert(item, losses))
        except Unfit as unfit:
            losses.append(Loss(unfit.place, f"{unfit.message}; {CLOSED}"))
            found.append(NEVER)
    return found


def combined(conditions: Sequence[Condition], mode: Mode) -> Condition:
    """Several conditions as one."""
    if len(conditions) == 1:
        return conditions[0]
    return Condition(all=list(conditions)) if mode == "all" else Condition(any=list(conditions))


def below(paths: Sequence[str]) -> Condition:
    """A lane's `paths` as a condition."""
    tests = []
    for path in paths:
        stem = path.rstrip("/")
        tests += [Condition(path=InnerTest(equals=stem))] if stem else []
        tests.append(Condition(path=InnerTest(prefix=f"{stem}/")))
    return combined(tests, "any")


def branch_condition(branch: Branch) -> Condition:
    """A branch as one condition, paths and all."""
    parts = [combined(branch.conditions, branch.mode)] if branch.conditions else []
    if branch.paths:
        parts.insert(0, below(branch.paths))
    return combined(parts or [EVERYBODY], "all")


def lane_of(draft: LaneDraft, taken: set[str], losses: list[Loss]) -> Lane | None:
    """The lane of a draft, closed where something in it cannot be said; None, with a loss, where its tag is not a tag.

    `taken` are the names that other lanes of the group have; it gets this one's.
    """
    try:
        check_tag(draft.tag)
    except ValueError as error:
        losses.append(Loss(at(draft.place, "tag"), f"{error}; found {draft.tag!r}; the lane is left out"))
        return None
    name = free_name(draft.name or draft.tag, taken, draft.place, losses)
    paths: list[str] = []
    mode: Mode = "any"
    if all(branch.paths == draft.branches[0].paths for branch in draft.branches):
        paths = draft.branches[0].paths
        bare = [Branch(branch.conditions, branch.mode) for branch in draft.branches]
    else:
        bare = draft.branches
    match = [branch_condition(branch) for branch in bare]
    if len(bare) == 1:
        mode, match = bare[0].mode, bare[0].conditions or [EVERYBODY]
    extra = [*draft.unless, *([NEVER] if draft.is_shut else [])]
    if extra:
        match = [*(match if mode == "all" else [combined(match, mode)]), *extra]
        mode = "all"
    if match == [EVERYBODY] and paths == ["/"]:
        paths = []
    values: dict[str, Any] = {"name": name, "tag": draft.tag, "enabled": draft.enabled, "strict": draft.strict}
    try:
        lane = Lane.model_validate({**values, "paths": paths, "match_mode": mode, "match": match})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        losses.append(Loss(draft.place, f"{reason}; {CLOSED}"))
        lane = Lane.model_validate({**values, "match": [NEVER]})
    return closed(lane) if NEVER in lane.leaves() else lane


def closed(lane: Lane) -> Lane:
    """The same lane, closed."""
    return lane.model_copy(update={"enabled": False})


def group_of(place: str, lanes: Sequence[Lane], losses: list[Loss], **values: Any) -> LaneGroup:
    """A group. `values` are the group's other fields.

    A lane whose share would meet another's has it written in spans; one that wants more than is left is closed, with a loss.
    """
    lanes = list(lanes)
    while True:
        try:
            GroupShares((lane.name, lane.leaves()) for lane in lanes)
            return LaneGroup(lanes=lanes, **values)
        except OverlapError as error:
            index = [lane.name for lane in lanes].index(error.lane)
            if error.spans:
                spans = show_spans(sorted(error.spans))
                match = [_in_spans(condition, error.key, spans) for condition in lanes[index].match]
                lanes[index] = lanes[index].model_copy(update={"match": match})
                continue
            losses.append(Loss(at(place, error.lane), f"{error}; {CLOSED}"))
            lanes[index] = closed(lanes[index]).model_copy(update={"match": [NEVER]})


def _in_spans(condition: Condition, key: Key, spans: list[str]) -> Condition:
    """The same condition, with the share of a key written in spans."""
    if condition.members:
        members = [_in_spans(member, key, spans) for member in condition.members]
        if condition.not_ is not None:
            return Condition.model_validate({"not": members[0]})
        return combined(members, "all" if condition.all is not None else "any")
    if condition.test.percent is None or key_of(condition) != key:
        return condition
    data = condition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    (data[condition.source] if condition.source in PLAIN_SOURCES else data)["percent"] = spans
    return Condition.model_validate(data)


def free_name(text: str, taken: set[str], place: str, losses: list[Loss]) -> str:
    """A name that rules accept and nobody has, `taken` from now on; with a loss where it is not the text."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:63] or "lane"
    with suppress(ValueError):
        name = check_name(text)
    stem, count = name, 1
    while name in taken:
        count += 1
        name = f"{stem[:58]}-{count}"
    if name != text:
        losses.append(Loss(place, f"the name {text!r} is written {name!r}"))
    taken.add(name)
    return name
