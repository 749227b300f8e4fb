"""Formatting rules: one indentation, one spacing; comments, order and quotes stay as they were written."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gateway.errors import ConfigError, Problem
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


class _Anything(dict[str, str]):
    """An environment in which every variable is set: formatting does not ask what its value is."""

    def get(self, key: str, default: Any = None) -> str:
        return "${" + key + "}"
