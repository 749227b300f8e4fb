"""What would change: recorded requests under two sets of rules."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final

from gateway.errors import ConfigError, Problem, ProtocolError
from gateway.http.head_reader import HeadReader, build_request
from gateway.http.masking import Mask
from gateway.rules.compile import compile_rules
from gateway.rules.context import MatchContext
from gateway.rules.environment import MatchEnvironment
from gateway.rules.match import CompiledRules
from gateway.rules.ruleset import RuleSet
from gateway.settings.plane import AccessLogSettings

BASELINE = "baseline"
"""Where a request is that no lane takes."""
MAX_EXAMPLES = 3
"""Requests shown for each move."""
_READER: Final = HeadReader("x-gray-tag", target_bytes=1 << 20, header_count=1000, keeps_forwarded=True)
"""Of what was recorded: it has passed the limits of a listener."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request and when it came, in seconds since the epoch; None: now.

    `number` is that of its request record, if it has one: then people look there for what it was.
    """

    context: MatchContext
    at: float | None
    number: int | None = None


@dataclass(slots=True)
class Move:
    """Requests that change places: how many, and some of them in words, or by the ids of their records."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    records: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Comparison:
    """Who is where before and after, and who moves. `unread` counts records that are not requests."""

    total: int = 0
    unread: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    moves: dict[tuple[str, str], Move] = field(default_factory=dict)

    @property
    def moved(self) -> int:
        """How many requests change places."""
        return sum(move.count for move in self.moves.values())

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON; the largest move first."""
        return {
            "requests": self.total,
            "unread": self.unread,
            "moved": self.moved,
            "lanes": [
                {"lane": name, "before": self.before[name], "after": self.after[name]}
                for name in sorted(self.before | self.after, key=lambda name: (name == BASELINE, name))
            ],
            "moves": [
                {"from": old, "to": new, "requests": move.count, "examples": move.examples, "records": move.records}
                for (old, new), move in sorted(self.moves.items(), key=lambda item: (-item[1].count, item[0]))
            ],
        }


def compare(
    old: RuleSet,
    new: RuleSet,
    environment: MatchEnvironment,
    records: Iterable[Recorded | None],
    log: AccessLogSettings | None = None,
) -> Comparison:
    """Matches every record under both sets of rules, at the time at which it came. None counts as unread.

    The examples are shown to people, so they are masked as `log` has it, or would have it by default.
    """
    mask = Mask((log or AccessLogSettings()).mask)
    clock = _Clock(environment)
    there = replace(environment, clock=clock)
    sides = compile_rules(old, there), compile_rules(new, there)
    found = Comparison()
    for record in records:
        if record is None:
            found.unread += 1
            continue
        clock.at = record.at
        found.total += 1
        before, after = (_place(rules, record.context) for rules in sides)
        found.before[before] += 1
        found.after[after] += 1
        if before != after:
            move = found.moves.setdefault((before, after), Move())
            move.count += 1
            if len(move.examples) + len(move.records) >= MAX_EXAMPLES:
                continue
            if record.number is not None:
                move.records.append(record.number)
            else:
                request = record.context.request
                target = mask.text(request.target).decode("latin-1")
                move.examples.append(f"{request.method} {target} from {record.context.client_ip}")
    return found


def _place(rules: CompiledRules, context: MatchContext) -> str:
    lane = rules.match(context)
    return BASELINE if lane is None else f"{lane.group}/{lane.name}"


class _Clock:
    """The time of the record that is looked at."""

    def __init__(self, environment: MatchEnvironment) -> None:
        self._now = environment.clock
        self.at: float | None = None

    def __call__(self) -> float:
        return self._now() if self.at is None else self.at


def read_records(lines: Iterable[str]) -> Iterator[Recorded | None]:
    """Requests of an access log in JSON, or of lines as `POST /api/v1/explain` takes them. What is neither is None.

    A log has only the headers that `access_log.headers` names, and masked parameters are masked.
    """
    for line in lines:
        if line.strip():
            try:
                data = json.loads(line)
            except (ValueError, RecursionError):
                data = None
            yield read_record(data)


def read_record(data: Any) -> Recorded | None:
    """One request of the above, read from its JSON; None for what is none, or what the gateway would refuse."""
    try:
        return _recorded(data)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, ProtocolError):
        return None


def _recorded(data: Any) -> Recorded:
    """Raises ValueError, KeyError, TypeError, AttributeError, OverflowError or ProtocolError."""
    headers = data.get("headers") or {}
    pairs = list(headers.items()) if isinstance(headers, dict) else [(str(name), str(value)) for name, value in headers]
    if "target" not in data:
        client = _address(data.get("client_ip", "127.0.0.1"))
        request = build_request(_text(data.get("method", "GET")), data["url"], pairs, reader=_READER)
        return Recorded(MatchContext(request, client), None)
    client, host = _address(data["client"]), _text(data.get("host", "localhost"))
    request = build_request(_text(data["method"]), data["target"], pairs, reader=_READER, host=host)
    context = MatchContext(request, client, service=_text(data.get("service") or ""))
    return Recorded(context, datetime.fromisoformat(data["ts"]).timestamp())


def _text(value: Any) -> str:
    """The value itself. Raises TypeError if it is not text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _address(text: str) -> str:
    """The text itself. Raises ValueError if it is not an address."""
    ip_address(text)
    return text


def require_records(comparison: Comparison, source: str) -> None:
    """Raises ConfigError if nothing that was given is a request."""
    if not comparison.total:
        message = 'no line is a request: expected an access log in JSON, or {"method": "GET", "url": "/A/a?group=gray"}'
        raise ConfigError([Problem(source, 1, 1, message)])
