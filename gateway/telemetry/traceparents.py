"""New `traceparent` fields, for requests that have none."""

from __future__ import annotations

import random
from binascii import hexlify
from typing import Final

MANY: Final = 64
"""Ids that are drawn at a time: one by one, they would cost four times as much."""
_TRACE: Final = 32
_SIZE: Final = 48
"""Hexadecimal digits of a trace id, and of a trace id and a parent id."""


class TraceParents:
    """Makes `traceparent` fields of bits of `random_source`."""

    __slots__ = ("_at", "_digits", "_random")

    def __init__(self, random_source: random.Random) -> None:
        self._random = random_source
        self._digits: bytes = b""
        self._at: int = 0

    def line(self, sampled: bool) -> bytes:
        """The next field line, which nobody has had before."""
        at = self._at
        if at == len(self._digits):
            self._digits = hexlify(self._random.getrandbits(MANY * _SIZE * 4).to_bytes(MANY * _SIZE // 2, "big"))
            at = 0
        digits = self._digits
        parent = at + _TRACE
        self._at = end = at + _SIZE
        flags = b"-01\r\n" if sampled else b"-00\r\n"
        return b"".join((b"traceparent: 00-", digits[at:parent], b"-", digits[parent:end], flags))

    def value(self, sampled: bool) -> bytes:
        """The value of the next one."""
        return value_of(self.line(sampled))


def value_of(line: bytes) -> bytes:
    """The value of a `traceparent` line."""
    return line[13:68]
