"""What proxies in front say of a request: read for each field by itself, since hardly any two send the same ones."""

from __future__ import annotations

import re
from typing import Final

from gateway.http.grammar import TOKEN

# Meanings of field lines; the reader's own are below.
FORWARDED: Final = 32
"""A field of this kind that is not read, only passed on or not."""
FORWARDED_FOR: Final = 33
FORWARDED_PROTO: Final = 34
FORWARDED_HOST: Final = 35
FORWARDED_PREFIX: Final = 36
FORWARDED_ELEMENTS: Final = 37
"""RFC 7239's own field."""

MAX_NODES: Final = 32
"""Entries of a chain that are looked at, from the nearest on."""

_PAIR: Final = re.compile(
    rb"[ \t]*+(?:(" + TOKEN + rb'++)=(?:"((?:[^"\\]|\\.)*+)"|([^;,"\\ \t]*+)))?+[ \t]*+([;,]|\Z)', re.DOTALL
)
_QUOTED_PAIR: Final = re.compile(rb"\\(.)", re.DOTALL)
_PREFIX: Final = re.compile(rb"(?:/(?!\.{1,2}(?:/|\Z))[0-9A-Za-z\-._~%!$&'()*+,;=:@]++)++")
_SECURE: Final = frozenset({b"https", b"wss"})


class Forwarded:
    """The forwarding fields of one request, as they came: lines of one name are read as one (RFC 9110 §5.3)."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[int, list[bytes]] = {}

    def note(self, meaning: int, value: bytes) -> None:
        """Takes one line's value."""
        self._lines.setdefault(meaning, []).append(value)

    def value(self, meaning: int) -> bytes:
        """What all lines of one field say, empty if there is none."""
        return b",".join(self._lines.get(meaning, ()))

    @property
    def chain(self) -> list[str]:
        """Who sent to whom, the nearest first: each entry of X-Forwarded-For, or else each `for` of Forwarded.

        An element without a `for` is an entry that says nothing; empty ones (RFC 9110 §5.6.1.2) are none.
        """
        nodes = self.value(FORWARDED_FOR)
        if nodes:
            entries = nodes.decode("latin-1").rsplit(",", MAX_NODES)[-MAX_NODES:]
            return [entry for entry in reversed(entries) if entry.strip(" \t")]
        elements = read_elements(self.value(FORWARDED_ELEMENTS))
        return [pairs.get(b"for", b"").decode("latin-1") for pairs in reversed(elements[-MAX_NODES:])]

    def is_secure(self, otherwise: bool) -> bool:
        """Whether the client spoke TLS: the first of X-Forwarded-Proto, or else of Forwarded, is about the outermost hop.

        `otherwise` is returned if neither says.
        """
        proto = self.value(FORWARDED_PROTO).partition(b",")[0].strip(b" \t")
        if not proto:
            elements = read_elements(self.value(FORWARDED_ELEMENTS))
            proto = elements[0].get(b"proto", b"") if elements else b""
        return proto.lower() in _SECURE if proto else otherwise

    @property
    def path_prefix(self) -> bytes:
        """What all X-Forwarded-Prefix say together, without a slash at its end; empty if that is not a path."""
        parts = [part.strip(b" \t").rstrip(b"/") for part in self.value(FORWARDED_PREFIX).split(b",")]
        prefix = b"".join(parts)
        return prefix if _PREFIX.fullmatch(prefix) else b""


def read_elements(value: bytes) -> list[dict[bytes, bytes]]:
    """The elements of a Forwarded field (RFC 7239 §4), their parameters by lower-case name; none if it is malformed."""
    elements: list[dict[bytes, bytes]] = []
    pairs: dict[bytes, bytes] = {}
    position = 0
    while position < len(value):
        match = _PAIR.match(value, position)
        if match is None:
            return []
        name, quoted, plain, separator = match.groups()
        if name is not None:
            if name.lower() in pairs:
                return []
            pairs[name.lower()] = plain if quoted is None else _QUOTED_PAIR.sub(rb"\1", quoted)
        if separator != b";" and pairs:
            elements.append(pairs)
            pairs = {}
        position = match.end()
    if pairs:
        elements.append(pairs)
    return elements
