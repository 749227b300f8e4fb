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
    if request.version == 0:
        return b"%b %b HTTP/1.1%b\r\n%b\r\n" % (
            request.method.encode("ascii"),
            target,
            without(head, request.line_end, len(head) - 4, request.cuts),
            b"".join(lines),
        )
    lines.append(b"\r\n")
    cuts = request.cuts
    if target is request.target:
        lines.insert(0, without(head, 0, len(head) - 2, cuts) if cuts else head[:-2])
    else:
        # The target ends where ` HTTP/1.1` begins.
        after = request.line_end - 9
        lines.insert(0, without(head, after, len(head) - 2, cuts) if cuts else head[after:-2])
        lines.insert(0, target)
        lines.insert(0, head[: after - len(request.target)])
    return b"".join(lines)
