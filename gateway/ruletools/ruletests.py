"""Tests of rules: `rules/tests/*.yaml`, requests and the lanes they must be put on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gateway.errors import ConfigError, Problem, ProtocolError
from gateway.http.content import read_content
from gateway.http.head_reader import build_request
from gateway.rules.compile import compile_rules
from gateway.rules.context import MatchContext
from gateway.rules.environment import MatchEnvironment
from gateway.rules.explain import LaneEvidence, explain
from gateway.rules.fields import Clock
from gateway.rules.match import CompiledRules
from gateway.rules.names import Model, Moment
from gateway.rules.ruleset import RuleSet
from gateway.rulesources.files import yaml_files
from gateway.validation import validate
from gateway.yaml.reading import Location, load

BASELINE = "none"
"""What a test expects of a request that no lane takes."""


def _check_address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError as error:
        raise ValueError(f"an IP address is accepted; found {text!r}") from error
    return text


class TestedRequest(Model):
    """A request of a test."""

    url: str
    """The target, or a whole URL if the host matters."""
    method: str = "GET"
    """The method."""
    headers: dict[str, str] = Field(default_factory=dict)
    """The header fields, including `Cookie` and `Baggage`."""
    client_ip: Annotated[str, AfterValidator(_check_address)] = "127.0.0.1"
    """The client's address."""
    body: str = ""
    """The request body; its type is the Content-Type in `headers`."""
    claims: dict[str, Any] = Field(default_factory=dict)
    """The claims of a valid token; no token is needed."""
    at: Moment | None = None
    """The time of matching. Default: now."""
    service: str = ""
    """The service that the request goes to, for conditions on it."""
    caller: str = ""
    """At a sidecar: the service that calls."""
    caller_tag: str = ""
    """At a sidecar: the tag of the instance that calls."""


class RuleTest(Model):
    """One test."""

    name: str
    """Its name, which is shown if it fails."""
    request: TestedRequest
    """The request."""
    lane: str
    """The lane that takes the request, as `GROUP/LANE`, or `none`."""


class RuleTestFile(Model):
    """One file of tests."""

    tests: list[RuleTest] = Field(min_length=1)
    """The tests."""


@dataclass(frozen=True, slots=True)
class PlacedTest:
    """A test, and where it is."""

    test: RuleTest
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a test: the lane that took the request, and what every lane said of it."""

    placed: PlacedTest
    lane: str
    evidence: tuple[LaneEvidence, ...]

    @property
    def passed(self) -> bool:
        """Whether the lane is the expected one."""
        return self.lane == self.placed.test.lane


def load_tests(sources: Sequence[Path], environ: Mapping[str, str] | None = None) -> list[PlacedTest]:
    """The tests of files and directories, in order.

    Raises ConfigError with every problem: files without tests and requests that the gateway would refuse are such, too.
    """
    problems: list[Problem] = []
    tests: list[PlacedTest] = []
    for source in sources:
        for file in yaml_files(source) if source.is_dir() else [source]:
            try:
                document = load(file, environ)
                content = validate(RuleTestFile, document, document.data)
            except ConfigError as error:
                problems.extend(error.problems)
                continue
            for index, test in enumerate(content.tests):
                location: Location = ("tests", index)
                try:
                    context_of(test.request)
                except ProtocolError as error:
                    message = f"test '{test.name}': the gateway would refuse this request: {error}"
                    problems.append(document.problem((*location, "request"), message))
                tests.append(PlacedTest(test, str(file), document.place(location)[0]))
    if problems:
        raise ConfigError(problems)
    return tests


def run_tests(rules: RuleSet, tests: Sequence[PlacedTest], environment: MatchEnvironment) -> list[Outcome]:
    """Evaluates the compiled rules as the gateway would."""
    outcomes: list[Outcome] = []
    compiled: dict[datetime | None, tuple[MatchEnvironment, CompiledRules]] = {}
    for placed in tests:
        wanted = placed.test.request
        context = context_of(wanted)
        if wanted.at not in compiled:
            there = environment if wanted.at is None else replace(environment, clock=_standing_at(wanted.at))
            compiled[wanted.at] = there, compile_rules(rules, there)
        there, lanes = compiled[wanted.at]
        winner = lanes.match(context)
        lane = BASELINE if winner is None else f"{winner.group}/{winner.name}"
        outcomes.append(Outcome(placed, lane, explain(rules, context, there)))
    return outcomes


def context_of(wanted: TestedRequest) -> MatchContext:
    """The request that a test describes, and what is around it. Raises ProtocolError for one that the gateway would refuse."""
    body = wanted.body.encode()
    request = build_request(wanted.method, wanted.url, wanted.headers.items(), body=body)
    return MatchContext(
        request,
        wanted.client_ip,
        service=wanted.service,
        caller=wanted.caller,
        caller_tag=wanted.caller_tag,
        content=read_content(request, body) if body else None,
        claims=wanted.claims,
    )


def _standing_at(moment: datetime) -> Clock:
    seconds = moment.timestamp()
    return lambda: seconds
