"""Formatting rules: one indentation, one spacing; comments, order and quotes stay as they were written."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from gateway.errors import ConfigError, Problem
from gateway.rules.conditions import Test
from gateway.rules.model import Lane, LaneGroup
from gateway.yamlfile import parse

WIDTH = 120
"""Columns of a line."""


def round_trip() -> YAML:
    """Reads and writes YAML without losing comments, order or quotes."""
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = WIDTH
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.allow_duplicate_keys = True  # the gateway's own reader says where they are
    return yaml


def formatted(text: str, file: str) -> str:
    """The text in the one format. Raises ConfigError where it is not YAML, or where formatting would change what it says."""
    before = parse(text, file, _Anything()).data
    yaml = round_trip()
    stream = io.StringIO()
    try:
        tree = yaml.load(text)
        if tree is None:
            return text
        yaml.dump(tree, stream)
    except YAMLError as error:
        raise ConfigError([Problem(file, 1, 1, f"cannot be formatted: {error}")]) from error
    written = "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
    if parse(written, file, _Anything()).data != before:
        raise ConfigError([Problem(file, 1, 1, "cannot be formatted without changing what it says; it is left alone")])
    return written


def written(groups: Iterable[LaneGroup]) -> str:
    """Lane groups as a person writes them: what says nothing is left out, a plain condition stands on one line."""
    stream = io.StringIO()
    round_trip().dump({"lane_groups": [_group(group) for group in groups]}, stream)
    return stream.getvalue()


def _group(group: LaneGroup) -> dict[str, Any]:
    data: dict[str, Any] = group.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if group.lanes:
        data["lanes"] = [plain_lane(lane) for lane in group.lanes]
    return data


def plain_lane(lane: Lane) -> dict[str, Any]:
    """A lane as plain values: what it says, the parts of a condition in the order in which people write them."""
    data: dict[str, Any] = lane.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**data, "match": [_condition(item) for item in data["match"]]}


def _condition(data: dict[str, Any]) -> CommentedMap:
    """A condition, what it looks at before how it compares."""
    shown = CommentedMap()
    for key in sorted(data, key=lambda key: key == "in" or key in Test.model_fields):
        value = data[key]
        if key == "not":
            shown[key] = _condition(value)
        else:
            shown[key] = [_condition(item) for item in value] if key in ("all", "any") else value
    if not shown.keys() & {"all", "any", "not"}:
        shown.fa.set_flow_style()
    return shown


class _Anything(dict[str, str]):
    """An environment in which every variable is set: formatting does not ask what its value is."""

    def get(self, key: str, default: Any = None) -> str:
        return "${" + key + "}"
