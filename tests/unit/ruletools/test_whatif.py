"""What would change: recorded requests are those that the listener saw, and what is shown of them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from gateway.rules.context import MatchContext
from gateway.rules.environment import MatchEnvironment
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet
from gateway.ruletools import ruletests
from gateway.ruletools.whatif import Recorded, compare, read_record, read_records
from gateway.settings.plane import AccessLogSettings
from tests.support.asked import asked
from tests.support.proxy import LANE
from tests.support.rules import around, rule_set

LINE = {"ts": "2027-01-15T08:00:00.000Z", "client": "10.0.0.1", "method": "GET", "host": "shop.example", "headers": {}}


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (None, "GET /A?group=gray&to%6ben=***&code=secret from 127.0.0.1"),
        (AccessLogSettings(mask=["code"]), "GET /A?group=gray&to%6ben=secret&code=*** from 127.0.0.1"),
    ],
    ids=["by default", "as the access log has it"],
)
def test_examples_are_masked(log: AccessLogSettings | None, shown: str) -> None:
    request = asked("GET", "/A?group=gray&to%6ben=secret&code=secret")
    rules = RuleSet.of([LaneGroup.model_validate(LANE)])
    found = compare(rules, RuleSet(), MatchEnvironment(time.time), [Recorded(request, None)], log)
    assert found.moves["demo/gray", "baseline"].examples == [shown]


def request_of(data: Any) -> MatchContext:
    found = read_record(data)
    assert found is not None
    return found.context


def logged(target: str, **more: Any) -> dict[str, Any]:
    return {**LINE, "target": target, **more}


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        ("/A/x", "shop.example", "/A/x"),
        ("//A/x", "shop.example", "/A/x"),
        ("//evil.example/A/x", "shop.example", "/evil.example/A/x"),
        ("/%41/x", "shop.example", "/A/x"),
        ("http://shop.example/A/x", "shop.example", "/A/x"),
        ("http://shop.example:80//A/x", "shop.example", "/A/x"),
    ],
)
def test_a_logged_target_is_read_as_it_was_when_it_came(target: str, host: str, path: str) -> None:
    context = request_of(logged(target))
    assert (context.request.host, context.request.path, context.client_ip) == (host, path, "10.0.0.1")
    other = request_of({"url": target, "headers": [["Host", "shop.example"]]}).request
    assert (other.host, other.path) == (host, path)
    tested = ruletests.context_of(ruletests.TestedRequest(url=target, headers={"Host": "shop.example"})).request
    assert (tested.host, tested.path) == (host, path)


def test_a_logged_request_without_a_host_has_none() -> None:
    assert request_of(logged("/A", host="")).request.host == ""
    assert request_of(logged("*", method="OPTIONS")).request.path == "*"


@pytest.mark.parametrize("target", ["/A/ä", "/a b", "/a/../b", "/a#b", "/%zz", "a"])
def test_what_the_listener_refuses_is_no_record(target: str) -> None:
    for record in (logged(target), {"url": target}):
        assert list(read_records([json.dumps(record)])) == [None]


@pytest.mark.parametrize(
    "line",
    [
        "3", "[]", "{}", "null", "nonsense", '{"url": 5}', '{"url": "/", "headers": 3}', '{"url": "/", "client_ip": "x"}',
        json.dumps(logged("/", client="x")), json.dumps(logged("/", ts="soon")), json.dumps(logged("/", method=None)),
        json.dumps({"url": "/\ud800"}), '{"url": "/", "headers": [["a"]]}', '{"url": "/", "headers": {"a": "x\\ny"}}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_line_that_is_no_request_is_counted(line: str) -> None:
    found = compare(RuleSet(), RuleSet(), around(), read_records([line, "", json.dumps(logged("/"))]))
    assert (found.total, found.unread) == (1, 1)


def test_who_moves_is_counted_by_the_path_that_the_listener_matches() -> None:
    old = rule_set([{"name": "g", "lanes": [{"name": "l", "tag": "t", "match": [{"path": {"prefix": "/A/"}}]}]}])
    lines = [json.dumps(logged(target)) for target in ("//A/x", "/A//x", "//B/x", "http://h//A/x")]
    found = compare(old, RuleSet(), around(), read_records(lines))
    assert {move: len(what.examples) for move, what in found.moves.items()} == {("g/l", "baseline"): 3}
    assert (found.total, found.moved, found.unread) == (4, 3, 0)
