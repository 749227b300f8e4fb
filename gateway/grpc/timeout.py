"""The `grpc-timeout` of a call: at most 8 digits and a unit."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_LINE: Final = re.compile(rb"\r\ngrpc-timeout:[ \t]*([^\r]*)", re.IGNORECASE)
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_SMALLEST_FIRST: Final = ((b"u", 1_000_000), (b"m", 1000), (b"S", 1))
_MOST: Final = 99_999_999


def parse_timeout(value: bytes) -> float | None:
    """Seconds; None for what is not in the form."""
    match = _FORM.fullmatch(value)
    return None if match is None else int(match[1]) * _UNITS[match[2]]


def format_timeout(seconds: float) -> bytes:
    """Seconds in the finest unit that has room for them, rounded down: nobody is to be given more time.

    Less than none is none.
    """
    for unit, per_second in _SMALLEST_FIRST:
        count = int(seconds * per_second)
        if count <= _MOST:
            return b"%d%b" % (max(0, count), unit)
    return b"%dS" % _MOST


def with_timeout(head: bytes, value: bytes, seconds: float) -> bytes:
    """A head of HTTP/1.1 whose `grpc-timeout` is `value`, with so many seconds instead."""
    match = _LINE.search(head)
    if match is None or match[1] != value:
        return head
    return head[: match.start(1)] + format_timeout(seconds) + head[match.end(1) :]
