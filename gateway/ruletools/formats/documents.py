"""What the text of foreign rules says, JSON or YAML, before its meaning is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import yaml

from gateway.ruletools.formats.outcome import FormatError
from gateway.yaml.reading import MAX_VALUES

_KEPT: Final = ("null", "bool", "int", "float", "merge")


class _Loader(yaml.SafeLoader):
    """Takes what looks like a date for text, as JSON has it: Kubernetes reads YAML as JSON."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in _KEPT]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_documents(text: str) -> object:
    """The JSON value of a text, or the list of its YAML documents. Raises FormatError."""
    try:
        try:
            found: object = json.loads(text)
        except ValueError:
            found = [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except RecursionError as error:
        raise FormatError("too deeply nested") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark is not None else ""
        raise FormatError(f"neither JSON nor YAML: {error.problem or error.context}{place}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise FormatError(f"neither JSON nor YAML: {' '.join(str(error).split())}") from error
    _check(found)
    return found


def _check(data: object) -> None:
    """Raises FormatError for texts that are none, and for more values, aliases written out, than rules can have."""
    rest: list[Any] = [data]
    count = 0
    while rest:
        value = rest.pop()
        count += 1
        if count > MAX_VALUES:
            raise FormatError(f"with its aliases written out it has more than {MAX_VALUES:,} values")
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise FormatError(f"{value!r} contains a lone surrogate, which is not a character") from error
        elif isinstance(value, Mapping):
            rest += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            rest += value
