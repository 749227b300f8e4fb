"""Segment files: one value a line, `#` for comments, quotes for what would be lost without them.

The rules are YAML's, so that a line means what it would mean in a list of a rule: `#` at the beginning or after white space
begins a comment, white space around a value is none of it, and a value in quotes is what they enclose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from gateway.rules.forms import check_characters

_NOT_PLAIN: Final = re.compile(r"\s#|[\x00-\x08\x0a-\x1f\x7f]")
_QUOTED: Final = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)')(?:\s+#.*)?""")


class SegmentError(ValueError):
    """A line that is not a value. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


def segment_values(text: str) -> Iterator[tuple[int, str]]:
    """The values of a segment's file, each with its line, from 1. Raises SegmentError."""
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip().lstrip("\ufeff")  # byte order marks of files that were put together
        if not line or line[0] == "#":
            continue
        try:
            yield number, _quoted(line) if line[0] in "\"'" else _plain(line)
        except ValueError as error:
            raise SegmentError(number, str(error)) from error


def _plain(line: str) -> str:
    found = _NOT_PLAIN.search(line)
    if found is None:
        return line
    if found[0][-1] != "#":
        raise ValueError(f"{line!r} has a control character; lines end with LF or CRLF")
    return _plain(line[: found.start()].rstrip())


def _quoted(line: str) -> str:
    found = _QUOTED.fullmatch(line)
    if found is None:
        raise ValueError(
            f"{line!r} begins with a quote that does not end with the value; a value that has quotes itself is written in "
            'others, such as "\'t Hooft" or \'"x"\''
        )
    if found[2] is not None:
        return found[2].replace("''", "'")
    try:
        value: str = json.loads(f'"{found[1]}"', strict=False)
    except ValueError as error:
        raise ValueError(f"{line!r}: what follows a backslash in double quotes is as in JSON") from error
    return check_characters(value)
