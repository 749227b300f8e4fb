"""What somebody who was asked says of a request that may pass."""

from __future__ import annotations


class Permission:
    """`fields` are field lines that the request gets, each ended by CRLF; `lines` those of its response, each led by it."""

    __slots__ = ("fields", "lines")

    def __init__(self, fields: bytes = b"", lines: bytes = b"") -> None:
        self.fields = fields
        self.lines = lines
