"""The responses that the proxy gives itself, as bytes: errors, `OPTIONS *`, a route's own."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

from gateway import hop
from gateway.failures import (
    CERTIFICATE_REFUSED,
    MALFORMED,
    NO_TUNNEL,
    REFUSED_STREAM,
    RESET,
    UNRESPONSIVE,
    Failure,
    Fault,
)
from gateway.grpc.message import encode_message
from gateway.grpc.status import status_of_http
from gateway.http.request import Request
from gateway.routing.replies import RouteResponse

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_ALLOW: Final = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


def options_response(keep_alive: bool) -> bytes:
    """The response to `OPTIONS *`: what this server takes, whatever the target."""
    lines = ["HTTP/1.1 204 No Content", _ALLOW, *([] if keep_alive else ["Connection: close"]), "", ""]
    return "\r\n".join(lines).encode()


def route_response(response: RouteResponse, request: Request, keep_alive: bool, added: bytes) -> bytes:
    """A route's own response to a request. `added` are field lines, each led by CRLF."""
    has_body = request.method != "HEAD"
    if keep_alive and request.version == 1 and not added:
        return response.whole if has_body else response.head + b"\r\n"
    connection = b"Connection: keep-alive" if keep_alive else b"Connection: close"
    return response.head + connection + added + b"\r\n\r\n" + (response.body if has_body else b"")


def error_response(
    failure: Failure, detail: str, request: Request | None, keep_alive: bool, added: bytes = b""
) -> bytes:
    """A whole response that says what went wrong: `application/problem+json` (RFC 9457), or plain text by Accept.

    A gRPC call gets a status of gRPC, with nothing but a head (`Trailers-Only`). What a sidecar tells another proxy of ours is
    none's, and stays HTTP.

    `request` is None if the request could not be read; `added` are field lines, each led by CRLF.
    """
    status, code = failure.status, failure.code
    if request is not None and request.is_grpc and hop.LINE not in added:
        return _grpc_error(failure, detail, keep_alive, added)
    title = HTTPStatus(status).phrase
    if request is not None and b"text/plain" in request.head and _accepts_text(request):
        kind = "text/plain; charset=utf-8"
        body = f"{status} {title} ({code}): {detail}\n".encode()
    else:
        kind = "application/problem+json"
        problem = {"type": f"urn:gray-gateway:error:{code}", "title": title, "status": status, "detail": detail}
        body = json.dumps(problem | {"code": code}).encode() + b"\n"
    lines = [f"HTTP/1.1 {status} {title}", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    if status in (429, 503) and b"\r\nRetry-After: " not in added:
        lines.append("Retry-After: 1")
    if status == 405:
        lines.append(_ALLOW)
    if not keep_alive:
        lines.append("Connection: close")
    elif request is not None and request.version == 0:
        lines.append("Connection: keep-alive")
    head = "\r\n".join(lines).encode("latin-1") + added + b"\r\n\r\n"
    return head if request is not None and request.method == "HEAD" else head + body


def why_no_response(fault: Fault, service: str, detail: str) -> str:
    """A sentence for the client that gets no response from an instance."""
    if fault is REFUSED_STREAM:
        return f"service {service} takes no more requests"
    if fault is NO_TUNNEL:
        return f"service {service} speaks HTTP/2 without WebSockets (RFC 8441)"
    if fault is RESET:
        return f"service {service} reset the request ({detail})"
    if fault is MALFORMED:
        return f"the instance's response is malformed: {detail}"
    if fault is CERTIFICATE_REFUSED:
        return f"TLS with service {service} failed: {detail}"
    if fault is UNRESPONSIVE:
        return f"service {service} does not respond, and not to a ping either"
    return f"service {service} closed the connection without a response"


def _grpc_error(failure: Failure, detail: str, keep_alive: bool, added: bytes) -> bytes:
    lines = [
        b"HTTP/1.1 200 OK",
        b"Content-Type: application/grpc",
        b"grpc-status: %d" % status_of_http(failure.status),
        b"grpc-message: " + encode_message(f"{failure.code}: {detail}"),
        b"Content-Length: 0",
    ]
    if not keep_alive:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + added + b"\r\n\r\n"


def _accepts_text(request: Request) -> bool:
    for line in request.head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"accept":
            return value.strip().startswith(b"text/plain")
    return False
