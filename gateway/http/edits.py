"""Changes of field lines that a route makes to a request or a response."""

from __future__ import annotations

from collections.abc import Sequence


class HeaderEdit:
    """`names` (lower-case) are the fields that go; `lines` are those that come, each ended by CRLF, `led` the same led by it."""

    __slots__ = ("_added", "led", "lines", "names")

    def __init__(
        self, put: Sequence[tuple[str, str]] = (), add: Sequence[tuple[str, str]] = (), remove: Sequence[str] = ()
    ) -> None:
        """`put` replaces fields, `add` leaves those that are there. Names and values are checked already."""
        self.names: frozenset[bytes] = frozenset([_key(name) for name in (*(name for name, _ in put), *remove)])
        self._added: tuple[tuple[str, str], ...] = (*put, *add)
        fields = [f"{name}: {value}".encode("latin-1") for name, value in self._added]
        self.lines: bytes = b"".join([line + b"\r\n" for line in fields])
        self.led: bytes = b"".join([b"\r\n" + line for line in fields])

    def then(self, other: HeaderEdit | None) -> HeaderEdit:
        """This edit and another one after it, as one."""
        if other is None:
            return self
        left = [pair for pair in self._added if _key(pair[0]) not in other.names]
        both = HeaderEdit((), (*left, *other._added))
        both.names = self.names | other.names
        return both


def _key(name: str) -> bytes:
    return name.lower().encode("ascii")
