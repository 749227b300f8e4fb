"""The lane rules as an operator writes them: `rules/*.yaml`. What each operator means is in `docs/rules.md`.

The docstrings of the fields are their reference.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Literal

import re2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.routing.instance import BASE, is_tag

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PORT = re.compile(r":[0-9]*\Z")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def check_name(text: str) -> str:
    """Returns the name of a group or a lane. Raises ValueError unless it is plain: it becomes a metric label."""
    if _NAME.fullmatch(text) is None:
        raise ValueError("a name is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return text


def check_tag(text: str) -> str:
    """Returns a lane's tag. Raises ValueError where it is none, or the reserved one."""
    if text == BASE:
        raise ValueError("tag 'base' is reserved: it means unmarked")
    if not is_tag(text):
        raise ValueError("a tag is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return text


def _check_header(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a header name")
    return text.lower()


def _check_parameter(text: str) -> str:
    if not text:
        raise ValueError("the name of a parameter is missing")
    return text


def _check_cookie(text: str) -> str:
    # RFC 6265 §4.1.1 asks for a token; browsers send more than that, but none of these ever.
    if re.fullmatch(r"[^\s=;]+", text) is None:
        raise ValueError(f"{text!r} is not a cookie's name")
    return text


def _check_pattern(text: str) -> str:
    try:
        compile_pattern(text)
    except UnicodeEncodeError as error:
        raise ValueError("not a regular expression: it holds a lone surrogate, which is no character") from error
    except re2.error as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise ValueError(
            f"not a regular expression (RE2 syntax, no look-around or back-references): {reason}"
        ) from error
    return text


def compile_pattern(text: str) -> re2._Regexp[str]:
    """Compiles with RE2, whose matching time is linear in the text: no pattern can stall the gateway."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    return re2.compile(text, options=options)


Name = Annotated[str, AfterValidator(check_name)]
Tag = Annotated[str, AfterValidator(check_tag)]
Pattern = Annotated[str, AfterValidator(_check_pattern)]
Percent = Annotated[float, Field(ge=0, le=100)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Values = Annotated[list[str], Field(min_length=1)]

OPERATORS = ("equals", "not_equals", "in", "not_in", "prefix", "regex", "exists", "range", "percent")
NAMED_SOURCES = ("param", "header", "cookie")
PLAIN_SOURCES = ("path", "method", "host", "client_ip")


class Model(BaseModel):
    """Base of the models: unknown keys are problems, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


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
    regex: Pattern | None = None
    """The whole value matches this regular expression (RE2 syntax)."""
    exists: bool | None = None
    """There is a value, be it empty (true), or there is none (false)."""
    range: Annotated[list[Number], Field(min_length=2, max_length=2)] | None = None
    """The value is a number from the first to the second, both included."""
    percent: Percent | None = None
    """The value falls into this share, in percent, of all values; two decimals count. Sticky per value."""

    def operand(self, operator: str) -> object:
        """What stands beside an operator, None where it is not given."""
        value: object = getattr(self, "in_" if operator == "in" else operator)
        return value

    @property
    def operator(self) -> str:
        """The operator given."""
        return next(name for name in OPERATORS if self.operand(name) is not None)

    def require_one_operator(self) -> None:
        """Raises ValueError unless there is exactly one operator, with an operand that makes sense."""
        given = [name for name in OPERATORS if self.operand(name) is not None]
        if len(given) != 1:
            empty = [name for name in OPERATORS if ("in_" if name == "in" else name) in self.model_fields_set]
            if not given and empty:
                raise ValueError(f"{empty[0]}: a value is missing; the empty text is written ''")
            found = "none" if not given else " and ".join(given)
            raise ValueError(f"a condition has exactly one operator of {', '.join(OPERATORS)}; found {found}")
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"range: the first number is larger than the second: {self.range}")


class InnerTest(Test):
    """The operator of a thing that has no name."""

    @model_validator(mode="after")
    def _is_whole(self) -> InnerTest:
        self.require_one_operator()
        return self


class Condition(Test):
    """What must hold of one thing in a request.

    A thing that has a name stands beside its operator (`{param: group, equals: gray}`); one that has none takes the
    operator inside (`{path: {prefix: /beta}}`).
    """

    param: Annotated[str, AfterValidator(_check_parameter)] | None = None
    """The query parameter of this name."""
    header: Annotated[str, AfterValidator(_check_header)] | None = None
    """The header field of this name; case does not matter."""
    cookie: Annotated[str, AfterValidator(_check_cookie)] | None = None
    """The cookie of this name."""
    path: InnerTest | None = None
    """The request's path, without the query."""
    method: InnerTest | None = None
    """The request's method; case does not matter."""
    host: InnerTest | None = None
    """The host asked for, without the port; case does not matter."""
    client_ip: InnerTest | None = None
    """The client's address; equals, not_equals, in and not_in also take networks (10.0.0.0/8)."""

    @model_validator(mode="after")
    def _is_whole(self) -> Condition:
        sources = [name for name in (*NAMED_SOURCES, *PLAIN_SOURCES) if getattr(self, name) is not None]
        if len(sources) != 1:
            found = "none" if not sources else " and ".join(sources)
            choices = ", ".join((*NAMED_SOURCES, *PLAIN_SOURCES))
            raise ValueError(f"a condition looks at exactly one of {choices}; found {found}")
        if sources[0] in NAMED_SOURCES:
            self.require_one_operator()
        elif any(self.operand(name) is not None for name in OPERATORS):
            raise ValueError(f"the operator goes inside: {{{sources[0]}: {{equals: …}}}}")
        if self.client_ip is not None:
            check_addresses(self.client_ip)
        if self.path is not None:
            check_paths(self.path)
        if self.host is not None:
            check_hosts(self.host)
        return self

    @property
    def source(self) -> str:
        """What is looked at: `param`, …, `client_ip`."""
        return next(name for name in (*NAMED_SOURCES, *PLAIN_SOURCES) if getattr(self, name) is not None)

    @property
    def name(self) -> str:
        """The name of what is looked at; empty where it has none."""
        source = self.source
        return getattr(self, source) if source in NAMED_SOURCES else ""

    @property
    def test(self) -> Test:
        """The operator and its operand."""
        source = self.source
        test: Test = self if source in NAMED_SOURCES else getattr(self, source)
        return test


def _compared(test: Test) -> list[str]:
    """The whole texts that a test compares with."""
    texts = [text for text in (test.equals, test.not_equals) if text is not None]
    return [*texts, *(test.in_ or ()), *(test.not_in or ())]


def check_paths(test: Test) -> None:
    """Raises ValueError where a path condition compares with something that no path can be."""
    for text in (*_compared(test), *([test.prefix] if test.prefix else [])):
        if not text.startswith("/") and text != "*":  # OPTIONS * has this one
            raise ValueError(f"path: a path starts with '/', so {text!r} can never be one")


def check_hosts(test: Test) -> None:
    """Raises ValueError where a host condition compares with something that no host can be."""
    for text in _compared(test):
        if _PORT.search(text) is not None:
            raise ValueError(f"host: the port is left out (and IPv6 in brackets), so {text!r} can never be a host")


def check_addresses(test: Test) -> None:
    """Raises ValueError where a client_ip condition compares with something that is no address or network."""
    for text in _compared(test):
        try:
            ip_network(text, strict=False)
        except ValueError as error:
            raise ValueError(f"client_ip: {text!r} is neither an address nor a network") from error


class Lane(Model):
    """A tag and the conditions that put a request on it."""

    name: Name
    """How the lane is called in decisions, logs and metrics; unique in its group."""
    tag: Tag
    """What its requests are marked with; instances with this tag serve them."""
    enabled: bool = True
    """false closes the lane: it matches nothing."""
    match_mode: Literal["all", "any"] = "all"
    """Whether every condition must hold, or one is enough."""
    match: Annotated[list[Condition], Field(min_length=1)]
    """The conditions; at least one."""


class LaneGroup(Model):
    """Lanes of one entry and one set of services, tried in order: the first that matches wins."""

    name: Name
    """Unique over all files. It salts the percent operator, so renaming a group reshuffles who is in."""
    enabled: bool = True
    """false closes all its lanes."""
    services: list[str] = Field(default_factory=list)
    """The services whose tagged instances the lanes may use; empty: every service."""
    lanes: list[Lane] = Field(default_factory=list)
    """In the order in which they are tried."""


class RulesFile(Model):
    """One file of rules."""

    lane_groups: list[LaneGroup] = Field(default_factory=list)
    """Groups in the order in which they are tried; files go by name."""
