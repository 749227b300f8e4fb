"""A recorded request as a rule test: what the rules look at, and the lane that took it.

Everything else of the request stays out, and so does what is secret: who keeps the test has to fill that in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.http.head_reader import HeadReader
from gateway.http.masking import MASKED, Mask
from gateway.live.evidence import NoEvidence, is_secret
from gateway.live.replay import recorded
from gateway.live.store import Stored
from gateway.rules.environment import MatchEnvironment
from gateway.rules.examples import RequestParts
from gateway.rules.ruleset import RuleSet
from gateway.rules.sources import SOURCES
from gateway.ruletools.ruletests import BASELINE, PlacedTest, RuleTestFile, run_tests
from gateway.yaml.writing import write_yaml

ALWAYS: Final = (("method", ""), ("host", ""), ("path", ""))
"""What every test says of its request."""
SECRET: Final = MASKED.decode("ascii")


@dataclass(frozen=True, slots=True)
class Drafted:
    """A test as a file has it, whether the rules in force pass it, and what is missing for that."""

    yaml: str
    passes: bool
    missing: tuple[str, ...]


def rule_test_of(
    stored: Stored, rules: RuleSet, environment: MatchEnvironment, reader: HeadReader, masked: Sequence[str]
) -> Drafted:
    """The test that a record makes. Values of cookies, tokens, bodies and `masked` parameters are left out.

    Raises NoEvidence if nothing of the request was kept, or if no lane had a say.
    """
    found = recorded(stored, reader=reader)
    if found is None:
        raise NoEvidence("the head of this request was not kept, or no lane decided about it")
    record, mask = stored.record, Mask(masked)
    leaves = [leaf for group in rules.groups for lane in group.lanes for leaf in lane.leaves()]
    looked_at = dict.fromkeys([*ALWAYS, *((leaf.source, leaf.name) for leaf in leaves if leaf.source != "time")])
    parts, missing = RequestParts(), []
    for source, name in looked_at:
        value = SOURCES[source].read(found.context, name, environment.claims)
        if value is not None and is_secret(source, name, mask):
            missing.append(f"{source} {name}: its value is secret")
            value = SECRET
        if source == "body" and record.has_body:
            missing.append(f"body {name}: bodies are not kept")
        elif value is not None:
            SOURCES[source].put(parts, name, value)
    made = parts.build()
    if made is None:
        raise NoEvidence("what the rules look at makes no request by itself")
    lane = f"{record.group}/{record.lane}" if record.lane else BASELINE
    request: dict[str, Any] = {key: value for key, value in made[1].items() if value}
    if any(leaf.source == "time" for leaf in leaves):
        request["at"] = datetime.fromtimestamp(record.time, UTC).isoformat(timespec="seconds")
    test = {"name": f"{record.method} {record.path} goes to {lane}", "request": request, "lane": lane}
    [checked] = RuleTestFile.model_validate({"tests": [test]}).tests
    [outcome] = run_tests(rules, [PlacedTest(checked, "", 1)], environment)
    return Drafted(write_yaml({"tests": [test]}), outcome.passed, tuple(missing))
