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
_NEVER: Final = bytes([*range(0x21), *range(0x7F, 0x100), *b"#"])
"""What no target has: all but visible ASCII; and a fragment."""
_ODD: Final = _NEVER + b"%\\"
"""What makes a path odd."""


def read_request_line(line: bytes, head: bytes) -> Request:
    """The request that begins with this line, the first of its `head`: with its path and query, if they are plain.

    Raises ProtocolError if it is malformed.
    """
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
    path, _, query = target.partition(b"?")
    if is_plain(path) and query.translate(None, _NEVER) == query:
        request.raw_path = path
        request.path = path.decode("ascii")
        request.query = query
    elif _TARGET.fullmatch(target) is None:
        raise malformed(head)
    return request


def is_plain(path: bytes) -> bool:
    """Whether a path has nothing to normalise or to refuse: no escapes, empty or dot-led segments, backslashes.

    (Taking out nothing costs half of what a pattern does that takes everything.)
    """
    return path[:1] == b"/" and path.translate(None, _ODD) == path and b"//" not in path and b"/." not in path
