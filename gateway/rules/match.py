"""Matching a request against all lanes at once, at a cost that hardly depends on how many there are.

Every open lane becomes one or more *rows*, each a conjunction of conditions (`rows`). A row is one bit of an integer, the
first lane the lowest. For each *field* that rules look at, lookups give the rows that a value leaves (`lookups`); a request
ANDs one integer per lookup, and the lowest bit left is the winner.

What no index decides are *checks* (`checks`): they run only for rows that are still alive, lowest first. Where many rows
with patterns are left, a `sieve` first takes out those that cannot match.
"""

from __future__ import annotations

from typing import Protocol

from gateway.rules.checks import Check
from gateway.rules.context import MatchContext
from gateway.rules.fields import Field
from gateway.rules.injected import InjectedFaults
from gateway.rules.lookups import Lookup
from gateway.rules.mirrored import MirroredLanes
from gateway.rules.prefilter import SIEVE_FROM, Prefilter
from gateway.rules.terms import Terms


class FieldIndex:
    """Which rows a field's value leaves.

    `absent`: those left where the field is absent. `concerned`: those that look at the field at all; a dear field is read
    only while one of them is alive. Where the lookups are shares, a sticky cookie holds a client in the rows `wanting`
    them, and keeps it out of those `shunning` them.
    """

    __slots__ = ("absent", "concerned", "field", "lookups", "shunning", "wanting")

    def __init__(
        self, field: Field, concerned: int, absent: int, lookups: tuple[Lookup, ...], wanting: int, shunning: int
    ) -> None:
        self.field = field
        self.concerned = concerned
        self.absent = absent
        self.lookups = lookups
        self.wanting = wanting
        self.shunning = shunning


class CompiledLane:
    """What matching yields. `services` limits the lane to its group's services; None: every service.

    `sticky` is how long its cookie is kept, in seconds; 0: it has none. `name` and `group` are what people call it.
    """

    __slots__ = ("debug", "group", "name", "services", "sticky", "strict", "tag")

    def __init__(
        self,
        group: str,
        name: str,
        tag: str,
        services: frozenset[str] | None,
        *,
        strict: bool = False,
        sticky: int = 0,
        debug: bool = False,
    ) -> None:
        self.group = group
        self.name = name
        self.tag = tag
        self.services = services
        self.strict = strict
        self.sticky = sticky
        self.debug = debug


class Signer(Protocol):
    """Reads whose sticky cookie a request has, and makes them."""

    name: str
    """The cookie's name."""

    def lane_of(self, context: MatchContext) -> str:
        """`group/lane` of a sound cookie that has not expired; empty otherwise."""
        ...

    def value(self, lane: str, age: int) -> str:
        """A cookie for `group/lane`, sound for `age` seconds."""
        ...

    def is_fresh(self, context: MatchContext, lane: str, age: int) -> bool:
        """Whether the request has a cookie of this lane that is good for more than half of its age still."""
        ...


CheckOf = tuple[Field, Check, bool]
"""A field, what must hold of it, and whether it must not hold instead."""


class CompiledRules:
    """All lanes, ready to match. Immutable; built by `compile.compile_rules`.

    `issues` are the cookies that clients without them are given, with the seconds for which they are kept.
    `reads_body`: some lane looks at the body. `terms` are what the rules say about requests that are marked already,
    `faults` what is injected into these, None if nothing is.
    `mirrors` are the lanes that get copies of unmarked requests, None if none does.
    """

    __slots__ = (
        "_all",
        "_checks",
        "_indices",
        "_rows_of_sticky",
        "_sieves",
        "faults",
        "issues",
        "lanes",
        "mirrors",
        "open_lanes",
        "reads_body",
        "signer",
        "terms",
    )

    def __init__(
        self,
        lanes: tuple[CompiledLane, ...],
        indices: tuple[FieldIndex, ...],
        sieves: tuple[Prefilter, ...],
        checks: tuple[tuple[CheckOf, ...], ...],
        *,
        terms: Terms,
        faults: InjectedFaults | None = None,
        mirrors: MirroredLanes | None = None,
        issues: tuple[tuple[str, int], ...] = (),
        reads_body: bool = False,
        signer: Signer | None = None,
    ) -> None:
        self.lanes = lanes
        self.faults = faults
        self.mirrors = mirrors
        self.issues = issues
        self.reads_body = reads_body
        self.open_lanes: dict[str, CompiledLane] = {f"{lane.group}/{lane.name}": lane for lane in lanes}
        self._indices = indices
        self._sieves = sieves
        self._checks = checks
        self.terms = terms
        self.signer = signer
        self._all: int = (1 << len(lanes)) - 1
        self._rows_of_sticky: dict[str, int] = {}
        for row, lane in enumerate(lanes):
            if lane.sticky:
                name = f"{lane.group}/{lane.name}"
                self._rows_of_sticky[name] = self._rows_of_sticky.get(name, 0) | 1 << row

    @staticmethod
    def empty() -> CompiledRules:
        """Rules that match nothing."""
        return CompiledRules((), (), (), (), terms=Terms({}, {}))

    def match(self, context: MatchContext) -> CompiledLane | None:
        """The first lane whose conditions hold, or None."""
        alive = self._all
        for index in self._indices:
            field = index.field
            if field.is_dear and not alive & index.concerned:
                continue
            held = 0
            if self._rows_of_sticky and (index.wanting or index.shunning):
                held = self._held(context)
                alive &= ~(held & index.shunning)
                held &= alive & index.wanting
            value = field.read(context)
            if value is None:
                alive &= index.absent
            else:
                for lookup in index.lookups:
                    alive = lookup.narrow(alive, value)
            alive |= held
            if not alive:
                return None
        for sieve in self._sieves:
            if (alive & sieve.rows).bit_count() > SIEVE_FROM:
                alive = sieve.narrow(alive, sieve.field.read(context))
        while alive:
            lowest = alive & -alive
            row = lowest.bit_length() - 1
            checks = self._checks[row]
            if not checks or _hold(checks, context):
                return self.lanes[row]
            alive ^= lowest
        return None

    def _held(self, context: MatchContext) -> int:
        """The rows in whose shares a sticky cookie holds the client."""
        signer = self.signer
        return 0 if signer is None else self._rows_of_sticky.get(signer.lane_of(context), 0)


def _hold(checks: tuple[CheckOf, ...], context: MatchContext) -> bool:
    for field, check, negated in checks:
        value = field.read(context)
        if value is None:
            if not negated:
                return False
        elif check.holds(value) == negated:
            return False
    return True
