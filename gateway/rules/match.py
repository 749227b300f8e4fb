"""Matching a request against all lanes at once, at a cost that hardly depends on how many there are.

Every enabled lane becomes one or more *rows*, each a conjunction of conditions (a lane with `match_mode: any` has a row
for each). A row is one bit of an integer, the first lane the lowest. For each *field* that rules look at, an index
gives the rows that a value keeps alive; a request ANDs one integer per field, and the lowest bit left is the winner.

Equality, `in` and `exists` are decided by the index alone. The other operators are *checks*: they run only for rows
that are still alive, lowest first, so their number does not matter either where an index narrows the rows down.
"""

from __future__ import annotations

import hashlib
import re
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

from gateway.http.request import Request
from gateway.http.target import parameter_needle

PARAM: Final = 0
HEADER: Final = 1
COOKIE: Final = 2
PATH: Final = 3
METHOD: Final = 4
HOST: Final = 5
CLIENT_IP: Final = 6

BUCKETS: Final = 10_000
"""Buckets of the percent operator: a hundredth of a percent each."""
MAX_PATTERN_VALUE: Final = 1024
"""Characters of a value that a pattern looks at; a longer value does not match."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})")


def bucket_of(salt: str, value: str) -> int:
    """The bucket, 0 to 9,999, that a value falls into: the same one everywhere and always, for the same salt."""
    digest = hashlib.sha256(f"{salt}\0{value}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def number_of(value: str) -> float | None:
    """The decimal number that a value is, or None. Infinity, NaN and exponents are not numbers here."""
    return float(value) if _NUMBER.fullmatch(value) is not None else None


class Field:
    """One thing that conditions look at: a kind and, for the named kinds, a name."""

    __slots__ = ("kind", "name", "needle", "pattern")

    def __init__(self, kind: int, name: str, pattern: re.Pattern[bytes] | None) -> None:
        self.kind = kind
        self.name = name
        self.pattern = pattern
        self.needle: bytes = parameter_needle(name) if kind == PARAM else b""

    def read(self, request: Request) -> str | None:
        """The field's value in a request, or None where it is absent."""
        kind = self.kind
        if kind == PARAM:
            return request.param(self.name, self.needle)
        if kind == HEADER:
            pattern = self.pattern
            return None if pattern is None else request.header(pattern)
        if kind == COOKIE:
            return request.cookie(self.name)
        if kind == PATH:
            return request.path
        if kind == METHOD:
            return request.method.upper()
        if kind == HOST:
            return request.host or None
        return request.client_ip or None


class Check:
    """A condition that an index cannot decide; `holds` is asked only about values that are there."""

    def holds(self, value: str) -> bool:
        """Whether the condition holds of the value."""
        raise NotImplementedError


class NoneOf(Check):
    """not_equals, not_in."""

    def __init__(self, values: frozenset[str]) -> None:
        self._values = values

    def holds(self, value: str) -> bool:
        """Whether the value is none of them."""
        return value not in self._values


class Prefix(Check):
    """prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def holds(self, value: str) -> bool:
        """Whether the value starts so."""
        return value.startswith(self._prefix)


class Matches(Check):
    """regex."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern

    def holds(self, value: str) -> bool:
        """Whether the whole value matches."""
        return len(value) <= MAX_PATTERN_VALUE and self._pattern.fullmatch(value) is not None


class Between(Check):
    """range."""

    def __init__(self, low: float, high: float) -> None:
        self._low = low
        self._high = high

    def holds(self, value: str) -> bool:
        """Whether the value is a number in the range."""
        number = number_of(value)
        return number is not None and self._low <= number <= self._high


class Share(Check):
    """percent."""

    def __init__(self, salt: str, percent: float) -> None:
        self._salt = salt
        self._below = round(percent * BUCKETS / 100)

    def holds(self, value: str) -> bool:
        """Whether the value's bucket is in the share."""
        return bucket_of(self._salt, value) < self._below


class InNetworks(Check):
    """client_ip with networks; `negated` for not_equals and not_in."""

    def __init__(self, networks: tuple[IPv4Network | IPv6Network, ...], negated: bool) -> None:
        self._networks = networks
        self._negated = negated

    def holds(self, value: str) -> bool:
        """Whether the address is in one of the networks (or in none)."""
        try:
            address = ip_address(value)
        except ValueError:
            return False
        for network in self._networks:
            if address in network:
                return not self._negated
        return self._negated


class FieldIndex:
    """Which rows a field's value keeps alive.

    `absent`: the rows that live where the field is absent; `present`: those that live whatever its value is; `exact`:
    the rows that live, beside those, for a certain value.
    """

    __slots__ = ("absent", "exact", "field", "present")

    def __init__(self, field: Field, absent: int, present: int, exact: dict[str, int]) -> None:
        self.field = field
        self.absent = absent
        self.present = present
        self.exact = exact


class CompiledLane:
    """What matching yields. `services` limits the lane to its group's services; None: every service."""

    __slots__ = ("group", "name", "services", "tag")

    def __init__(self, group: str, name: str, tag: str, services: frozenset[str] | None) -> None:
        self.group = group
        self.name = name
        self.tag = tag
        self.services = services


class CompiledRules:
    """All lanes, ready to match. Immutable; built by `compile.compile_rules`."""

    __slots__ = ("_all", "_checks", "_indices", "_services_of_tag", "lanes")

    def __init__(
        self,
        lanes: tuple[CompiledLane, ...],
        indices: tuple[FieldIndex, ...],
        checks: tuple[tuple[tuple[Field, Check], ...], ...],
        services_of_tag: dict[str, frozenset[str] | None],
    ) -> None:
        self.lanes = lanes
        self._indices = indices
        self._checks = checks
        self._services_of_tag = services_of_tag
        self._all: int = (1 << len(lanes)) - 1

    @staticmethod
    def empty() -> CompiledRules:
        """Rules that match nothing."""
        return CompiledRules((), (), (), {})

    def match(self, request: Request) -> CompiledLane | None:
        """The first lane whose conditions hold, or None."""
        alive = self._all
        for index in self._indices:
            value = index.field.read(request)
            if value is None:
                alive &= index.absent
            else:
                alive &= index.present | index.exact.get(value, 0)
            if not alive:
                return None
        while alive:
            lowest = alive & -alive
            row = lowest.bit_length() - 1
            checks = self._checks[row]
            if not checks or _hold(checks, request):
                return self.lanes[row]
            alive ^= lowest
        return None

    def holds(self, tag: str, service: str) -> bool:
        """Whether some lane with this tag may use this service's tagged instances; true of tags no lane has."""
        services = self._services_of_tag.get(tag)
        return services is None or service in services


def _hold(checks: tuple[tuple[Field, Check], ...], request: Request) -> bool:
    for field, check in checks:
        value = field.read(request)
        if value is None or not check.holds(value):
            return False
    return True
