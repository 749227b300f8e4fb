"""Field lines (RFC 9110 §5), each judged once and then known by its bytes.

Most lines of a head have been seen before, byte for byte: clients and services repeat themselves. Looking such a line up
costs a fifth of reading it again. What is remembered is bounded, and credentials never are.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from typing import Final

from gateway.http.grammar import TOKEN
from gateway.telemetry.tracecontext import ID_FIELDS

MALFORMED: Final = -1
NOTHING: Final = 0
"""Meanings that every reader shares; a reader's own are positive."""

MAX_KNOWN: Final = 4096
"""Lines remembered: about a megabyte. When they are that many, all are forgotten: what repeats is soon there again."""
MAX_LENGTH: Final = 256
"""Bytes of the longest line that is remembered."""

MAX_OPTIONS: Final = 100
"""Connection options of a message. Few have more than two."""

MAX_DIGITS: Final = 18
"""Digits of the largest number taken: it fits 64 bits in whatever language the next program is written in."""

_NAME: Final = re.compile(TOKEN + rb"++")
_CONTROLS: Final = bytes([*range(9), *range(10, 32), 127])
"""What is in no value (RFC 9110 §5.5): all but HTAB, visible characters, spaces, and bytes above ASCII."""
# RFC 3875 §4.1.18 makes `-` an underscore, and servers do the same to whatever else is not a letter or digit.
FOLD: Final = bytes.maketrans(b"!#$%&'*+.^_`|~", b"-" * 14)

NEVER_KEPT: Final = frozenset(
    {
        b"authorization", b"proxy-authorization", b"cookie", b"set-cookie", b"referer", b"etag", b"if-none-match",
        b"last-modified", b"if-modified-since", b"traceparent", b"tracestate", b"x-b3-spanid", b"location",
        b"content-location", *(field.name for field in ID_FIELDS),
    }
)  # fmt: skip
"""Secrets, and what is never the same twice: no line with these names is remembered."""


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
    """What lines mean to one reader.

    `meanings` are by lower-case name, `families` by what a name begins with; `twin` is what a twin of one of them means.
    A twin is a name with `_`, `.` or the like for `-`: CGI-like services fold them all into one variable, so that
    `x_gray_tag` would be read as the real field behind us.

    `harmless` and `known` are to be checked first: the lines without a meaning, and what the others mean. `learn` judges a
    line that is in neither; `learned` is how many it has judged.
    """

    __slots__ = ("_families", "_folded", "_meanings", "_names", "_twin", "harmless", "known", "learned")

    def __init__(
        self, meanings: Mapping[bytes, int], twin: int = NOTHING, families: Mapping[bytes, int] | None = None
    ) -> None:
        self._meanings = dict(meanings)
        self._families: dict[bytes, int] = dict(families or {})
        self._folded: set[bytes] = {name.translate(FOLD) for name in meanings}
        self._twin = twin
        self._names: dict[bytes, _Name] = {}
        self.learned: int = 0
        self.harmless: set[bytes] = set()
        self.known: dict[bytes, FieldLine] = {}

    def learn(self, line: bytes) -> FieldLine:
        """Judges a line, and remembers it where that is of use. The meaning may be MALFORMED or NOTHING."""
        self.learned += 1
        spelled, colon, value = line.partition(b":")
        name = self._names.get(spelled)
        # Taking out nothing costs half of what a pattern does that takes everything.
        if not colon or value.translate(None, _CONTROLS) != value or (name is None and not _NAME.fullmatch(spelled)):
            return FieldLine(MALFORMED, line)
        if name is None:
            name = self._learn_name(spelled)
        meaning = name.meaning
        if not meaning and not name.is_kept:
            return _HARMLESS
        field = FieldLine(meaning, value.strip(b" \t"))
        if name.is_kept and len(line) <= MAX_LENGTH:
            if len(self.harmless) + len(self.known) >= MAX_KNOWN:
                self.harmless.clear()
                self.known.clear()
            if meaning:
                self.known[line] = field
            else:
                self.harmless.add(line)
        return field

    def meaning_of(self, name: bytes) -> int:
        """What a field means by its lower-case name, twins aside."""
        return self._meanings.get(name) or self._of_family(name)

    def _of_family(self, name: bytes) -> int:
        for beginning, meaning in self._families.items():
            if name.startswith(beginning):
                return meaning
        return NOTHING

    def _learn_name(self, spelled: bytes) -> _Name:
        lower = spelled.lower()
        meaning = self.meaning_of(lower)
        if self._twin and lower not in self._meanings:
            folded = lower.translate(FOLD)
            if folded in self._folded or (not meaning and self._of_family(folded)):
                meaning = self._twin
        name = _Name(meaning, lower not in NEVER_KEPT)
        if len(spelled) <= MAX_LENGTH:
            if len(self._names) >= MAX_KNOWN:
                self._names.clear()
            self._names[spelled] = name
        return name


def spans_named(lines: Sequence[bytes], start: int, names: Container[bytes]) -> list[int]:
    """Where in a head the fields of some (lower-case) names stand: start, end, … for each, its line end in front included.

    `lines` are the head's field lines, which begin at `start` of it. One pass, however many names there are.
    """
    spans: list[int] = []
    for line in lines:
        end = start + 2 + len(line)
        if line.partition(b":")[0].lower() in names:
            spans.append(start)
            spans.append(end)
        start = end
    return spans


def spans_like(lines: Sequence[bytes], start: int, names: Container[bytes]) -> list[int]:
    """The same, with the twins of these names: whoever receives fields the CGI way takes them for the real ones."""
    spans: list[int] = []
    for line in lines:
        end = start + 2 + len(line)
        name = line.partition(b":")[0].lower()
        if name in names or name.translate(FOLD) in names:
            spans.append(start)
            spans.append(end)
        start = end
    return spans


def values_named(lines: Sequence[bytes], name: bytes) -> list[bytes]:
    """The values of the field lines with one (lower-case) name, without surrounding white space."""
    values: list[bytes] = []
    for line in lines:
        spelled, _, value = line.partition(b":")
        if spelled.lower() == name:
            values.append(value.strip(b" \t"))
    return values


def read_options(connection: bytes) -> set[bytes] | None:
    """The options that all Connection fields name (RFC 9110 §7.6.1), in lower case; None if they are too many."""
    if connection.count(b",") >= MAX_OPTIONS:
        return None
    options = {part.strip(b" \t") for part in connection.lower().split(b",")}
    options.discard(b"")
    return options


class _Name:
    """What a field name, as it is spelt, means, and whether lines with it are worth remembering."""

    __slots__ = ("is_kept", "meaning")

    def __init__(self, meaning: int, is_kept: bool) -> None:
        self.meaning = meaning
        self.is_kept = is_kept


_HARMLESS: Final = FieldLine(NOTHING, b"")
