"""CORS: what pages of other origins may do with a route (Fetch Standard, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.http.edits import HeaderEdit
from gateway.http.grammar import TOKEN, field_pattern
from gateway.http.request import ORIGIN, Request
from gateway.routing.replies import RouteResponse

ANY: Final = "*"
_HEADERS: Final = field_pattern(b"access-control-request-headers")
_NAMES: Final = re.compile((rb"(?:" + TOKEN + rb"+(?:, ?|$)){1,100}").decode("ascii"))
_BELOW: Final = re.compile(r"[0-9a-z_-]+(?:\.[0-9a-z_-]+)*")

OWN: Final = HeaderEdit(
    remove=(
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Headers",
        "Access-Control-Expose-Headers",
        "Access-Control-Max-Age",
    )
)
"""Where a route has a policy, what the service says goes: two answers to one question are none."""


class Cors:
    """The policy of a route.

    `origins` are `scheme://host[:port]` in lower case, `scheme://*.host[:port]` for all below a host, or `*`; `headers` may be
    `*`. `max_age` is in seconds.
    """

    __slots__ = ("_allowed", "_any_header", "_below", "_exposed", "_origins", "_terms", "is_for_any")

    def __init__(
        self,
        origins: Sequence[str],
        methods: Sequence[str],
        *,
        headers: Sequence[str] = (),
        exposed: Sequence[str] = (),
        credentials: bool = False,
        max_age: int = 5,
    ) -> None:
        self.is_for_any: bool = ANY in origins
        self._origins: frozenset[str] = frozenset(origins)
        self._below: list[tuple[str, str]] = []
        for origin in origins:
            scheme, star, rest = origin.partition("*")
            if star and rest:
                self._below.append((scheme, rest))
        shared = {"Access-Control-Allow-Credentials": "true"} if credentials else {}
        self._terms: dict[str, str] = {
            **shared,
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Max-Age": str(max_age),
        }
        self._any_header: bool = ANY in headers
        self._allowed: str = ", ".join(headers)
        lines = {**shared, **({"Access-Control-Expose-Headers": ", ".join(exposed)} if exposed else {})}
        self._exposed: bytes = "".join([f"\r\n{name}: {value}" for name, value in lines.items()]).encode("ascii")

    def allows(self, origin: str) -> bool:
        """Whether pages of an origin may read responses."""
        if self.is_for_any or origin in self._origins:
            return True
        for scheme, rest in self._below:
            if origin.startswith(scheme) and origin.endswith(rest):
                return _BELOW.fullmatch(origin[len(scheme) : len(origin) - len(rest)]) is not None
        return False

    def preflight(self, request: Request) -> RouteResponse | None:
        """The response to a preflight; None: its origin is not allowed."""
        origin = request.header(ORIGIN) or ""
        if not self.allows(origin):
            return None
        fields = {"Access-Control-Allow-Origin": ANY if self.is_for_any else origin, **self._terms}
        wanted = request.header(_HEADERS) if self._any_header else None
        if wanted is not None and _NAMES.fullmatch(wanted) is not None:
            fields["Access-Control-Allow-Headers"] = wanted
        elif self._allowed and not self._any_header:
            fields["Access-Control-Allow-Headers"] = self._allowed
        fields["Vary"] = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        return RouteResponse(204, b"", fields)

    def lines(self, request: Request) -> bytes:
        """The field lines, each led by CRLF, that the response to a request gets which is no preflight."""
        if self.is_for_any:
            return b"\r\nAccess-Control-Allow-Origin: *" + self._exposed
        origin = request.header(ORIGIN)
        if origin is None or not self.allows(origin):
            return b"\r\nVary: Origin"
        return b"\r\nVary: Origin\r\nAccess-Control-Allow-Origin: " + origin.encode("ascii") + self._exposed
