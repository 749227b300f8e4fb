"""Keeping secrets that stand in requests out of what people read: query parameters by name, cookies altogether."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

MASKED: Final = b"***"

_NAME: Final = re.compile(rb"[?&;#]([^=&;#?]*+)=")
_END: Final = re.compile(rb"[&#\s]|\Z")
_FOLD: Final = bytes.maketrans(b" .", b"__")


class Mask:
    """Replaces the values of the parameters with some names, however the names are spelled.

    A name counts as services read it: percent-decoded, in any case, `user[token]` and `token[]` as `token` (PHP, Rails), and
    with `_` for dots and spaces (PHP).
    """

    __slots__ = ("_hint", "_names")

    def __init__(self, names: Sequence[str]) -> None:
        self._names: frozenset[bytes] = frozenset([_plain(name.encode("ascii")) for name in names])
        # Most requests have none of the names, and names without anything that needs reading: one search is enough.
        known = b"".join(re.escape(name) + b"|" for name in sorted(self._names))
        self._hint: re.Pattern[bytes] = re.compile(
            rb"[?&;#](?:(?:" + known + rb"[^=&;#?%+.\[]*+[%+.\[][^=&;#?]*+)=)", re.IGNORECASE
        )

    def text(self, value: bytes) -> bytes:
        """A target, or a field's value that may hold a URL, without the values that are secret.

        Parameters stand behind `?`, `&`, `;` (of a path's segment, too) or `#`, and reach to the next `&`.
        """
        if not self._names or self._hint.search(value) is None:
            return value
        out: list[bytes] = []
        start = 0
        match = _NAME.search(value)
        while match is not None:
            end = match.end()
            if self._holds(match[1]):
                out.append(value[start:end])
                out.append(MASKED)
                found = _END.search(value, end)
                start = end = len(value) if found is None else found.start()
            match = _NAME.search(value, end)
        out.append(value[start:])
        return b"".join(out)

    def field(self, name: str, value: bytes) -> bytes:
        """The value of a header field (its name in lower case) without what is secret in it: of cookies, only names are left."""
        if name == "cookie":
            parts = [part.partition(b"=") for part in value.split(b";")]
            return b";".join([cookie + (b"=" + MASKED if equals else b"") for cookie, equals, _ in parts])
        if name.encode("latin-1").lower() in self._names:
            return MASKED
        return self.text(value)

    def _holds(self, name: bytes) -> bool:
        plain = _plain(name)
        if plain in self._names:
            return True
        base, bracket, rest = plain.partition(b"[")
        return bool(bracket) and (base in self._names or rest.rpartition(b"[")[2].rstrip(b"]") in self._names)


def _plain(name: bytes) -> bytes:
    return unquote_to_bytes(name.replace(b"+", b" ")).strip(b" ").lower().translate(_FOLD)
