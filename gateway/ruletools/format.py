"""Formatting rules: one indentation, one spacing; comments, order and quotes stay as they were written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.errors import ConfigError, Problem
from gateway.rules.conditions import Test
from gateway.rules.model import Lane, LaneGroup
from gateway.yaml.format import Unformattable, reformatted
from gateway.yaml.reading import parse_verbatim
from gateway.yaml.tree import comments_of
from gateway.yaml.writing import OneLine, write_yaml

_ONE_LINE: Final = ("schedule", "guard", "fault")
"""What a lane says on one line."""


def formatted(text: str, file: str) -> str:
    """The text in the one form. Raises ConfigError if it is not YAML, or if formatting would change what it says."""
    before = parse_verbatim(text, file).data
    if before is None:
        return text
    try:
        written = reformatted(text)
    except Unformattable as error:
        raise ConfigError([_left_alone(text, error.at, file, f"cannot be formatted: {error}")]) from error
    _check_kept(text, written, before, file)
    return written.replace("\n", "\r\n") if "\r\n" in text else written


def _check_kept(text: str, written: str, data: Any, file: str) -> None:
    """Raises ConfigError if the one text does not say all that the other says, comments included."""
    try:
        is_same = parse_verbatim(written, file).data == data
    except ConfigError:
        is_same = False
    if not is_same:
        raise ConfigError(
            [Problem(file, 1, 1, "cannot be formatted without changing its meaning; it is left as it is")]
        )
    kept = [comment for _, comment in comments_of(written)]
    for at, comment in comments_of(text):
        if comment not in kept:
            raise ConfigError([_left_alone(text, at, file, "cannot be formatted without losing this comment")])
        kept.remove(comment)


def _left_alone(text: str, at: int, file: str, message: str) -> Problem:
    before = text[:at]
    return Problem(file, before.count("\n") + 1, at - before.rfind("\n"), f"{message}; the file is left as it is")


def written(groups: Iterable[LaneGroup]) -> str:
    """Lane groups as a person writes them: what says nothing is left out, a plain condition is on one line.

    Raises ValueError for a text that no file can hold.
    """
    return write_yaml({"lane_groups": [_group(group) for group in groups]})


def _group(group: LaneGroup) -> dict[str, Any]:
    data: dict[str, Any] = group.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if group.lanes:
        data["lanes"] = [plain_lane(lane) for lane in group.lanes]
    return data


def plain_lane(lane: Lane) -> dict[str, Any]:
    """A lane as plain values: what it says, in the house style."""
    return in_house_style(lane.model_dump(mode="json", by_alias=True, exclude_defaults=True))


def in_house_style(lane: Mapping[str, Any]) -> dict[str, Any]:
    """A lane's values, sound or not, as people write them: a plain condition on one line, what it looks at first."""
    shown = {
        key: OneLine(value) if key in _ONE_LINE and isinstance(value, dict) else value for key, value in lane.items()
    }
    match = lane.get("match")
    return {**shown, "match": [_condition(item) for item in match]} if isinstance(match, list) else shown


def _condition(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    shown: dict[str, Any] = {}
    for key in sorted(data, key=lambda key: key == "in" or key in Test.model_fields):
        value = data[key]
        if key == "not":
            shown[key] = _condition(value)
        else:
            is_list = key in ("all", "any") and isinstance(value, list)
            shown[key] = [_condition(item) for item in value] if is_list else value
    return shown if shown.keys() & {"all", "any", "not"} else OneLine(shown)
