"""What the formats share: losses, lanes that are imported closed, and what no other system can say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from gateway.errors import GatewayError
from gateway.rules.conditions import Condition
from gateway.rules.model import Lane, LaneGroup


class FormatError(GatewayError):
    """Data that is not of the format; the text names the place, what is there and what is expected."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that does not fit: where it stands in the source, and what becomes of it."""

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Imported:
    """Lane groups, and what was lost on the way."""

    groups: tuple[LaneGroup, ...]
    losses: tuple[Loss, ...]


@dataclass(frozen=True, slots=True)
class Exported:
    """Documents, and what was lost on the way."""

    documents: tuple[dict[str, Any], ...]
    losses: tuple[Loss, ...]


class Unsayable(Exception):
    """A condition that the other side has no words for."""


class Keys:
    """A mapping whose keys are looked for in any spelling: `EntryRules`, `entryRules`, `entry_rules`."""

    def __init__(self, data: Mapping[str, Any], place: str) -> None:
        self.place = place
        self._data = {_fold(key): (key, value) for key, value in data.items()}
        self._used: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a key."""
        folded = _fold(name)
        self._used.add(folded)
        return self._data.get(folded, (name, default))[1]

    def text(self, name: str, default: str = "") -> str:
        """The value of a key that is a text or a number."""
        value = self.get(name)
        return default if value is None else str(value)

    def items(self, name: str) -> list[Any]:
        """The value of a key that is a list. Raises FormatError."""
        value = self.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise FormatError(f"{self.at(name)}: a list is expected, found {value!r}")
        return value

    def at(self, name: str) -> str:
        """The place of a key."""
        return f"{self.place}.{name}" if self.place else name

    def unused(self) -> Iterator[str]:
        """The keys that nobody has asked for and that say something."""
        for folded, (key, value) in self._data.items():
            if folded not in self._used and value not in (None, "", [], {}, False, 0):
                yield key


def keys_of(data: Any, place: str) -> Keys:
    """A mapping of a source. Raises FormatError."""
    if not isinstance(data, dict):
        raise FormatError(f"{place or 'the data'}: an object is expected, found {data!r}")
    return Keys(data, place)


def _fold(key: str) -> str:
    return key.replace("_", "").lower()


def plain_name(text: str, default: str) -> str:
    """A name that groups and lanes may have."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:63]
    return name or default


def make_lane(
    name: str, tag: str, conditions: Sequence[Mapping[str, Any]], mode: str, losses: list[Loss], place: str, **more: Any
) -> Lane | None:
    """A lane; None, with a loss, where it cannot be one (its tag is no tag)."""
    data = {"name": name, "tag": tag, "match": list(conditions), "match_mode": mode, **more}
    try:
        return Lane.model_validate(data)
    except ValidationError as error:
        reason = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
        losses.append(Loss(place, f"lane {name} is left out: {reason}"))
        return None


def everybody() -> list[dict[str, Any]]:
    """The conditions of a lane that takes every request."""
    return [{"path": {"prefix": "/"}}]


def make_group(
    name: str, lanes: Iterable[Lane | None], losses: list[Loss], place: str, **more: Any
) -> LaneGroup | None:
    """A group of the lanes that there are, names made unique; None, with a loss, where it cannot be one."""
    kept: list[dict[str, Any]] = []
    names: set[str] = set()
    for lane in lanes:
        if lane is None:
            continue
        unique, number = lane.name, 2
        while unique in names:
            unique = f"{lane.name[:59]}-{number}"
            number += 1
        names.add(unique)
        kept.append({**lane.model_dump(by_alias=True, exclude_unset=True), "name": unique})
    try:
        return LaneGroup.model_validate({"name": name, "lanes": kept, **more})
    except ValidationError as error:
        reason = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
        losses.append(Loss(place, f"group {name} is left out: {reason}"))
        return None


def lane_losses(group: LaneGroup, lane: Lane, kept: frozenset[str]) -> Iterator[Loss]:
    """What a lane says beside its conditions that a format does not keep."""
    place = f"{group.name}/{lane.name}"
    for key in ("owner", "expires", "strict", "debug", "sticky", "paths"):
        if key not in kept and getattr(lane, key) not in (None, "", False, []):
            yield Loss(f"{place} {key}", f"{key} is lost")


def group_losses(group: LaneGroup, kept: frozenset[str]) -> Iterator[Loss]:
    """What a group says that a format does not keep."""
    defaults = LaneGroup(name="x")
    for key in ("enabled", "order", "entry", "services", "baseline"):
        if key not in kept and getattr(group, key) != getattr(defaults, key):
            yield Loss(f"{group.name} {key}", f"{key} is lost")


def plain_conditions(lane: Lane) -> list[Condition]:
    """A lane's conditions, where none is a combination. Raises Unsayable."""
    for condition in lane.match:
        if condition.members:
            raise Unsayable("all, any and not inside one another")
    return list(lane.match)


def is_everybody(conditions: Sequence[Condition]) -> bool:
    """Whether conditions take every request."""
    return len(conditions) == 1 and conditions[0].path is not None and conditions[0].path.prefix == "/"
