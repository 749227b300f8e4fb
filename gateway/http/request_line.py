"""The first line of a request (RFC 9112 §3): a method, a target and a version, with one space between them."""

from __future__ import annotations

import re
from typing import Final

from gateway.http.grammar import TOKEN, malformed

_METHODS: Final[dict[bytes, str]] = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
_METHOD: Final = re.compile(TOKEN + rb"{1,64}+")
_VERSIONS: Final[dict[bytes, int]] = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}
_TARGET: Final = re.compile(rb"[!-~]++")

# A path with nothing to normalise or to refuse: no escapes, empty or dot-led segments, backslashes or fragments.
_PLAIN: Final = rb"!\"$&-\-0->@-\[\]-~"
PLAIN_TARGET: Final = re.compile(rb"/(?:[" + _PLAIN + rb"][." + _PLAIN + rb"]*+/?+)*+(?:\?[!\"$-~]*+)?+")
"""A target that is a plain path, and maybe a query."""


def read_request_line(line: bytes, head: bytes) -> tuple[str, bytes, int, bool]:
    """The method, the target, the minor version, and whether the target is plain.

    Raises ProtocolError, which says what is wrong with the `head` that the line is the first of.
    """
    # In three parts, and not by one pattern for all of it: that would cost twice as much.
    parts = line.split(b" ")
    if len(parts) != 3:
        raise malformed(head)
    method = _METHODS.get(parts[0], "")
    version = _VERSIONS.get(parts[2], -1)
    target = parts[1]
    is_plain = PLAIN_TARGET.fullmatch(target) is not None
    if version < 0 or not (is_plain or _TARGET.fullmatch(target)):
        raise malformed(head)
    if not method:
        if _METHOD.fullmatch(parts[0]) is None:
            raise malformed(head)
        method = parts[0].decode("ascii")
    return method, target, version, is_plain
