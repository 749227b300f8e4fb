"""Conditions as an operator writes them: what is looked at, with which operator; all, any and not of others.

The docstrings of the fields are their reference; what each operator means of odd values is in `docs/rules.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from gateway.rules.names import (
    Age,
    Claim,
    Cookie,
    Header,
    Member,
    Model,
    Moment,
    Name,
    Number,
    Parameter,
    Pattern,
    Pointer,
    Range,
    Share,
    Values,
    is_token,
)
from gateway.rules.operators import OPERATORS, Operator
from gateway.rules.sources import SOURCES

_HOURS: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")

NAMED_SOURCES: Final = tuple(name for name, source in SOURCES.items() if source.is_named)
PLAIN_SOURCES: Final = tuple(name for name, source in SOURCES.items() if not source.is_named)
ALL_SOURCES: Final = (*SOURCES, "time")
COMBINATIONS: Final = ("all", "any", "not")

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_DEPTH: Final = 8
"""Levels of `all`, `any` and `not` inside one another."""


def field_of(key: str) -> str:
    """The attribute that holds a key of a file: some keys are words of Python."""
    return f"{key}_" if key in ("in", "not", "from") else key


class Test(Model):
    """What must hold of a value: exactly one operator."""

    equals: str | None = None
    """The value is this text."""
    not_equals: str | None = None
    """There is a value, and it is not this text."""
    in_: Values | None = Field(default=None, alias="in")
    """The value is one of these texts."""
    not_in: Values | None = None
    """There is a value, and it is none of these texts."""
    prefix: str | None = None
    """The value starts with this text."""
    suffix: str | None = None
    """The value ends with this text."""
    contains: str | None = None
    """This text is somewhere in the value."""
    regex: Pattern | None = None
    """The whole value matches this regular expression (RE2 syntax)."""
    exists: bool | None = None
    """There is a value, be it empty (true), or there is none (false)."""
    absent: bool | None = None
    """There is no value (true), or there is one, be it empty (false)."""
    gt: Number | None = None
    """The value is a number greater than this one."""
    gte: Number | None = None
    """The value is a number, this one or greater."""
    lt: Number | None = None
    """The value is a number less than this one."""
    lte: Number | None = None
    """The value is a number, this one or less."""
    range: Range | None = None
    """The value is a number from the first to the second, both included."""
    percent: Share | None = None
    """The value falls into this share, in percent, of all values (two decimals count), or into these very spans of it."""
    segment: Name | None = None
    """The value is in the segment of this name."""
    ignore_case: bool = False
    """Whether texts that differ only in the case of their letters are the same. (Methods and hosts always are.)"""

    def operand(self, operator: str) -> Any:
        """What is beside an operator, None if it is not given."""
        return getattr(self, field_of(operator))

    @property
    def operator(self) -> str:
        """The operator given."""
        return next(name for name in OPERATORS if self.operand(name) is not None)

    def require_one_operator(self) -> None:
        """Raises ValueError unless there is exactly one operator, with an operand that makes sense."""
        given = [name for name in OPERATORS if self.operand(name) is not None]
        if len(given) != 1:
            empty = [name for name in OPERATORS if field_of(name) in self.model_fields_set]
            if not given and empty:
                raise ValueError(f"{empty[0]}: a value is missing; an empty text is written ''")
            found = "none" if not given else " and ".join(given)
            raise ValueError(f"a condition has exactly one operator of {', '.join(OPERATORS)}; found {found}")

    def given(self) -> tuple[Operator, Any] | None:
        """The operator's entry in the table, and its operand; None for what has no operator: time, combinations."""
        return next(
            ((entry, operand) for name, entry in OPERATORS.items() if (operand := self.operand(name)) is not None), None
        )

    def texts(self) -> list[str]:
        """The whole texts that the value is compared with."""
        given = self.given()
        return [] if given is None or given[0].part != "whole" else given[0].texts(given[1])


class InnerTest(Test):
    """The operator of a thing that has no name."""

    @model_validator(mode="after")
    def _is_whole(self) -> InnerTest:
        self.require_one_operator()
        return self


def _check_hours(text: str) -> str:
    match = _HOURS.fullmatch(text)
    if match is None or any(match[at] == "24" and match[at + 1] != "00" for at in (1, 3)):
        raise ValueError(f"hours are FROM-UNTIL, such as 09:00-18:00 or 22:00-06:00; found {text!r}")
    opens, closes = (int(match[at]) * 60 + int(match[at + 1]) for at in (1, 3))
    if opens % 1440 == closes % 1440 and (opens, closes) != (0, 1440):
        raise ValueError(f"the hours begin and end at the same time; the whole day is 00:00-24:00; found {text!r}")
    return text


def _check_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{text!r} is not the name of a time zone, such as Asia/Shanghai") from error
    return text


class TimeTest(Model):
    """When a condition holds: everything that is given must."""

    from_: Moment | None = Field(default=None, alias="from")
    """From this moment on."""
    until: Moment | None = None
    """Before this moment."""
    days: Annotated[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]], Field(min_length=1)] | None = None
    """On these days of the week."""
    hours: Annotated[str, AfterValidator(_check_hours)] | None = None
    """At these hours of each day, the first minute included, the last not; over midnight where it ends before it begins."""
    zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """The zone in which days and hours are read."""

    @model_validator(mode="after")
    def _is_whole(self) -> TimeTest:
        if self.from_ is None and self.until is None and self.days is None and self.hours is None:
            raise ValueError("time: give at least one of from, until, days and hours")
        if self.from_ is not None and self.until is not None and self.from_ >= self.until:
            raise ValueError("time: `from` must be before `until`")
        return self

    def minutes(self) -> tuple[int, int]:
        """The hours as minutes of the day."""
        match = _HOURS.fullmatch(self.hours or "00:00-24:00")
        assert match is not None
        return int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])


class Condition(Test):
    """What must hold of one thing in a request, or how other conditions go together.

    A thing that has a name is beside its operator (`{param: group, equals: gray}`); one that has none takes the
    operator inside (`{path: {prefix: /beta}}`).
    """

    param: Parameter | None = None
    """The query parameter of this name."""
    header: Header | None = None
    """The header field of this name; case does not matter."""
    cookie: Cookie | None = None
    """The cookie of this name."""
    baggage: Member | None = None
    """The member of the W3C baggage header with this key."""
    body: Pointer | None = None
    """What this JSON pointer finds in the body; the route must have `inspect_body`."""
    jwt: Claim | None = None
    """The claim of this name (or JSON pointer) in the request's token."""
    path: InnerTest | None = None
    """The request's path, without the query."""
    method: InnerTest | None = None
    """The request's method; case does not matter."""
    host: InnerTest | None = None
    """The requested host, without the port; case does not matter."""
    client_ip: InnerTest | None = None
    """The client's address; equals, not_equals, in, not_in and segment also take networks (10.0.0.0/8)."""
    grpc_service: InnerTest | None = None
    """The service of a gRPC call, with its package. Absent from other requests."""
    grpc_method: InnerTest | None = None
    """The method of a gRPC call. Absent from other requests."""
    service: InnerTest | None = None
    """The service that the request goes to."""
    caller: InnerTest | None = None
    """At a sidecar: the service that calls. Absent at the entry gateway."""
    caller_tag: InnerTest | None = None
    """At a sidecar: the tag of the instance that calls, `base` where it has none. Absent at the entry gateway."""
    time: TimeTest | None = None
    """The time at which the request is matched."""
    all: Annotated[list[Condition], Field(min_length=1)] | None = None
    """Every one of these holds."""
    any: Annotated[list[Condition], Field(min_length=1)] | None = None
    """One of these holds."""
    not_: Condition | None = Field(default=None, alias="not")
    """This does not hold."""
    issue: Age | None = None
    """For `percent` of a cookie: the gateway gives a client without the cookie one, kept for this long (30d)."""

    @field_validator(*PLAIN_SOURCES)
    @classmethod
    def _are_in_form(cls, test: InnerTest | None, info: ValidationInfo) -> InnerTest | None:
        assert info.field_name is not None
        return None if test is None else _in_form(info.field_name, test)

    @model_validator(mode="after")
    def _is_whole(self) -> Condition:
        sources = [name for name in (*ALL_SOURCES, *COMBINATIONS) if getattr(self, field_of(name)) is not None]
        if len(sources) != 1:
            found = "none" if not sources else " and ".join(sources)
            raise ValueError(
                f"a condition looks at exactly one of {', '.join(ALL_SOURCES)}, or is all, any or not of others; found {found}"
            )
        source = sources[0]
        if source in NAMED_SOURCES:
            self.require_one_operator()
            _in_form(source, self)
        elif any(self.operand(name) is not None for name in OPERATORS):
            if source in COMBINATIONS or source == "time":
                raise ValueError(f"{source} accepts no operator beside it")
            raise ValueError(f"the operator goes inside: {{{source}: {{equals: …}}}}")
        elif self.ignore_case:
            raise ValueError("ignore_case goes beside the operator")
        if self.issue is not None and (self.cookie is None or self.percent is None):
            raise ValueError("issue goes with the percent of a cookie: {cookie: uid, percent: 10, issue: 30d}")
        if self.issue is not None and self.cookie is not None and not is_token(self.cookie):
            raise ValueError(
                f"issue: the name of an issued cookie must be a token (RFC 6265 §4.1.1), and {self.cookie!r} is not"
            )
        if source in COMBINATIONS and self.depth > MAX_DEPTH:
            raise ValueError(f"all, any and not are nested more than {MAX_DEPTH} levels deep")
        return self

    @property
    def source(self) -> str:
        """What is looked at, `param` to `time`, or `all`, `any`, `not`."""
        return next(name for name in (*ALL_SOURCES, *COMBINATIONS) if getattr(self, field_of(name)) is not None)

    @property
    def name(self) -> str:
        """The name of what is looked at; empty if it has none."""
        source = self.source
        return getattr(self, source) if source in NAMED_SOURCES else ""

    @property
    def test(self) -> Test:
        """The operator and its operand; one without any for time and for combinations."""
        source = self.source
        test: Test = getattr(self, source) if source in PLAIN_SOURCES else self
        return test

    @property
    def members(self) -> tuple[Condition, ...]:
        """The conditions that this one combines; none where it looks at something itself."""
        if self.not_ is not None:
            return (self.not_,)
        return tuple(self.all or self.any or ())

    @property
    def depth(self) -> int:
        """Levels of combinations, 0 for a condition that looks at something itself."""
        return 1 + max(member.depth for member in self.members) if self.members else 0

    def leaves(self) -> Iterator[Condition]:
        """The conditions that look at something, in order."""
        if not self.members:
            yield self
        for member in self.members:
            yield from member.leaves()


_T = TypeVar("_T", bound=Test)


def _in_form(source: str, test: _T) -> _T:
    """The test with its texts in the form of the values they are compared with. Raises ValueError."""
    name = test.operator
    operator, written = OPERATORS[name], test.operand(name)
    if source == "client_ip" and not operator.takes_addresses:
        fit = ", ".join(other for other, entry in OPERATORS.items() if entry.takes_addresses)
        raise ValueError(f"client_ip: {name} does not apply to an address; use {fit}")
    if source == "path" and not operator.takes_paths:
        raise ValueError(f"path: {name} compares numbers, and a path is not a number")
    read = operator.in_form(source, written, test.ignore_case)
    return test if read == written else test.model_copy(update={field_of(name): read})
