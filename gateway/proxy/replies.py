"""The one table that turns an error into a response, and the responses the proxy gives itself."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

from gateway.http.request import Request

STATUS_OF: Final[dict[str, int]] = {
    "no_route": 404,
    "no_service": 400,
    "no_instances": 503,
    "lane_unavailable": 503,
    "registry_unavailable": 503,
    "connect_failed": 502,
    "tls_failed": 502,
    "upstream_busy": 503,
    "upstream_closed": 502,
    "bad_answer": 502,
    "answer_timeout": 504,
    "head_timeout": 408,
    "body_timeout": 408,
    "body_too_slow": 408,
    "overloaded": 503,
    "misdirected": 421,
    "not_from_mesh": 403,
    "internal_error": 500,
}
"""Status of each error the proxy finds itself; a ProtocolError brings its own."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
CLIENT_GONE: Final = 499
"""What an exchange counts as whose client went away before the answer (nginx's convention)."""
UPGRADED: Final = 101
"""What an exchange counts as that became a tunnel."""

_ALLOW: Final = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def options_reply(keep_alive: bool) -> bytes:
    """The answer to `OPTIONS *`: what this server takes, whatever the target."""
    lines = ["HTTP/1.1 204 No Content", _ALLOW, *([] if keep_alive else ["Connection: close"]), "", ""]
    return "\r\n".join(lines).encode()


def error_reply(
    status: int, code: str, detail: str, request: Request | None, keep_alive: bool, added: bytes = b""
) -> bytes:
    """A whole response that says what went wrong: `application/problem+json` (RFC 9457), or plain text by Accept.

    `request` is None where the request could not be read; `added` are field lines, each led by CRLF.
    """
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    if request is not None and b"text/plain" in request.head and _accepts_text(request):
        kind = "text/plain; charset=utf-8"
        body = f"{status} {title} ({code}): {detail}\n".encode()
    else:
        kind = "application/problem+json"
        problem = {"type": f"urn:gray-gateway:error:{code}", "title": title, "status": status, "detail": detail}
        body = json.dumps(problem | {"code": code}).encode() + b"\n"
    lines = [f"HTTP/1.1 {status} {title}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    if status in (429, 503):
        lines.append("Retry-After: 1")
    if status == 405:
        lines.append(_ALLOW)
    if not keep_alive:
        lines.append("Connection: close")
    elif request is not None and request.version == 0:
        lines.append("Connection: keep-alive")
    head = "\r\n".join(lines).encode("latin-1") + added + b"\r\n\r\n"
    return head if request is not None and request.method == "HEAD" else head + body


def _accepts_text(request: Request) -> bool:
    for line in request.head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"accept":
            return value.strip().startswith(b"text/plain")
    return False
