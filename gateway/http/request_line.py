"""The first line of a request (RFC 9112 §3): a method, a target and a version, with one space between them."""

from __future__ import annotations

import re
from typing import Final

from gateway.http.grammar import TOKEN, malformed
from gateway.http.request import Request

_METHODS: Final[dict[bytes, str]] = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
_METHOD: Final = re.compile(TOKEN + rb"{1,64}+")
_TARGET: Final = re.compile(rb"[!-~]++")

# A path with nothing to normalise or to refuse: no escapes, empty or dot-led segments, backslashes or fragments.
_PLAIN: Final = rb"!\"$&-\-0->@-\[\]-~"
PLAIN_TARGET: Final = re.compile(rb"/(?:[" + _PLAIN + rb"][." + _PLAIN + rb"]*+/?+)*+(?:\?[!\"$-~]*+)?+")
"""A target that is a plain path, and maybe a query."""


def read_request_line(line: bytes, head: bytes) -> Request:
    """The request that begins with this line, the first of its `head`: with its path and query, if the path is plain.

    Raises ProtocolError if it is malformed.
    """
    # In three parts, and not by one pattern for all of it: that would cost twice as much.
    parts = line.split(b" ")
    if len(parts) != 3:
        raise malformed(head)
    version = parts[2]
    target = parts[1]
    method = _METHODS.get(parts[0])
    if method is None:
        if _METHOD.fullmatch(parts[0]) is None:
            raise malformed(head)
        method = parts[0].decode("ascii")
    if version == b"HTTP/1.1":
        request = Request(head, method, target, 1)
    elif version == b"HTTP/1.0":
        request = Request(head, method, target, 0)
    else:
        raise malformed(head)
    request.line_end = len(line)
    if PLAIN_TARGET.fullmatch(target) is not None:
        request.raw_path, _, request.query = target.partition(b"?")
        request.path = request.raw_path.decode("ascii")
    elif _TARGET.fullmatch(target) is None:
        raise malformed(head)
    return request
