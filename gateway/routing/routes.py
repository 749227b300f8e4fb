"""The entry's route table: from host and path to a service, or to a response that the gateway gives itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus


class RouteResponse:
    """A response that needs no service. `whole` is what an HTTP/1.1 client that keeps its connection gets."""

    __slots__ = ("body", "head", "status", "whole")

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        # RFC 9110 §8.6, §15.3.5: 204 has no length; 304 has none of its own.
        if status not in (204, 304):
            lines.append(f"Content-Length: {len(body)}")
        self.head: bytes = "\r\n".join([*lines, ""]).encode("latin-1")
        self.body: bytes = b"" if status in (204, 304) else body
        self.whole: bytes = self.head + b"\r\n" + self.body


class Route:
    """Requests under `path` (at a segment boundary), for `host` or any, go to `service`, or get `response`.

    Rules may look at the first `inspect_body` bytes of a body.

    `segments` is how many leading path segments `strip_prefix` takes off before forwarding; 0 takes none. `told` is the
    field line that names them to the service, `restored` what responses get back: the prefix, or nothing.
    """

    __slots__ = (
        "host",
        "inspect_body",
        "path",
        "prefix",
        "response",
        "restored",
        "segments",
        "service",
        "strip_prefix",
        "told",
    )

    def __init__(
        self,
        path: str,
        service: str,
        *,
        strip_prefix: bool = False,
        host: str = "",
        response: RouteResponse | None = None,
        inspect_body: int = 0,
        restore_prefix: bool = True,
    ) -> None:
        self.inspect_body = inspect_body
        self.response = response
        self.path = path if path == "/" else path.rstrip("/")
        self.prefix: bytes = self.path.encode("ascii")
        self.service = service
        self.strip_prefix = strip_prefix
        self.host = host.lower()
        self.segments: int = len([part for part in self.path.split("/") if part]) if strip_prefix else 0
        self.told: bytes = b"X-Forwarded-Prefix: " + self.prefix + b"\r\n"
        self.restored: bytes = self.prefix if self.segments and restore_prefix else b""

    @property
    def name(self) -> str:
        """How the route is called in decisions and metrics: `host/path`."""
        return self.host + self.path


class RouteTable:
    """Finds the route with the longest path prefix; a route for the very host beats one for any host.

    One lookup per path segment, however many routes there are. `by_host` is empty where no route names a host: then
    nobody needs a request's own.
    """

    __slots__ = ("_any_host", "by_host", "routes")

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes: tuple[Route, ...] = tuple(routes)
        self._any_host: dict[str, Route] = {}
        self.by_host: dict[str, dict[str, Route]] = {}
        for route in routes:
            table = self.by_host.setdefault(route.host, {}) if route.host else self._any_host
            table[route.path] = route

    def find(self, host: str, path: str) -> Route | None:
        """The route for a normalised path, or None."""
        if self.by_host:
            table = self.by_host.get(host)
            if table is not None:
                route = _longest(table, path)
                if route is not None:
                    return route
        return _longest(self._any_host, path)


def _longest(table: dict[str, Route], path: str) -> Route | None:
    """The route for the path, or for the longest of those above it."""
    while True:
        route = table.get(path)
        if route is not None:
            return route
        slash = path.rfind("/")
        if slash <= 0:
            return table.get("/") if slash == 0 else None
        path = path[:slash]
