"""YAML with places: plain data, and the line and column of every key and value in it.

Scalars stay text, as written: the models turn `8` into a number where they want one, and `equals: 1.10` keeps its
zero. Only an empty value, `~` and `null` are nothing. So `on`, `no` and `0755` surprise nobody (YAML 1.1 has them as
booleans and octal numbers).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from gateway.errors import ConfigError, Problem
from gateway.files import read_file
from gateway.spelling import closest

VARIABLE: Final = re.compile(r"(\$+)\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""`${NAME}` and `${NAME:-default}` in a value. With more dollars than one it is not a variable: the first of them is dropped, so
that `$${NAME}` is the text `${NAME}`."""
_EXPECTED = {
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "path_type": "must be a path",
}
"""pydantic's words for a wrong type name Python's types; these name YAML's."""
NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
"""What is nothing, where no quotes are around it."""

MAX_VALUES = 250_000
"""Values in a file with every alias written out. A few lines of aliases to aliases ("billion laughs") ask for more."""

MAX_DEPTH = 64
"""Values inside one another. Conditions nest 8 deep at most, each with two levels of YAML."""

LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it."""

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML file: its data, and where each part of it is."""

    file: str
    data: Any
    _places: Mapping[Location, tuple[int, int]]
    _key_places: Mapping[Location, tuple[int, int]]

    def place(self, location: Location, of_key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of what is at a location (keys and indices from the root).

        Parts of the location that the file does not have (a union's tag, a key that is missing) are ignored.
        """
        known: Location = ()
        for part in location:
            if (*known, part) in self._places:
                known = (*known, part)
        if of_key and known in self._key_places:
            return self._key_places[known]
        return self._places.get(known, (1, 1))

    def problem(self, location: Location, message: str, of_key: bool = False) -> Problem:
        """A problem at a location."""
        line, column = self.place(location, of_key)
        return Problem(self.file, line, column, message)


def load(path: Path, environ: Mapping[str, str] | None = None) -> Document:
    """Reads one file. Raises ConfigError if it cannot be read or is not one YAML document."""
    return parse(read_text(path), str(path), environ)


def read_text(path: Path, file: str = "") -> str:
    """What a file says; `file` names it in problems, where its path does not.

    Raises ConfigError if it cannot be read, is not UTF-8 or is empty.
    """
    file = file or str(path)
    try:
        text = read_file(path).decode("utf-8-sig")  # what ends its lines is the file's own affair
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(file, 1, 1, f"the file is not UTF-8 (byte {error.start})")]) from error
    except OSError as error:
        raise ConfigError([Problem(file, 1, 1, f"cannot read the file: {error.strerror or error}")]) from error
    if not text:
        # Most programs empty a file before they rewrite it: taken for what it says, it would close every lane in the meantime.
        raise ConfigError([Problem(file, 1, 1, "the file is empty; if that is intended, leave a comment")])
    return text


def parse(text: str, file: str, environ: Mapping[str, str] | None = None) -> Document:
    """Reads YAML text; `file` names it in problems. Raises ConfigError."""
    return _read(text, file, os.environ if environ is None else environ)


def parse_verbatim(text: str, file: str) -> Document:
    """The same, with variables left as they are written: for those who compare or edit text. Raises ConfigError."""
    return _read(text, file, None)


def _read(text: str, file: str, environ: Mapping[str, str] | None) -> Document:
    try:
        _check_depth(text, file, LOADER)
        root = yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not YAML: {error.problem or error.context}"
        raise ConfigError([Problem(file, line, column, message)]) from error
    except yaml.reader.ReaderError as error:
        # The position that it names counts bytes; the character is the first of its kind.
        before = text[: text.find(chr(error.character))]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"not YAML: the control character U+{error.character:04X} is not allowed"
        raise ConfigError([Problem(file, line, column, message)]) from error
    reader = _Reader(file, environ)
    data = None if root is None else reader.read(root, ())
    if reader.problems:
        raise ConfigError(reader.problems)
    return Document(file, data, reader.places, reader.key_places)


def _check_depth(text: str, file: str, loader: Any) -> None:
    """Refuses values nested too deeply while they are still events: libyaml's own composer recurses, and would crash."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark = event.start_mark
                assert mark is not None
                message = f"nested too deeply: more than {MAX_DEPTH} values inside one another"
                raise ConfigError([Problem(file, mark.line + 1, mark.column + 1, message)])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reader:
    """Turns nodes into data and notes their places. Without `environ`, variables stay as they are written."""

    def __init__(self, file: str, environ: Mapping[str, str] | None) -> None:
        self.problems: list[Problem] = []
        self.places: dict[Location, tuple[int, int]] = {}
        self.key_places: dict[Location, tuple[int, int]] = {}
        self._file = file
        self._environ = environ
        self._open: list[yaml.Node] = []
        self._count = 0

    def read(self, node: yaml.Node, location: Location) -> Any:
        if any(node is above for above in self._open):  # compose resolves aliases, so a value may hold itself
            self._add(node, "an alias refers to a value that contains it")
            return None
        self._count += 1
        if self._count >= MAX_VALUES:
            if self._count == MAX_VALUES:
                self._add(node, f"with its aliases written out the file has more than {MAX_VALUES:,} values")
            return None
        self.places[location] = (node.start_mark.line + 1, node.start_mark.column + 1)
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, location)
            if isinstance(node, yaml.SequenceNode):
                return [self.read(item, (*location, index)) for index, item in enumerate(node.value)]
            return self._scalar(node)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._add(key_node, "a key must be a plain word")
                continue
            key = key_node.value
            if key in data:
                self._add(key_node, f"key '{key}' is given twice")
                continue
            self.key_places[(*location, key)] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            data[key] = self.read(value_node, (*location, key))
        return data

    def _scalar(self, node: Any) -> str | None:
        text: str = node.value
        if not node.style and text in NULLS:  # plain, not quoted
            return None
        environ = self._environ
        if environ is None or "${" not in text:
            return text
        return VARIABLE.sub(lambda match: self._variable(match, node, environ), text)

    def _variable(self, match: re.Match[str], node: yaml.Node, environ: Mapping[str, str]) -> str:
        if len(match[1]) > 1:
            return match[0][1:]
        name = match[2]
        default: str | None = match[3]
        value = environ.get(name)
        if value is None:
            value = self._credential(name, node, environ)
        if not value and default is not None:  # as in a shell: unset, or empty
            return default
        if value is None:
            self._add(node, f"environment variable {name} is not set; ${{{name}:-default}} gives a default")
            return ""
        return value

    def _credential(self, name: str, node: yaml.Node, environ: Mapping[str, str]) -> str | None:
        """The text of a file that the service manager keeps for this process (systemd.exec(5), LoadCredential=)."""
        folder = environ.get("CREDENTIALS_DIRECTORY")
        try:
            return read_file(Path(folder, name)).decode().removesuffix("\n") if folder else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._add(node, f"credential {name} cannot be read: {error}")
            return ""

    def _add(self, node: yaml.Node, message: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self._file, mark.line + 1, mark.column + 1, message))


def validation_problems(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Problem]:
    """Every problem of a pydantic validation, at its place in the file and in plain words."""
    problems: list[Problem] = []
    for detail in error.errors(include_url=False):
        location: Location = detail["loc"]
        if detail["type"] == "extra_forbidden":
            message = _unknown_key(location, model)
            problems.append(document.problem(location, message, of_key=True))
        else:
            problems.append(document.problem(location, _plain_words(detail, location)))
    return problems


def _plain_words(detail: Any, location: Location) -> str:
    where = dotted(location)
    kind = detail["type"]
    if kind == "missing":
        return f"{where}: this key is required"
    if kind == "union_tag_invalid":
        return f"{where}: unknown kind '{detail['ctx']['tag']}'; accepted: {detail['ctx']['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{where}: the key 'kind' is required"
    if kind == "too_short":
        least, found = detail["ctx"]["min_length"], detail["ctx"]["actual_length"]
        return f"{where}: must have at least {least} item{'' if least == 1 else 's'}, not {found}"
    message = _EXPECTED.get(kind) or detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    value = detail.get("input")
    if kind == "value_error":
        shown = ""  # our own words say what was found
    elif isinstance(value, dict | list):
        shown = f" (found {'a mapping' if isinstance(value, dict) else 'a list'})"
    elif value is None:
        shown = " (found nothing)"
    else:
        shown = f" (found {value!r})"
    return f"{where}: {message}{shown}" if where else f"{message}{shown}"


def _unknown_key(location: Location, model: type[BaseModel]) -> str:
    key = str(location[-1])
    close = closest(key, _keys_at(model, location[:-1]))
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"{dotted(location)}: unknown key '{key}'{hint}"


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that a model accepts at a location, found in its schema."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    keys: list[str] = []

    def collect(part: Any, rest: Location) -> None:
        while "$ref" in part:
            part = definitions[part["$ref"].rpartition("/")[2]]
        for choice in (*part.get("anyOf", ()), *part.get("oneOf", ()), *part.get("allOf", ())):
            collect(choice, rest)
        properties = part.get("properties", {})
        if not rest:
            keys.extend(properties)
            return
        head, tail = rest[0], rest[1:]
        if head in properties:
            collect(properties[head], tail)
        elif isinstance(head, int) and "items" in part:
            collect(part["items"], tail)
        elif isinstance(part.get("additionalProperties"), dict):
            collect(part["additionalProperties"], tail)
        elif properties and (properties.get("kind", {}).get("const") == head):
            collect(part, tail)  # the tag of a discriminated union

    collect(schema, location)
    return keys


def dotted(location: Location) -> str:
    """A location as a person writes it: `lane_groups.0.lanes`."""
    return ".".join(str(part) for part in location)
