"""The linter: each code has rules that earn it and rules that nearly do; nothing that it says is untrue."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli import main
from gateway.rules.compile import compile_rules
from gateway.rules.context import MatchContext
from gateway.rules.ruleset import RuleSet
from gateway.ruletools.lint import CODES, Finding, Knowledge, grown, lint
from tests.properties.test_rules import AROUND, SEAL, requests, rule_sets
from tests.support.examples import examples
from tests.support.rules import around, rule_set

SEGMENTS = {
    "nets": frozenset({"::ffff:10.0.0.0/104"}),
    "vips": frozenset({"alice"}),
    "some": frozenset({"alice", "bob"}),
}


def group(*lanes: str, name: str = "g", **more: Any) -> dict[str, Any]:
    """A group of lanes, each `match` in flow style, or a whole lane; tags are `t0`, `t1`, … where not given."""
    read: list[dict[str, Any]] = []
    for number, text in enumerate(lanes):
        data = yaml.load(text, Loader=yaml.BaseLoader)
        lane = data if isinstance(data, dict) else {"match": data}
        read.append({"name": f"l{number}", "tag": f"t{number}", **lane})
    return {"name": name, "lanes": read, **more}


def found(
    groups: list[dict[str, Any]], known: Knowledge | None = None, segments: dict[str, frozenset[str]] | None = None
) -> list[Finding]:
    return lint(rule_set(groups, segments or {}), around(), known or Knowledge())


WORLD = Knowledge({"a": frozenset({"base", "t0"})}, ("/A",), inspects_body=False)
EARNED: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    ("GR101", [group("[{path: {prefix: /A}}]", "[{path: {prefix: /A/b}}]")], [group("[{path: {prefix: /A/b}}]", "[{path: {prefix: /A}}]")]),
    ("GR101", [group("[{param: a, in: [x, y]}]", "[{param: a, equals: x}, {param: b, equals: y}]")], [group("[{param: a, in: [x, y]}]", "[{param: a, in: [y, z]}]")]),
    ("GR101", [group("[{param: a, exists: true}]", "[{param: a, gte: 3}]")], [group("[{param: a, exists: true}]", "[{param: b, gte: 3}]")]),
    ("GR101", [group("[{header: h, lt: 10}]", "[{header: h, range: [2, 9.5]}]")], [group("[{header: h, lt: 9}]", "[{header: h, range: [2, 9.5]}]")]),
    ("GR101", [group("[{client_ip: {in: [10.0.0.0/8]}}]", "[{client_ip: {equals: 10.1.0.0/16}}]")], [group("[{client_ip: {in: [10.1.0.0/16]}}]", "[{client_ip: {equals: 10.0.0.0/8}}]")]),
    ("GR101", [group("[{header: u, segment: some}]", "[{header: u, segment: vips}]")], [group("[{header: u, segment: vips}]", "[{header: u, segment: some}]")]),
    ("GR101", [group("{paths: [/A], match: [{method: {exists: true}}]}", "{paths: [/A/x, /A/y], match: [{path: {suffix: .js}}]}")], [group("{paths: [/A/x], match: [{method: {exists: true}}]}", "{paths: [/A/x, /A/y], match: [{path: {suffix: .js}}]}")]),
    ("GR101", [group("{match_mode: any, match: [{param: a, equals: x}, {param: b, equals: y}]}", "[{param: b, equals: y}]")], [group("{match: [{param: a, equals: x}, {param: b, equals: y}]}", "[{param: b, equals: y}]")]),
    ("GR101", [group("[{not: {param: a, equals: x}}]", "[{param: a, equals: y}]")], [group("[{not: {param: a, equals: x}}]", "[{param: a, in: [x, y]}]")]),
    ("GR101", [group("[{path: {prefix: /}}]", "[{param: a, equals: x}]")], [group("[{path: {regex: .*}}]", "[{param: a, equals: x}]")]),
    ("GR101", [group("[{param: a, exists: true}]", "[{param: a, regex: .*}]")], [group("[{param: a, regex: .*}]", "[{param: a, exists: true}]")]),
    ("GR101", [group("[{param: a, regex: .*}]", "[{param: a, equals: x}]")], [group("[{param: a, regex: .*}]", "[{param: a, prefix: x}]")]),
    ("GR101", [group("[{param: a, regex: 'v.'}]", "[{param: a, regex: 'v.'}, {param: b, exists: true}]")], [group("[{param: a, regex: 'v.'}]", "[{param: a, regex: 'v1'}]")]),
    ("GR101", [group("{match_mode: any, match: [{param: a, equals: x}, {param: a, not_equals: x}]}", "[{param: a, prefix: y}]")], [group("{match_mode: any, match: [{param: a, equals: x}, {param: a, not_equals: z}]}", "[{param: a, equals: z}]")]),
    ("GR101", [group("{match_mode: any, match: [{param: a, exists: false}, {param: a, exists: true}]}", "[{header: h, equals: x}]")], [group("{match_mode: any, match: [{param: a, exists: false}, {param: a, equals: x}]}", "[{header: h, equals: x}]")]),
    ("GR101", [group("[{param: a, equals: X, ignore_case: true}]", "[{param: a, in: [x, X]}]")], [group("[{param: a, equals: x}]", "[{param: a, equals: x, ignore_case: true}]")]),
    ("GR101", [group("[{param: a, prefix: AB, ignore_case: true}]", "[{param: a, prefix: abc}]")], [group("[{param: a, prefix: ab}]", "[{param: a, prefix: abc, ignore_case: true}]")]),
    ("GR101", [group("[{not: {param: a, prefix: x}}]", "[{param: a, prefix: y}]")], [group("[{not: {param: a, prefix: xy}}]", "[{param: a, prefix: x}]")]),
    ("GR101", [group("[{param: a, contains: b}]", "[{param: a, suffix: abc}]")], [group("[{param: a, contains: b}]", "[{param: a, suffix: ac}]")]),
    ("GR101", [group("{match_mode: any, match: [{param: a, lt: 5}, {param: a, gte: 5}]}", "[{param: a, range: [1, 9]}]")], [group("{match_mode: any, match: [{param: a, lt: 5}, {param: a, gt: 5}]}", "[{param: a, range: [1, 9]}]")]),
    ("GR101", [group("[{client_ip: {not_in: [10.0.0.0/8]}}]", "[{client_ip: {equals: 11.0.0.1}}]")], [group("[{client_ip: {not_in: [10.0.0.0/8]}}]", "[{client_ip: {in: [11.0.0.1, 10.0.0.1]}}]")]),
    ("GR101", [group("[{cookie: u, percent: [0-50]}]", "[{cookie: u, exists: true}, {param: a, equals: x}, {cookie: u, percent: [60-70]}]", name="g"), group("{tag: z, match: [{cookie: u, percent: [0-100]}]}", "{tag: y, match: [{cookie: u, exists: true}]}", name="h")], [group("{tag: z, match: [{cookie: u, percent: [0-99.99]}]}", "{tag: y, match: [{cookie: u, exists: true}]}", name="h")]),
    ("GR101", [group("{paths: [/A], match: [{path: {exists: true}}]}", "[{path: {equals: /A/x}}]")], [group("{paths: [/A], match: [{path: {exists: true}}]}", "[{path: {prefix: /A}}]")]),
    ("GR101", [group("[{time: {days: [mon, tue, wed, thu, fri, sat, sun]}}]", "[{param: a, equals: x}]")], [group("[{time: {days: [thu, fri]}}]", "[{param: a, equals: x}]")]),
    ("GR101", [group("{expires: '2027-03-01', match: [{param: a, exists: true}]}", "{expires: '2027-02-01', match: [{param: a, equals: x}]}")], [group("{expires: '2027-02-01', match: [{param: a, exists: true}]}", "{expires: '2027-03-01', match: [{param: a, equals: x}]}")]),
    ("GR102", [group("[{param: a, equals: x}, {param: a, equals: y}]")], [group("[{param: a, equals: x}, {param: b, equals: y}]")]),
    ("GR102", [group("[{param: a, gt: 9007199254740992}, {param: a, lt: 9007199254740992.5}, {param: a, equals: '9007199254740993'}]")], [group("[{param: a, gt: 9007199254740992}, {param: a, lt: 9007199254740994}, {param: a, equals: '9007199254740993'}]")]),
    ("GR102", [group("[{param: a, gt: 5}, {param: a, lt: 5}]")], [group("[{param: a, gte: 5}, {param: a, lte: 5}]")]),
    ("GR102", [group("[{param: a, equals: x}, {param: a, absent: true}]")], [group("{match_mode: any, match: [{param: a, equals: x}, {param: a, absent: true}]}")]),
    ("GR102", [group("[{path: {prefix: /A}}, {path: {prefix: /B}}]")], [group("[{path: {prefix: /A}}, {path: {prefix: /A/b}}]")]),
    ("GR102", [group("{paths: [/A], match: [{path: {equals: /B}}]}")], [group("{paths: [/A], match: [{path: {equals: /A/x}}]}")]),
    ("GR102", [group("[{cookie: u, percent: 0}]")], [group("[{cookie: u, percent: 0.01}]")]),
    ("GR102", [group("[{time: {until: '2027-01-15T08:00:00Z'}}]")], [group("[{time: {until: '2027-01-15T08:00:01Z'}}]")]),
    ("GR102", [group("[{method: {equals: get}}, {method: {not_equals: GET}}]")], [group("[{method: {equals: get}}, {method: {not_equals: POST}}]")]),
    ("GR102", [group("[{param: a, equals: x, ignore_case: true}, {param: a, equals: Y, ignore_case: true}]")], [group("[{param: a, equals: x, ignore_case: true}, {param: a, equals: X, ignore_case: true}]")]),
    ("GR102", [group("[{client_ip: {equals: 10.0.0.1}}, {client_ip: {equals: 10.0.0.2}}]")], [group("[{client_ip: {equals: 10.0.0.1}}, {client_ip: {in: [10.0.0.0/24]}}]")]),
    ("GR102", [group("[{client_ip: {in: [10.0.0.0/8]}}, {client_ip: {not_in: [10.0.0.0/7]}}]")], [group("[{client_ip: {in: [10.0.0.0/7]}}, {client_ip: {not_in: [10.0.0.0/8]}}]")]),
    ("GR102", [group("[{jwt: sub, equals: x}, {jwt: /sub, equals: y}]")], [group("[{jwt: sub, equals: x}, {jwt: /sub/0, equals: y}]")]),
    ("GR102", [group("[{client_ip: {equals: 11.0.0.1}}, {client_ip: {segment: nets}}]")], [group("[{client_ip: {equals: 10.0.0.1}}, {client_ip: {segment: nets}}]")]),
    ("GR102", [group("[{param: a, segment: vips}, {param: a, not_in: [alice]}]")], [group("[{param: a, segment: some}, {param: a, not_in: [alice]}]")]),
    ("GR102", [group("[{param: a, segment: some}, {not: {param: a, segment: some}}]")], [group("[{param: a, segment: some}, {not: {param: a, segment: vips}}]")]),
    ("GR102", [group("[{param: a, prefix: ab}, {not: {param: a, prefix: a}}]")], [group("[{param: a, prefix: a}, {not: {param: a, prefix: ab}}]")]),
    ("GR102", [group("[{param: a, suffix: ab}, {not: {param: a, contains: b}}]")], [group("[{param: a, suffix: a}, {not: {param: a, contains: b}}]")]),
    ("GR102", [group("[{param: a, gt: 5}, {not: {param: a, gt: 3}}]")], [group("[{param: a, gt: 3}, {not: {param: a, gt: 5}}]")]),
    ("GR102", [group("[{param: a, gte: 5}, {param: a, prefix: v}]")], [group("[{param: a, gte: 5}, {param: a, prefix: '+'}]")]),
    ("GR102", [group("[{not: {param: a, not_equals: x}}, {param: a, equals: y}]")], [group("[{not: {param: a, not_equals: x}}, {param: a, equals: x}]")]),
    ("GR102", [group("[{param: a, not_equals: x}, {not: {param: a, not_equals: x}}]")], [group("[{param: a, not_equals: x}, {not: {param: a, not_equals: y}}]")]),
    ("GR102", [group("[{param: a, regex: v.}, {not: {param: a, regex: v.}}]")], [group("[{param: a, regex: v.}, {not: {param: a, regex: v1}}]")]),
    ("GR102", [group("[{cookie: u, percent: [0-10]}, {cookie: u, percent: [50-60]}]")], [group("[{cookie: u, percent: [0-10]}, {cookie: u, percent: [5-60]}]")]),
    ("GR102", [group("[{cookie: u, exists: true}, {not: {cookie: u, percent: [0-100]}}]")], [group("[{not: {cookie: u, percent: [0-100]}}]")]),
    ("GR102", [group("[{time: {days: [mon]}}, {time: {days: [tue]}}]")], [group("[{time: {days: [mon]}}, {time: {days: [tue], zone: Asia/Shanghai}}]")]),
    ("GR102", [group("[{time: {hours: 09:00-12:00}}, {time: {hours: 12:00-18:00}}]")], [group("[{time: {hours: 09:00-12:00}}, {time: {hours: 22:00-09:01}}]")]),
    ("GR102", [group("[{time: {until: '2027-02-01T00:00:00Z'}}, {time: {from: '2027-02-01T00:00:00Z'}}]")], [group("[{time: {until: '2027-02-01T00:00:01Z'}}, {time: {from: '2027-02-01T00:00:00Z'}}]")]),
    ("GR102", [group("[{not: {time: {from: '2027-01-01T00:00:00Z'}}}]")], [group("[{not: {time: {from: '2027-02-01T00:00:00Z'}}}]")]),
    ("GR102", [group("[{host: {equals: a.example}}, {host: {suffix: .org}}]")], [group("[{host: {equals: a.example}}, {host: {suffix: .example}}]")]),
    ("GR102", [group("{match_mode: any, match: [{all: [{param: a, equals: x}, {param: a, equals: y}]}, {path: {absent: true}}]}")], [group("{match_mode: any, match: [{all: [{param: a, equals: x}, {param: b, equals: y}]}, {path: {absent: true}}]}")]),
    ("GR102", [group("{paths: [/A], match: [{path: {prefix: /B}}]}")], [group("{paths: [/A], match: [{path: {prefix: /}}]}")]),
    ("GR102", [group("{paths: [/A/x], match: [{not: {path: {prefix: /A}}}]}")], [group("{paths: [/A], match: [{not: {path: {prefix: /A/}}}]}")]),
    ("GR103", [group("{match_mode: any, match: [{param: a, equals: x}, {cookie: u, percent: 0}]}")], [group("{match_mode: any, match: [{param: a, equals: x}, {cookie: u, percent: 1}]}")]),
    ("GR104", [group("[{path: {prefix: /}}]")], [group("{paths: [/A], match: [{path: {prefix: /}}]}")]),
    ("GR104", [group("{paths: [/A, /], match: [{method: {exists: true}}]}")], [group("{paths: [/A, /B], match: [{method: {exists: true}}]}")]),
    ("GR104", [group("[{not: {path: {exists: false}}}]")], [group("[{not: {host: {exists: false}}}]")]),
    ("GR104", [group("{match_mode: any, match: [{param: a, exists: true}, {param: a, absent: true}]}")], [group("{match_mode: any, match: [{param: a, exists: true}, {param: b, absent: true}]}")]),
    ("GR104", [group("{match_mode: any, match: [{param: a, equals: x}, {param: a, not_equals: x}, {param: a, absent: true}]}")], [group("{match_mode: any, match: [{param: a, equals: x}, {param: a, not_equals: x}]}")]),
    ("GR104", [group("{match_mode: any, match: [{param: a, equals: x}, {not: {param: a, equals: x}}]}")], [group("{match_mode: any, match: [{param: a, equals: x}, {not: {param: a, equals: y}}]}")]),
    ("GR104", [group("[{time: {hours: 00:00-24:00}}]")], [group("[{time: {hours: 00:00-23:59}}]")]),
    ("GR104", [group("[{any: [{param: a, equals: x}, {path: {suffix: ''}}]}]")], [group("[{any: [{param: a, equals: x}, {path: {regex: .*}}]}]")]),
    ("GR105", [group("[{param: a, regex: .*}]")], [group("[{param: a, regex: .+}]")]),
    ("GR106", [group("[{param: a, equals: a%20b}]")], [group("[{header: a, equals: a%20b}]")]),
    ("GR106", [group("[{baggage: a, in: [x, a%2cb]}]")], [group("[{baggage: a, in: [x, 100%]}]")]),
    ("GR201", [group("[{param: a, equals: x}]"), group("{tag: z, match: [{header: h, equals: y}]}", name="h")], [group("[{param: a, equals: x}]"), group("{tag: z, match: [{param: a, equals: y}]}", name="h")]),
    ("GR201", [group("[{header: h, regex: 'v[0-9]+'}]"), group("{tag: z, match: [{header: h, prefix: v}]}", name="h")], [group("[{header: h, regex: 'v[0-9]+'}]"), group("{tag: z, match: [{header: h, prefix: w}]}", name="h")]),
    ("GR202", [group("[{param: a, in: [x, y]}]", "[{param: a, in: [y, z]}]")], [group("[{param: a, equals: x}]", "[{param: a, equals: y}]")]),
    ("GR202", [group("[{param: a, equals: x}]", "[{header: h, equals: y}]")], [group("[{param: a, equals: x}]", "{tag: t0, match: [{header: h, equals: y}]}")]),
    ("GR202", [group("[{param: a, prefix: x}]", "[{param: a, suffix: y}]")], [group("[{param: a, prefix: x}]", "[{param: a, prefix: y}]")]),
    ("GR202", [group("[{param: a, equals: x}, {param: b, equals: x}]", "[{param: a, equals: x}, {param: c, equals: x}]")], [group("[{param: a, equals: x}, {param: b, equals: x}]", "[{param: a, equals: x}, {param: b, absent: true}]")]),
    ("GR202", [group("[{header: h, not_equals: x}]", "[{header: h, equals: y}, {param: a, exists: true}]", "[{header: h, exists: true}]")], [group("[{header: h, not_equals: x}]", "[{header: h, equals: x}]")]),
    ("GR202", [group("{match_mode: any, match: [{param: a, equals: x}, {param: b, equals: x}]}", "[{param: b, in: [x, y]}]")], [group("{match_mode: any, match: [{param: a, equals: x}, {param: b, equals: x}]}", "[{param: b, equals: y}, {param: a, absent: true}]")]),
    ("GR202", [group("[{cookie: u, percent: 50}]", "[{param: a, equals: x}]")], [group("[{cookie: u, percent: [0-50]}]", "[{cookie: u, percent: [50-100]}]")]),
    ("GR202", [group("[{client_ip: {in: [10.0.0.0/8]}}]", "[{path: {prefix: /A}}]")], [group("[{client_ip: {in: [10.0.0.0/8]}}]", "[{client_ip: {in: [11.0.0.0/8]}}]")]),
    ("GR301", [group("[{cookie: u, percent: 5}]", "[{cookie: u, percent: 5}]")], [group("[{cookie: u, percent: [0-5]}]", "[{cookie: u, percent: [50-55]}]")]),
    ("GR302", [group("[{cookie: u, percent: 5}]")], [group("[{cookie: u, percent: 5, issue: 30d}]")]),
    ("GR303", [group("[{cookie: u, not_equals: x}]")], [group("{match_mode: any, match: [{cookie: u, not_equals: x}, {cookie: u, absent: true}]}")]),
    ("GR303", [group("{match_mode: any, match: [{cookie: u, not_in: [x]}, {param: a, equals: x}]}")], [group("[{not: {cookie: u, not_equals: x}}]")]),
    ("GR302", [group("[{cookie: u, percent: 5}, {param: a, equals: x}]")], [group("[{not: {cookie: u, percent: 5}}]")]),
    ("GR401", [group("{tag: blue, match: [{param: a, equals: x}]}")], [group("[{param: a, equals: x}]")]),
    ("GR402", [group("[{param: a, equals: x}]", services=["b"])], [group("[{param: a, equals: x}]", services=["a"])]),
    ("GR403", [group("[{body: /a, equals: x}]")], [group("[{param: a, equals: x}]")]),
    ("GR404", [group("{paths: [/B], match: [{param: a, equals: x}]}")], [group("{paths: [/A/x], match: [{param: a, equals: x}]}")]),
    ("GR501", [group("[{header: X-Gray-Tag, equals: x}]")], [group("[{header: X-Gray, equals: x}]")]),
    ("GR502", [group("{tag: gray-1, match: [{param: a, equals: x}]}", "{tag: Gray_1, match: [{param: a, equals: y}]}")], [group("{tag: gray-1, match: [{param: a, equals: x}]}", "{tag: gray-2, match: [{param: a, equals: y}]}")]),
    ("GR503", [group("{tag: t, strict: true, match: [{param: a, equals: x}]}", "{tag: t, match: [{param: a, equals: y}]}")], [group("{tag: t, strict: true, match: [{param: a, equals: x}]}", "{tag: s, match: [{param: a, equals: y}]}")]),
    ("GR504", [group("[{param: a, equals: x}]", services=["a"]), group("[{param: a, equals: y}]", name="h")], [group("[{param: a, equals: x}]"), group("[{param: a, equals: y}]", name="h")]),
    ("GR601", [group("{expires: '2027-01-15T08:00:00Z', match: [{param: a, equals: x}]}")], [group("{expires: '2027-03-15', match: [{param: a, equals: x}]}")]),
    ("GR602", [group("{expires: '2027-01-16', owner: bob, match: [{param: a, equals: x}]}")], [group("{expires: '2027-01-30', match: [{param: a, equals: x}]}")]),
    ("GR701", [group("[{param: a, equals: x}]")], [group("[{param: a, segment: vips}, {param: b, segment: some}, {client_ip: {segment: nets}}]")]),
]  # fmt: skip


@pytest.mark.parametrize(("code", "bad", "good"), EARNED, ids=[f"{code}-{n}" for n, (code, _, _) in enumerate(EARNED)])
def test_a_code_is_earned(code: str, bad: list[dict[str, Any]], good: list[dict[str, Any]]) -> None:
    known = WORLD if code.startswith("GR4") else None
    assert code in [item.code for item in found(bad, known, SEGMENTS)]
    assert code not in [item.code for item in found(good, known, SEGMENTS)]


def test_an_empty_segment_is_found() -> None:
    rules = [group("[{param: a, segment: vips}]")]
    assert [item.code for item in found(rules, None, {"vips": frozenset()})] == ["GR702"]
    assert found(rules, None, {"vips": frozenset({"x"})}) == []


def test_every_code_has_a_test_and_a_line_in_the_document() -> None:
    assert {code for code, _, _ in EARNED} | {"GR702"} == set(CODES)
    text = (Path(__file__).parents[3] / "docs" / "lint.md").read_text()
    rows = re.findall(r"^\| `(GR\d+)` \| (\w+) \| ([^|]+) \|", text, re.MULTILINE)
    assert [(code, (severity, meaning.strip())) for code, severity, meaning in rows] == list(CODES.items())


@examples(30)
@given(rule_sets(), st.lists(requests(SEAL), min_size=1, max_size=10))
def test_what_it_says_is_so(rules: RuleSet, several: list[MatchContext]) -> None:
    """A lane that never wins or never holds wins none of any requests; one that takes everything leaves none over."""
    findings = lint(rules, AROUND, Knowledge())
    losers = {(item.group, item.lane) for item in findings if item.code in ("GR101", "GR102")}
    compiled = compile_rules(grown(rules), AROUND)
    for request in several:
        winner = compiled.match(request)
        assert winner is None or (winner.group, winner.name) not in losers
        if any(item.code == "GR104" for item in findings):
            assert winner is not None


def test_a_lane_with_a_schedule_is_looked_at_as_it_will_be() -> None:
    grows = "{match: [{cookie: a, percent: 100}], schedule: {start: '2099-01-01T00:00:00Z', steps: ['1'], over: 1h}, tag: x}"
    assert [item.code for item in found([group(grows, "[{cookie: a, equals: x}]")])] == ["GR105", "GR302", "GR101"]


def test_a_thousand_lanes_are_looked_at() -> None:
    lanes = [f"[{{param: group, equals: g{number}}}, {{header: x-user, prefix: u}}]" for number in range(1000)]
    lanes.append("[{param: group, equals: g7}, {header: x-user, equals: u7}]")
    [finding] = found([group(*lanes)])
    assert (finding.code, finding.lane) == ("GR101", "l1000")
    assert finding.witness is not None
    assert finding.witness["url"] == "http://shop.example/?group=g7"


def test_the_command_names_places_and_exits_by_severity(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "lane_groups:\n"
        "  - name: g\n"
        "    lanes:\n"
        "      - {name: wide, tag: t, match: [{path: {prefix: /A}}]}\n"
        "      - {name: narrow, tag: u, match: [{path: {prefix: /A/b}}]}\n"
    )
    result = CliRunner().invoke(main, ["rules", "lint", str(tmp_path)])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{tmp_path}/r.yaml:5:39: warning GR101: lane g/narrow: never wins: g/wide comes earlier and matches every request that it would match",
        "    hint: put it before that lane, or add a condition to that one",
        "    example: GET http://shop.example/A/b",
    ]
    assert result.stderr == "1 warning\n"
    assert CliRunner().invoke(main, ["rules", "lint", str(tmp_path), "--ignore", "GR101"]).exit_code == 0
    assert CliRunner().invoke(main, ["rules", "lint", str(tmp_path), "--ignore", "GR999"]).exit_code == 2


def test_the_projects_own_rules_are_clean() -> None:
    root = Path(__file__).parents[3]
    result = CliRunner().invoke(main, ["rules", "lint", "--config", str(root / "config" / "gateway.yaml")])
    assert result.exit_code == 0, result.output
    assert {"GR402"} == set(re.findall(r"GR\d+", result.stdout))  # B and C stand behind A


def test_the_path_of_a_witness_is_one() -> None:
    groups = [group("[{path: {regex: .*}}]"), group("{tag: other, match: [{param: a, equals: x}]}", name="h")]
    [shared] = [item for item in found(groups) if item.code == "GR201"]
    assert shared.witness is not None
    assert shared.witness["url"].startswith("http://shop.example/")
