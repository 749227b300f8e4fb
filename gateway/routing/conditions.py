"""What a request has to be like, beside its host and path, for a route to take it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.http.grammar import field_pattern
from gateway.http.meanings import is_of_proxies
from gateway.http.request import Request
from gateway.http.target import parameter_needle
from gateway.rules.checks import AnyOf, Check, Matches
from gateway.rules.expressions import compile_pattern


class ValueTest:
    """A header field or a query parameter has a value, or matches a regular expression (RE2) as a whole."""

    __slots__ = ("_may_be_claim", "check", "is_pattern", "name", "needle", "pattern", "value")

    def __init__(self, name: str, value: str, is_pattern: bool = False) -> None:
        self.name = name
        self.value = value
        self.is_pattern = is_pattern
        self.check: Check = Matches(compile_pattern(value)) if is_pattern else AnyOf(frozenset({value}))
        self.needle: bytes = parameter_needle(name)
        self.pattern: re.Pattern[bytes] = field_pattern(re.escape(name.encode("utf-8")))
        self._may_be_claim: bool = is_of_proxies(name.lower().encode("utf-8"))

    def holds_for_field(self, request: Request) -> bool:
        """Whether the header field has the value: as it came, whatever those said who were asked about the request.

        One that only proxies may send counts if a trusted client has sent it.
        """
        if self._may_be_claim and request.claims:
            return False
        value = request.header_received(self.pattern)
        return value is not None and self.check.holds(value)

    def __str__(self) -> str:
        return f"{self.name} {'matches' if self.is_pattern else '='} {self.value}"


class RouteTest:
    """Everything must hold. An empty method is any."""

    __slots__ = ("headers", "method", "params")

    def __init__(self, method: str, headers: Sequence[ValueTest], params: Sequence[ValueTest]) -> None:
        self.method = method
        self.headers: tuple[ValueTest, ...] = tuple(headers)
        self.params: tuple[ValueTest, ...] = tuple(params)

    def holds(self, request: Request) -> bool:
        """Whether the route takes the request."""
        if self.method and request.aim != self.method:
            return False
        for test in self.headers:
            if not test.holds_for_field(request):
                return False
        for test in self.params:
            value = request.param(test.name, test.needle)
            if value is None or not test.check.holds(value):
                return False
        return True

    def describe(self) -> list[str]:
        """What must hold, for people."""
        return [
            *([f"method {self.method}"] if self.method else []),
            *(f"header {test}" for test in self.headers),
            *(f"param {test}" for test in self.params),
        ]
