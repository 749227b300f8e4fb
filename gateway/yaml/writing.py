"""Plain data as YAML: what is written is read back as it was, by this program and by every other reader of YAML.

PyYAML's emitter decides how a text is spelt; what it learns here is which texts other readers take for something else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from gateway.yaml.reading import MAX_DEPTH, VARIABLE

WIDTH: Final = 120
"""Columns after which a value in braces or brackets continues on the next line."""

_FOLDED: Final = re.compile(r"[\n\x85\u2028\u2029]")
"""Characters that end a line: inside single quotes, or none, they would be read as a space or as another of them."""
_NUMBER: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|0o[0-7]+|y|Y|n|N")
"""What YAML 1.2 takes for a number, and older readers for a truth value, beside what PyYAML knows of."""


class OneLine(dict[str, Any]):
    """A mapping that is written in braces."""


class _Dumper(yaml.SafeDumper):
    """The house style: sequences are indented, one text is on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def write_plain(self, text: str, split: bool = True) -> None:
        super().write_plain(text, False)

    def write_single_quoted(self, text: str, split: bool = True) -> None:
        super().write_single_quoted(text, False)

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        super().write_double_quoted(text, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = '"' if _FOLDED.search(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)

    def represent_number(self, number: float) -> yaml.ScalarNode:
        text = repr(number).removesuffix(".0")
        tag = self.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return self.represent_scalar(tag, text)

    def represent_line(self, data: OneLine) -> yaml.MappingNode:
        return self.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_representer(float, _Dumper.represent_number)
_Dumper.add_representer(OneLine, _Dumper.represent_line)
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"(?:{_NUMBER.pattern})\\Z"), list("-+.0123456789yYnN")
)


def write_yaml(*documents: Any, has_variables: bool = True, is_flow: bool = False) -> str:
    """Documents of mappings, sequences, texts, numbers, truth values and None as YAML, the order of keys kept.

    `has_variables`: the reader replaces `${NAME}` in values, as our own does, so texts that look like it are written so
    that they stay. `is_flow`: everything in one line of braces and brackets, without a line break at the end. Raises
    ValueError for what no YAML can say: a lone surrogate, a number that is not finite, more levels than a reader takes.
    """
    text: str = yaml.dump_all(
        [_checked(document, has_variables, 0) for document in documents],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=is_flow,
        width=math.inf if is_flow else WIDTH,
    )
    return text.removesuffix("\n").removesuffix("\n...") if is_flow else text


def _checked(data: Any, has_variables: bool, depth: int) -> Any:
    """The data with its texts as they are to be written. Raises ValueError."""
    if depth > MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} values inside one another")
    if isinstance(data, str):
        return VARIABLE.sub(r"$\g<0>", _sound(data)) if has_variables else _sound(data)
    if isinstance(data, float) and not math.isfinite(data):
        raise ValueError(f"a number must be finite; found {data}")
    if isinstance(data, Mapping):
        kind = OneLine if isinstance(data, OneLine) else dict
        return kind((_sound(key), _checked(value, has_variables, depth + 1)) for key, value in data.items())
    if isinstance(data, list | tuple):
        return [_checked(item, has_variables, depth + 1) for item in data]
    return data


def _sound(text: str) -> str:
    """The text itself. Raises ValueError if it cannot be written in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} contains a lone surrogate, which is not a character") from error
    return text
