"""The entry's route table: from a request to services, or to a response that the gateway gives itself."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.http.compression import Compression
from gateway.http.edits import HeaderEdit
from gateway.http.request import Request
from gateway.http.target import PathChange
from gateway.routing.conditions import RouteTest
from gateway.routing.gate import Gate
from gateway.routing.patience import Patience
from gateway.routing.ratelimit import RateLimits
from gateway.routing.redirect import Redirect
from gateway.routing.replies import RouteResponse
from gateway.routing.split import Split


# It has as many parts as a route can be described by.
class Route:
    """Requests under `path` (at a segment boundary), for `host` or any, go to `service`, or get `response`.

    Rules may look at the first `inspect_body` bytes of a body.

    `segments` is how many leading path segments `strip_prefix` takes off before forwarding; 0 takes none. `told` is the
    field line that names them to the service, `restored` what responses get back: the prefix, or nothing; `replacement` is
    what the service has in its place.

    `source` is what another source than the configuration calls the route. `is_exact`: nothing below `path`. `test` is what a
    request must be like besides. `split` divides requests among several services, of which `service` is the first; `redirect`
    sends the client elsewhere. `gate` is what requests must pass first, `patience` how long they wait and how often they are
    tried; None: as any other. `compression` is which responses are compressed. The others are what is changed of requests and
    responses.
    """

    __slots__ = (
        "compression",
        "gate",
        "host",
        "inspect_body",
        "is_exact",
        "new_host",
        "new_path",
        "path",
        "patience",
        "prefix",
        "redirect",
        "replacement",
        "request_edit",
        "response",
        "response_edit",
        "restored",
        "segments",
        "service",
        "source",
        "split",
        "strip_prefix",
        "test",
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
        source: str = "",
        is_exact: bool = False,
        test: RouteTest | None = None,
        split: Split | None = None,
        redirect: Redirect | None = None,
        new_host: str = "",
        new_path: PathChange | None = None,
        request_edit: HeaderEdit | None = None,
        response_edit: HeaderEdit | None = None,
        compression: Compression | None = None,
        gate: Gate | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.patience = patience
        self.inspect_body = inspect_body
        self.response = response
        self.path = path if path == "/" or is_exact else path.rstrip("/") or "/"
        self.prefix: bytes = self.path.encode("ascii")
        self.service = service
        self.strip_prefix = strip_prefix
        self.host = host.lower()
        self.segments: int = len([part for part in self.path.split("/") if part]) if strip_prefix else 0
        self.told: bytes = b"X-Forwarded-Prefix: " + self.prefix + b"\r\n"
        moves = self.segments > 0 or (new_path is not None and new_path.replaces_prefix)
        self.restored: bytes = self.prefix if moves and restore_prefix else b""
        self.replacement: bytes = b"" if new_path is None else new_path.value
        self.source = source
        self.is_exact = is_exact
        self.test = test
        self.split = split
        self.redirect = redirect
        self.new_host: bytes = new_host.encode("ascii")
        self.new_path = new_path
        self.request_edit = request_edit
        self.response_edit = response_edit
        self.compression = compression
        self.gate = gate

    @property
    def name(self) -> str:
        """What the route is called: `host/path`."""
        return self.host + self.path

    @property
    def identity(self) -> tuple[str, bool, str]:
        """What tells it from other routes, before and after a reload."""
        return self.name, self.is_exact, "" if self.test is None else ", ".join(self.test.describe())


class _Paths:
    """The routes of one host. Of those with the same path, the first that takes the request wins."""

    __slots__ = ("_below", "_exact")

    def __init__(self, routes: Sequence[Route]) -> None:
        exact: dict[str, list[Route]] = {}
        below: dict[str, list[Route]] = {}
        # Whatever their sources, those that say more of a request are asked first.
        for route in sorted(routes, key=_is_untested):
            table = exact if route.is_exact else below
            table.setdefault(route.path, []).append(route)
        self._exact: dict[str, tuple[Route, ...]] = {path: tuple(several) for path, several in exact.items()}
        self._below: dict[str, tuple[Route, ...]] = {path: tuple(several) for path, several in below.items()}

    def find(self, path: str, request: Request | None) -> Route | None:
        """The route for the very path, or for the longest of those above it."""
        if self._exact:
            for route in self._exact.get(path, ()):
                if route.test is None or (request is not None and route.test.holds(request)):
                    return route
        below = self._below
        while True:
            several = below.get(path)
            if several is not None:
                for route in several:
                    test = route.test
                    if test is None or (request is not None and test.holds(request)):
                        return route
            slash = path.rfind("/")
            if slash > 0:
                path = path[:slash]
            elif slash == 0 and path != "/":
                path = "/"
            else:
                return None


class RouteTable:
    """Finds the route with the longest path prefix; the closer a route names the host, the earlier it is asked.

    One lookup per path segment, however many routes there are. `bounds` are hosts whose requests no wider route may take, but
    for those of the configuration (see `plans.RouteSet`).
    """

    __slots__ = ("_any_host", "_beyond", "_bounds", "_hosts", "_wildcards", "routes")

    def __init__(self, routes: Sequence[Route], bounds: Sequence[str] = ()) -> None:
        self.routes: tuple[Route, ...] = tuple(routes)
        by_host: dict[str, list[Route]] = {host: [] for host in bounds}
        for route in routes:
            by_host.setdefault(route.host, []).append(route)
        self._any_host: _Paths = _Paths(by_host.pop("", []))
        self._beyond: _Paths = _Paths([route for route in routes if not route.host and not route.source])
        self._bounds: frozenset[str] = frozenset([host.removeprefix("*") for host in bounds])
        self._hosts: dict[str, _Paths] = {}
        self._wildcards: dict[str, _Paths] = {}  # by what names end with, the dot included
        for host, several in by_host.items():
            if host.startswith("*."):
                self._wildcards[host[1:]] = _Paths(several)
            else:
                self._hosts[host] = _Paths(several)

    def go_on(self, before: RouteTable) -> None:
        """Goes on counting by rate limits where the table before has: a reload gives nobody a new burst."""
        known: dict[tuple[str, bool, str], list[RateLimits]] = {}
        for route in before.routes:
            if route.gate is not None and route.gate.limits is not None:
                known.setdefault(route.identity, []).append(route.gate.limits)
        for route in self.routes if known else ():
            if route.gate is not None and route.gate.limits is not None:
                for limits in known.get(route.identity, ()):
                    route.gate.limits.go_on(limits)

    def find(self, host: str, path: str, request: Request | None = None) -> Route | None:
        """The route for a normalised path, or None. Without a `request`, only routes are found that take any."""
        if self._hosts:
            paths = self._hosts.get(host)
            if paths is not None:
                route = paths.find(path, request)
                if route is not None:
                    return route
                if host in self._bounds:
                    return self._beyond.find(path, request)
        if self._wildcards:
            dot = host.find(".")
            while dot >= 0:
                paths = self._wildcards.get(host[dot:])
                if paths is not None and dot:
                    route = paths.find(path, request)
                    if route is not None:
                        return route
                    if host[dot:] in self._bounds:
                        return self._beyond.find(path, request)
                dot = host.find(".", dot + 1)
        return self._any_host.find(path, request)


def _is_untested(route: Route) -> bool:
    return route.test is None
