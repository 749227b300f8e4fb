"""Field lines (RFC 9110 §5), each judged once and then known by its bytes.

Most lines of a head have been seen before, byte for byte: clients and services repeat themselves. Looking such a line up
costs a fifth of reading it again. What is remembered is bounded, and credentials never are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.http.grammar import TOKEN, VALUE

MALFORMED: Final = -1
NOTHING: Final = 0
"""Meanings that every reader shares; a reader's own are positive."""

MAX_KNOWN: Final = 4096
"""Lines remembered: about a megabyte. When they are that many, all are forgotten: what repeats is soon there again."""
MAX_LENGTH: Final = 256
"""Bytes of the longest line that is remembered."""

MAX_DIGITS: Final = 18
"""Digits of the largest number taken: it fits 64 bits in whatever language the next program is written in."""

_LINE: Final = re.compile(rb"(" + TOKEN + rb"++):[ \t]*+(" + VALUE + rb"*+)")
_FOLD: Final = bytes.maketrans(b"_.", b"--")

# Secrets, and what is never the same twice.
_NEVER_KEPT: Final = frozenset(
    {
        b"authorization", b"proxy-authorization", b"cookie", b"set-cookie", b"referer", b"etag", b"if-none-match",
        b"last-modified", b"if-modified-since", b"traceparent", b"tracestate", b"b3", b"x-b3-traceid", b"x-b3-spanid",
        b"x-request-id",
    }
)  # fmt: skip


class FieldLine:
    """One line: what it means to the reader, and its value without surrounding white space.

    `number` is the value's where it is one of at most 18 digits, else -1.
    """

    __slots__ = ("meaning", "number", "value")

    def __init__(self, meaning: int, value: bytes) -> None:
        self.meaning = meaning
        self.value = value
        self.number: int = int(value) if len(value) <= MAX_DIGITS and value.isdigit() else -1


class FieldLines:
    """What lines mean to one reader. `meanings` are by lower-case name; `twin` is what a twin of one of them means.

    A twin is a name with `_` or `.` for `-`: CGI-like services fold all three into one variable, so that `x_gray_tag`
    would be read as the real field behind us.

    `harmless` and `known` are to be asked first: the lines without a meaning, and what the others mean. `learn` judges a
    line that is in neither.
    """

    __slots__ = ("_meanings", "_names", "_twin", "harmless", "known")

    def __init__(self, meanings: Mapping[bytes, int], twin: int = NOTHING) -> None:
        self._meanings = dict(meanings)
        self._twin = twin
        self._names: dict[bytes, _Name] = {}
        self.harmless: set[bytes] = set()
        self.known: dict[bytes, FieldLine] = {}

    def learn(self, line: bytes) -> FieldLine:
        """Judges a line, and remembers it where that is of use. The meaning may be MALFORMED or NOTHING."""
        match = _LINE.fullmatch(line)
        if match is None:
            return FieldLine(MALFORMED, line)
        spelled: bytes = match[1]
        name = self._names.get(spelled)
        if name is None:
            name = self._learn_name(spelled)
        meaning = name.meaning
        if not meaning and not name.is_kept:
            return _HARMLESS
        value: bytes = match[2].rstrip(b" \t")
        field = FieldLine(meaning, value)
        if name.is_kept and len(line) <= MAX_LENGTH:
            if len(self.harmless) + len(self.known) >= MAX_KNOWN:
                self.harmless.clear()
                self.known.clear()
            if meaning:
                self.known[line] = field
            else:
                self.harmless.add(line)
        return field

    def _learn_name(self, spelled: bytes) -> _Name:
        lower = spelled.lower()
        meaning = self._meanings.get(lower, NOTHING)
        if not meaning and self._twin and lower.translate(_FOLD) in self._meanings:
            meaning = self._twin
        name = _Name(meaning, lower not in _NEVER_KEPT)
        if len(spelled) <= MAX_LENGTH:
            if len(self._names) >= MAX_KNOWN:
                self._names.clear()
            self._names[spelled] = name
        return name


class _Name:
    """What a field name, as it is spelt, means, and whether lines with it are worth remembering."""

    __slots__ = ("is_kept", "meaning")

    def __init__(self, meaning: int, is_kept: bool) -> None:
        self.meaning = meaning
        self.is_kept = is_kept


_HARMLESS: Final = FieldLine(NOTHING, b"")
