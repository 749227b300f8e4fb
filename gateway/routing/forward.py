"""The head that goes to the upstream, cut out of the one that came in."""

from __future__ import annotations

from typing import Final

from gateway.http.request import PSEUDONYM, Request
from gateway.http.response import without

_ENDS: Final = [b"Via: " + version + b" " + PSEUDONYM + b"\r\n\r\n" for version in (b"1.0", b"1.1", b"2")]

_TE: Final = b"TE: trailers\r\nConnection: TE\r\n"
"""Trailers of the response are passed on to a client that takes them (RFC 9110 §10.1.4)."""


def forward_head(request: Request, target: bytes, lines: list[bytes]) -> bytes:
    """The request's head with `target`, without what the reader cut, with `lines` (each ends with CRLF) and `Via` added."""
    head = request.head
    if request.upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: " + request.upgrade + b"\r\n")
    elif request.takes_trailers and not request.is_grpc:
        lines.append(_TE)
    if request.rewrites_length:
        lines.append(b"Content-Length: %d\r\n" % request.body)
    # RFC 9110 §7.6.3: a proxy says that it forwarded the message, and which version it received.
    lines.append(_ENDS[request.version])
    cuts = request.cuts
    last = len(head) - 2
    if request.version == 0:
        rest = without(head, request.line_end, last, cuts)
        return b"".join((request.method.encode("ascii"), b" ", target, b" HTTP/1.1", rest, *lines))
    if target is request.target:
        return (without(head, 0, last, cuts) if cuts else head[:last]) + b"".join(lines)
    # The target ends where ` HTTP/1.1` begins.
    after = request.line_end - 9
    rest = without(head, after, last, cuts) if cuts else head[after:last]
    return head[: after - len(request.target)] + target + rest + b"".join(lines)
