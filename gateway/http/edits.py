"""Changes of field lines that a route makes to a request or a response."""

from __future__ import annotations

from collections.abc import Sequence


class HeaderEdit:
    """`names` (lower-case) are the fields that go; `lines` are those that come, each ended by CRLF, `led` the same led by it."""

    __slots__ = ("led", "lines", "names")

    def __init__(
        self, put: Sequence[tuple[str, str]] = (), add: Sequence[tuple[str, str]] = (), remove: Sequence[str] = ()
    ) -> None:
        """`put` replaces fields, `add` leaves those that are there. Names and values are checked already."""
        self.names: frozenset[bytes] = frozenset(
            [name.lower().encode("ascii") for name, _ in put] + [name.lower().encode("ascii") for name in remove]
        )
        fields = [f"{name}: {value}".encode("latin-1") for name, value in (*put, *add)]
        self.lines: bytes = b"".join([line + b"\r\n" for line in fields])
        self.led: bytes = b"".join([b"\r\n" + line for line in fields])
