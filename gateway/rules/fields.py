"""What conditions look at: one field of a request each, read as text. Hot: called for every request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.http.target import parameter_needle
from gateway.rules.context import MatchContext
from gateway.rules.pointer import claim_pointer, find_text
from gateway.telemetry.baggage import member

PARAM: Final = 0
HEADER: Final = 1
COOKIE: Final = 2
PATH: Final = 3
METHOD: Final = 4
HOST: Final = 5
CLIENT_IP: Final = 6
SERVICE: Final = 7
CALLER: Final = 8
CALLER_TAG: Final = 9
BAGGAGE: Final = 10
TIME: Final = 11
BODY: Final = 12
JWT: Final = 13

KINDS: Final = {
    "param": PARAM,
    "header": HEADER,
    "cookie": COOKIE,
    "path": PATH,
    "method": METHOD,
    "host": HOST,
    "client_ip": CLIENT_IP,
    "service": SERVICE,
    "caller": CALLER,
    "caller_tag": CALLER_TAG,
    "baggage": BAGGAGE,
    "time": TIME,
    "body": BODY,
    "jwt": JWT,
}
"""By the key that a condition has."""

Claims = Callable[[MatchContext], Mapping[str, Any]]
"""The claims of a request's token; empty where it has none that is accepted."""
Clock = Callable[[], float]
"""Seconds since the epoch."""


class Field:
    """One thing that conditions look at: a kind and, for the named kinds, a name. `folds`: case is ignored."""

    __slots__ = ("_claims", "_clock", "folds", "is_dear", "kind", "name", "needle", "pattern")

    def __init__(
        self, kind: int, name: str, folds: bool, pattern: re.Pattern[bytes] | None, clock: Clock, claims: Claims
    ) -> None:
        self.kind = kind
        self.name = name
        self.folds = folds
        self.pattern = pattern
        self.needle: bytes = parameter_needle(name) if kind == PARAM else b""
        self.is_dear: bool = kind >= BODY
        self._clock = clock
        self._claims = claims

    def read(self, context: MatchContext) -> str | None:
        """The field's value in a request, or None where it is absent."""
        if self.folds:
            value = self._read(context)
            return None if value is None else value.casefold()
        return self._read(context)

    def _read(self, context: MatchContext) -> str | None:
        kind = self.kind
        if kind == PARAM:
            return context.request.param(self.name, self.needle)
        if kind == HEADER:
            pattern = self.pattern
            return None if pattern is None else context.request.header(pattern)
        if kind == COOKIE:
            return context.cookie(self.name)
        if kind == PATH:
            return context.request.path
        if kind == METHOD:
            return context.request.method.upper()
        if kind == HOST:
            return context.request.host or None
        if kind == CLIENT_IP:
            return context.client_ip or None
        return self._read_rare(context)

    def _read_rare(self, context: MatchContext) -> str | None:
        kind = self.kind
        if kind == SERVICE:
            return context.service or None
        if kind == CALLER:
            return context.caller or None
        if kind == CALLER_TAG:
            return context.caller_tag or None
        if kind == BAGGAGE:
            return member(context.request.baggage, self.name.encode("ascii"))
        if kind == TIME:
            return str(int(self._clock()))
        if kind == BODY:
            return None if context.content is None else find_text(context.content, self.name)
        claims = context.claims
        if claims is None:
            claims = context.claims = self._claims(context)
        return find_text(claims, claim_pointer(self.name))
