"""Redirects: responses that send a client elsewhere, built from its request."""

from __future__ import annotations

from typing import Final

from gateway.http.request import Request
from gateway.http.target import PathChange
from gateway.routing.replies import RouteResponse

_USUAL: Final[dict[str, int]] = {"http": 80, "https": 443}


class Redirect:
    """What is empty stays as requested; `port` 0 is the scheme's."""

    __slots__ = ("host", "path", "port", "scheme", "status")

    def __init__(self, status: int, scheme: str, host: str, port: int, path: PathChange | None) -> None:
        self.status = status
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path

    def response(self, request: Request, prefix: bytes, is_secure: bool) -> RouteResponse:
        """The response to a request, which matched a route with this prefix."""
        scheme = self.scheme or ("https" if is_secure else "http")
        host = self.host or request.host
        if ":" in host:
            host = f"[{host.strip('[]')}]"
        port = "" if self.port in (0, _USUAL[scheme]) else f":{self.port}"
        path = request.raw_path if self.path is None else self.path.apply(request.raw_path, prefix)
        target = path + b"?" + request.query if request.query else path
        place = target.decode("latin-1")
        if host:  # HTTP/1.0 may have none
            place = f"{scheme}://{host}{port}{place}"
        return RouteResponse(self.status, b"", {"Location": place})
