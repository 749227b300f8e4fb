"""The head that goes to the upstream, cut out of the one that came in."""

from __future__ import annotations

from gateway.http.request import Request
from gateway.http.response import without


def forward_head(request: Request, target: bytes, lines: list[bytes]) -> bytes:
    """The request's head with `target`, without what the reader cut, with `lines` (each ends with CRLF) added."""
    head = request.head
    if request.upgrade:
        lines.append(b"Connection: Upgrade\r\nUpgrade: " + request.upgrade + b"\r\n")
    if request.rewrites_length:
        lines.append(b"Content-Length: %d\r\n" % request.body)
    added = b"".join(lines)
    if not request.cuts and target is request.target and request.version == 1:
        return head[:-2] + added + b"\r\n"
    return b"%b %b HTTP/1.1%b\r\n%b\r\n" % (
        request.method.encode("ascii"),
        target,
        without(head, request.line_end, len(head) - 4, request.cuts),
        added,
    )
