"""Paths rewritten by a regular expression."""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.errors import ProtocolError
from gateway.http.target import PathChange, match_path
from gateway.rules.expressions import compile_capturing

_PIECE: Final = re.compile(r"\\([0-9])|([^\\]+)")
_SAFE: Final = re.compile(rb"/[!-\"$->@-~]*")
"""No query and no fragment begins in it."""


class RegexChange(PathChange):
    r"""A path that a regular expression (RE2) matches as a whole becomes `to`, in which `\1` is the first group; others stay.

    The path is looked at in its normal form (see `http.target`): it cannot be spelt so that it is not recognised.
    Raises ValueError if `to` is not a path, or names a group that the expression has not.
    """

    __slots__ = ("_pattern", "_pieces")

    def __init__(self, pattern: str, to: str) -> None:
        super().__init__(b"", False)
        self._pattern: Any = compile_capturing(pattern)
        self._pieces: list[tuple[int, str]] = []
        end = 0
        for piece in _PIECE.finditer(to):
            if piece.start() != end:
                break
            end = piece.end()
            self._pieces.append((-1, piece[2]) if piece[1] is None else (int(piece[1]), ""))
        if end != len(to) or not to or re.fullmatch(r"[!-\"$->@-~]+", to) is None:
            raise ValueError(rf"`to` is a path, with \0 to \9 for groups, and without query and fragment; found {to!r}")
        for group, _ in self._pieces:
            if group > self._pattern.groups:
                raise ValueError(rf"`to` names group \{group}, and the expression has {self._pattern.groups}")
        if not to.startswith(("/", "\\")):
            raise ValueError(f"`to` starts with '/'; found {to!r}")

    @property
    def replaces_prefix(self) -> bool:
        """See PathChange."""
        return False

    def apply(self, raw: bytes, prefix: bytes) -> bytes:
        """See PathChange. Empty if the path would not be one that can be sent safely, such as one with dot segments."""
        match = self._pattern.fullmatch(match_path(raw))
        if match is None:
            return raw
        path = "".join([text if group < 0 else match[group] or "" for group, text in self._pieces]).encode("ascii")
        try:
            match_path(path)
        except ProtocolError:
            return b""
        return path if _SAFE.fullmatch(path) is not None else b""
