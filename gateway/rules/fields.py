"""What conditions look at: one field of a match context each, read as text. Hot: called for every request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.http.grammar import field_pattern
from gateway.http.meanings import is_of_proxies
from gateway.http.target import parameter_needle
from gateway.rules.context import MatchContext
from gateway.rules.pointer import claim_pointer, find_text
from gateway.telemetry.baggage import member

Claims = Callable[[MatchContext], Mapping[str, Any]]
"""The claims of a request's token; empty if it has none that is accepted."""
Clock = Callable[[], float]
"""Seconds since the epoch."""


class Field:
    """One thing that conditions look at. `folds`: case is ignored. `is_dear`: it is read only if something depends on it.

    Which class reads which source is in `sources.SOURCES`.
    """

    __slots__ = ("_claims", "_clock", "folds", "is_dear", "name")

    def __init__(self, name: str, folds: bool, clock: Clock, claims: Claims) -> None:
        self.name = name
        self.folds = folds
        self.is_dear: bool = False
        self._clock = clock
        self._claims = claims

    def read(self, context: MatchContext) -> str | None:
        """The field's value in a request, or None if it is absent."""
        value = self._read(context)
        return value.casefold() if self.folds and value is not None else value

    def _read(self, context: MatchContext) -> str | None:
        raise NotImplementedError


class ParamField(Field):
    """param."""

    __slots__ = ("_needle",)

    def __init__(self, name: str, folds: bool, clock: Clock, claims: Claims) -> None:
        super().__init__(name, folds, clock, claims)
        self._needle: bytes = parameter_needle(name)

    def _read(self, context: MatchContext) -> str | None:
        return context.request.param(self.name, self._needle)


class HeaderField(Field):
    """header."""

    __slots__ = ("_key", "_may_be_claim", "_pattern")

    def __init__(self, name: str, folds: bool, clock: Clock, claims: Claims) -> None:
        super().__init__(name, folds, clock, claims)
        self._key: bytes = name.lower().encode("ascii")
        self._may_be_claim: bool = is_of_proxies(self._key)
        self._pattern: re.Pattern[bytes] = field_pattern(re.escape(self._key))

    def _read(self, context: MatchContext) -> str | None:
        if self._may_be_claim:
            return context.request.told(self._pattern, self._key)
        return context.request.header(self._pattern)


class CookieField(Field):
    """cookie."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        return context.cookie(self.name)


class BaggageField(Field):
    """baggage."""

    __slots__ = ("_key",)

    def __init__(self, name: str, folds: bool, clock: Clock, claims: Claims) -> None:
        super().__init__(name, folds, clock, claims)
        self._key: bytes = name.encode("ascii")

    def _read(self, context: MatchContext) -> str | None:
        return member(context.request.baggage, self._key)


class BodyField(Field):
    """body."""

    __slots__ = ()

    def __init__(self, name: str, folds: bool, clock: Clock, claims: Claims) -> None:
        super().__init__(name, folds, clock, claims)
        self.is_dear = True

    def _read(self, context: MatchContext) -> str | None:
        return None if context.content is None else find_text(context.content, self.name)


class ClaimField(Field):
    """jwt."""

    __slots__ = ("_pointer",)

    def __init__(self, name: str, folds: bool, clock: Clock, claims: Claims) -> None:
        super().__init__(name, folds, clock, claims)
        self.is_dear = True
        self._pointer: str = claim_pointer(name)

    def _read(self, context: MatchContext) -> str | None:
        claims = context.claims
        if claims is None:
            claims = context.claims = self._claims(context)
        return find_text(claims, self._pointer)


class PathField(Field):
    """path."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        return context.request.path


class MethodField(Field):
    """method."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        return context.request.aim.upper()


class CallServiceField(Field):
    """grpc_service."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        call = context.request.call
        return None if call is None else call[0]


class CallMethodField(Field):
    """grpc_method."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        call = context.request.call
        return None if call is None else call[1]


class HostField(Field):
    """host."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        return context.request.host or None


class ClientField(Field):
    """client_ip."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        return context.client_ip or None


class ServiceField(Field):
    """service."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        return context.service or None


class CallerField(Field):
    """caller."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        return context.caller or None


class CallerTagField(Field):
    """caller_tag."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        return context.caller_tag or None


class TimeField(Field):
    """time: seconds since the epoch."""

    __slots__ = ()

    def _read(self, context: MatchContext) -> str | None:
        return str(int(self._clock()))
