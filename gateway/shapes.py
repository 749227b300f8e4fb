"""The shapes of JSON that another program returns: what a reader of it relies on, judged in one place before it is read.

Whoever listens on a port may be a different program than was thought, or one of another version. A shape says only what its
reader uses, so a program that says more, or says the rest in another way, is understood:

- a `Kind` is one value: `TEXT`, `COUNT`, `MOMENT`, …
- `{"name": shape, "later?": shape}` is an object; a member with a question mark may be absent
- `[shape]` is a list of such values, `Filled(shape)` one that is not empty
- `Each(shape)` is an object whose members are all such values
- `Maybe(shape)` also takes null
- a function that returns a shape is that shape, for one that contains itself
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_DEPTH: Final = 100
"""Lists and objects in one another. Real answers have fewer; code that walks them, or writes them, calls itself."""
MOST_SHOWN: Final = 30
"""Characters of a value that a message quotes."""


class ShapeError(ValueError):
    """What was found where: a text such as `lanes[0].tag: expected a text, got null`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A single value: what a person calls it, and whether a value is one."""

    name: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Maybe:
    """A shape, or null."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Each:
    """An object whose members all have one shape, whatever they are called."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Filled:
    """A list of values of one shape, which is not empty."""

    shape: Shape


Shape = Kind | Maybe | Each | Filled | Mapping[str, Any] | list[Any] | Callable[[], Any]
"""See the head of the module."""


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


TEXT: Final = Kind("a text", lambda value: isinstance(value, str))
FLAG: Final = Kind("true or false", lambda value: isinstance(value, bool))
COUNT: Final = Kind("a whole number", lambda value: isinstance(value, int) and _is_number(value, -(2**63), 2**63))
NUMBER: Final = Kind("a number that is not too large", lambda value: _is_number(value, -1e18, 1e18))
SHARE: Final = Kind("a number from 0 to 1", lambda value: _is_number(value, 0, 1))
MOMENT: Final = Kind("a time in seconds since 1970", lambda value: _is_number(value, 0, 2.5e11))
"""Up to the year 9892: what `datetime` can show in every time zone."""


def one_of(*words: str) -> Kind:
    """One of some words."""
    return Kind(f"one of {', '.join(words)}", lambda value: isinstance(value, str) and value in words)


def parse_json(content: str | bytes) -> Any:
    """The value that a JSON text is. Raises ValueError if it is none, is nested too deeply, or has a number out of range."""
    try:
        found = json.loads(content, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    if depth_of(found) > MAX_DEPTH:
        raise ValueError("the JSON is nested too deeply")
    return found


def depth_of(value: Any) -> int:
    """How many lists and objects are in one another."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [part for item in level for part in (item.values() if isinstance(item, dict) else item)]
    return depth


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:  # infinite, or not a number
        raise ValueError(f"the JSON has the number {text[:MOST_SHOWN]}")
    return number


def check(value: Any, shape: Shape, place: str = "") -> None:
    """Raises ShapeError at the first place where a value has another shape."""
    if isinstance(shape, Maybe):
        if value is not None:
            check(value, shape.shape, place)
    elif isinstance(shape, Kind):
        _require(shape.holds(value), value, shape.name, place)
    elif isinstance(shape, Filled):
        check(value, [shape.shape], place)
        if not value:
            raise ShapeError(f"{place} is empty")
    elif isinstance(shape, list):
        _require(isinstance(value, list), value, "a list", place)
        for number, item in enumerate(value):
            check(item, shape[0], f"{place}[{number}]")
    elif isinstance(shape, Each | Mapping):
        _require(isinstance(value, dict), value, "an object", place)
        _check_members(value, shape, place)
    else:
        check(value, shape(), place)


def _check_members(value: dict[str, Any], shape: Each | Mapping[str, Any], place: str) -> None:
    if isinstance(shape, Each):
        for name, item in value.items():
            check(item, shape.shape, _member(place, name))
        return
    for key, inner in shape.items():
        name = key.removesuffix("?")
        if name in value:
            check(value[name], inner, _member(place, name))
        elif name == key:
            raise ShapeError(f"{_member(place, name)} is missing")


def _member(place: str, name: str) -> str:
    name = name if len(name) <= MOST_SHOWN else f"{name[:MOST_SHOWN]}…"
    return f"{place}.{name}" if place else name


def _require(holds: bool, value: Any, expected: str, place: str) -> None:
    if not holds:
        raise ShapeError(f"{place or 'the JSON'}: expected {expected}, got {_named(value)}")


def _named(value: Any) -> str:
    """A value as a message names it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
