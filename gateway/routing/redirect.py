"""Redirects: responses that send a client elsewhere, built from its request."""

from __future__ import annotations

from typing import Final

from gateway.http.request import Request
from gateway.http.target import PathChange
from gateway.routing.replies import RouteResponse

_USUAL: Final[dict[str, int]] = {"http": 80, "https": 443}


SAME: Final = -1
"""The port of the request itself, as the client has written it."""


class Redirect:
    """What is empty stays as requested; `port` 0 is the scheme's.

    Without scheme, host and port (`SAME`), the place is a path alone: at whatever address the client has come to.
    """

    __slots__ = ("host", "path", "port", "scheme", "status")

    def __init__(self, status: int, scheme: str, host: str, port: int, path: PathChange | None) -> None:
        self.status = status
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path

    def response(self, request: Request, prefix: bytes, is_secure: bool) -> RouteResponse:
        """The response to a request, which matched a route with this prefix."""
        path = request.raw_path if self.path is None else self.path.apply(request.raw_path, prefix)
        target = path + b"?" + request.query if request.query else path
        if self.port == SAME and not self.scheme and not self.host:
            # `//x` would be another host.
            return RouteResponse(self.status, b"", {"Location": "/" + target.decode("latin-1").lstrip("/")})
        scheme = self.scheme or ("https" if is_secure else "http")
        host = self.host or request.host
        if ":" in host:
            host = f"[{host.strip('[]')}]"
        port = "" if self.port in (SAME, 0, _USUAL[scheme]) else f":{self.port}"
        place = target.decode("latin-1")
        if host:  # HTTP/1.0 may have none
            place = f"{scheme}://{host}{port}{place}"
        return RouteResponse(self.status, b"", {"Location": place})
