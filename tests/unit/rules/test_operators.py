"""What each operator means of a value that is there, absent, empty, repeated, encoded or undecodable.

Both readings of the rules are asked: the compiled index that routes and the naive interpreter that explains.
"""

from __future__ import annotations

import hashlib
import itertools
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from gateway.rules.buckets import bucket_of
from gateway.rules.compile import compile_rules
from gateway.rules.context import MatchContext
from gateway.rules.explain import explain
from gateway.rules.expressions import compile_pattern
from gateway.rules.model import LaneGroup
from tests.support.asked import asked
from tests.support.rules import around, compiled, rule_set


def group(*conditions: dict[str, Any], mode: str = "all", name: str = "g", **lane: Any) -> LaneGroup:
    return LaneGroup.model_validate(
        {"name": name, "lanes": [{"name": "l", "tag": "gray", "match": list(conditions), "match_mode": mode, **lane}]}
    )


def takes(groups: list[LaneGroup], request: MatchContext) -> bool:
    """Whether a lane takes the request; both readings must agree."""
    winner = compiled(groups).match(request)
    explained = [evidence for evidence in explain(rule_set(groups), request, around()) if evidence.winner]
    assert (winner is not None) == bool(explained)
    if winner is not None:
        assert (winner.group, winner.name) == (explained[0].group, explained[0].lane)
    return winner is not None


def holds(
    condition: dict[str, Any], url: str = "/", *headers: tuple[str, str], method: str = "GET", ip: str = "10.1.2.3"
) -> bool:
    return takes([group(condition)], asked(method, url, headers, ip))


@pytest.mark.parametrize(
    ("operator", "present", "other", "empty", "absent"),
    [
        pytest.param({"equals": "gray"}, True, False, False, False, id="equals"),
        pytest.param({"not_equals": "gray"}, False, True, True, False, id="not_equals"),
        pytest.param({"in": ["gray", "x"]}, True, False, False, False, id="in"),
        pytest.param({"not_in": ["gray", "x"]}, False, True, True, False, id="not_in"),
        pytest.param({"prefix": "gr"}, True, False, False, False, id="prefix"),
        pytest.param({"prefix": ""}, True, True, True, False, id="empty prefix"),
        pytest.param({"regex": "gra[xy]"}, True, False, False, False, id="regex"),
        pytest.param({"regex": "ra"}, False, False, False, False, id="regex is anchored"),
        pytest.param({"regex": ".*"}, True, True, True, False, id="regex anything"),
        pytest.param({"suffix": "ay"}, True, False, False, False, id="suffix"),
        pytest.param({"suffix": ""}, True, True, True, False, id="empty suffix"),
        pytest.param({"contains": "ra"}, True, False, False, False, id="contains"),
        pytest.param({"contains": ""}, True, True, True, False, id="contains nothing"),
        pytest.param({"equals": "GRAY"}, False, False, False, False, id="case counts"),
        pytest.param({"equals": "GRAY", "ignore_case": True}, True, False, False, False, id="equals, any case"),
        pytest.param({"regex": "GRA.", "ignore_case": True}, True, False, False, False, id="regex, any case"),
        pytest.param({"not_in": ["GRAY"], "ignore_case": True}, False, True, True, False, id="not_in, any case"),
        pytest.param({"absent": True}, False, False, False, True, id="absent"),
        pytest.param({"absent": False}, True, True, True, False, id="not absent"),
        pytest.param({"gt": -1}, False, False, False, False, id="gt of text"),
        pytest.param({"lte": 9}, False, False, False, False, id="lte of text"),
        pytest.param({"percent": ["0-100"]}, True, True, True, False, id="percent, the whole span"),
        pytest.param({"percent": ["5-5"]}, False, False, False, False, id="percent, an empty span"),
        pytest.param({"exists": True}, True, True, True, False, id="exists"),
        pytest.param({"exists": False}, False, False, False, True, id="is absent"),
        pytest.param({"range": [0, 9]}, False, False, False, False, id="range of text"),
        pytest.param({"percent": 100}, True, True, True, False, id="percent 100"),
        pytest.param({"percent": 0}, False, False, False, False, id="percent 0"),
        pytest.param({"equals": ""}, False, False, True, False, id="equals nothing"),
    ],
)
def test_operator(operator: dict[str, Any], present: bool, other: bool, empty: bool, absent: bool) -> None:
    for source in ("param", "header", "cookie"):
        condition = {source: "group", **operator}

        def ask(value: str | None, source: str = source, condition: dict[str, Any] = condition) -> bool:
            if value is None:
                return holds(condition)
            if source == "param":
                return holds(condition, f"/?group={value}")
            if source == "header":
                return holds(condition, "/", ("Group", value))
            return holds(condition, "/", ("Cookie", f"group={value}"))

        assert [ask("gray"), ask("blue"), ask(""), ask(None)] == [present, other, empty, absent]


@pytest.mark.parametrize(
    ("value", "inside"),
    [("1", True), ("10", True), ("5.5", True), ("+5", True), ("0", False), ("10.01", False), ("-5", False)]
    + [(text, False) for text in ("", "five", "0" * 31 + "5", "1e0", "NaN", "Infinity", "0x5", "5 ", "1_0", "٥")],
)
def test_range(value: str, inside: bool) -> None:
    assert holds({"param": "n", "range": [1, 10]}, f"/?n={quote(value)}") is inside


def test_the_first_of_a_repeated_key_counts() -> None:
    assert holds({"param": "a", "equals": "1"}, "/?a=1&a=2")
    assert not holds({"param": "a", "equals": "2"}, "/?a=1&a=2")
    assert holds({"header": "x", "equals": "1"}, "/", ("X", "1"), ("x", "2"))
    assert holds({"cookie": "c", "equals": "1"}, "/", ("Cookie", "c=1; c=2"))


def test_encoded_values_are_decoded_once_undecodable_ones_match_nothing_written() -> None:
    assert holds({"param": "a", "equals": "gräy x"}, "/?a=gr%C3%A4y+x")
    assert holds({"param": "a", "equals": "%41"}, "/?a=%2541")
    assert not holds({"param": "a", "equals": "A"}, "/?a=%2541")
    assert not holds({"param": "a", "equals": "ä"}, "/?a=%e4")
    assert holds({"param": "a", "exists": True}, "/?a=%e4")


def test_a_very_long_value_never_matches_a_pattern() -> None:
    assert holds({"param": "a", "regex": "a+"}, "/?a=" + "a" * 1024)
    assert not holds({"param": "a", "regex": "a+"}, "/?a=" + "a" * 1025)


@pytest.mark.parametrize("open_ended", ["\\Qab", "\\Qab\\", "(?i)ab", "ab|", "^ab$", "ab|cd", "\\\\Qab"])
def test_of_many_patterns_on_one_field_each_stands_alone(open_ended: str) -> None:
    """From nine on they are asked together first: `\\Qab` and `\\Qcd\\E` once took each other for text."""
    patterns = [*(f"v{number}" for number in range(7)), open_ended, "\\Qcd\\E", "(?P<n>x)", "(?P<n>y)"]
    lanes = [
        {"name": f"l{number}", "tag": "t", "match": [{"param": "a", "regex": pattern}]}
        for number, pattern in enumerate(patterns)
    ]
    rules = compiled([LaneGroup.model_validate({"name": "g", "lanes": lanes})])
    for value in ("v3", "ab", "AB", "cd", "ab\\", "\\Qab", "", "x", "y", "z"):
        single = [number for number, pattern in enumerate(patterns) if compile_pattern(pattern).fullmatch(value)]
        winner = rules.match(asked("GET", f"/?a={quote(value)}"))
        assert (winner.name if winner else None) == (f"l{single[0]}" if single else None), value


def test_things_without_a_name() -> None:
    assert holds({"path": {"prefix": "/A/"}}, "/A/x?y")
    assert not holds({"path": {"equals": "/a"}}, "/A")
    assert holds({"method": {"equals": "post"}}, "/", method="POST")
    assert holds({"host": {"in": ["Shop.Example"]}}, "http://SHOP.example:80/")
    assert holds({"host": {"prefix": "SHOP."}}, "http://shop.example/")


@pytest.mark.parametrize(
    ("test", "held"),
    [
        ({"equals": "10.1.2.3"}, True),
        ({"equals": "10.0.0.0/8"}, True),
        ({"in": ["192.168.0.0/16", "10.1.0.0/16"]}, True),
        ({"in": ["192.168.0.0/16"]}, False),
        ({"not_in": ["10.0.0.0/8"]}, False),
        ({"not_equals": "10.1.2.4"}, True),
        ({"in": ["::1", "fd00::/8"]}, False),
    ],
)
def test_client_ip(test: dict[str, Any], held: bool) -> None:
    assert holds({"client_ip": test}) is held


def test_all_and_any() -> None:
    a: dict[str, Any] = {"param": "a", "equals": "1"}
    b: dict[str, Any] = {"param": "b", "equals": "1"}
    for url, every, some in (("/?a=1&b=1", True, True), ("/?a=1", False, True), ("/", False, False)):
        assert takes([group(a, b)], asked("GET", url)) is every
        assert takes([group(a, b, mode="any")], asked("GET", url)) is some


def test_several_conditions_on_one_key() -> None:
    twice: list[dict[str, Any]] = [{"param": "a", "in": ["1", "2"]}, {"param": "a", "not_equals": "2"}]
    assert takes([group(*twice)], asked("GET", "/?a=1"))
    assert not takes([group(*twice)], asked("GET", "/?a=2"))
    never: list[dict[str, Any]] = [{"param": "a", "exists": False}, {"param": "a", "equals": "1"}]
    assert not takes([group(*never)], asked("GET", "/?a=1"))
    assert not takes([group(*never)], asked("GET", "/"))


def test_percent_is_sticky_and_a_larger_share_keeps_who_was_in() -> None:
    users = [f"user-{number}" for number in range(2000)]

    def taken(percent: float) -> set[str]:
        rules = compiled([group({"param": "uid", "percent": percent})])
        return {user for user in users if rules.match(asked("GET", f"/?uid={user}")) is not None}

    shares = [taken(percent) for percent in (0, 0.5, 5, 20, 50, 100)]
    assert shares[0] == set()
    assert shares[-1] == set(users)
    for smaller, larger in itertools.pairwise(shares):
        assert smaller <= larger
    assert 0.16 < len(shares[3]) / len(users) < 0.24
    assert taken(20) == shares[3]


def test_percent_has_two_decimals_and_is_the_same_everywhere() -> None:
    """The bucket is part of the contract: another implementation must put users into the same lane."""
    assert bucket_of("g", "user-1") == int(hashlib.sha256(b"g\0user-1").hexdigest()[:16], 16) % 10_000
    user = next(name for name in (f"u{n}" for n in range(100_000)) if bucket_of("g", name) == 0)
    assert holds({"param": "uid", "percent": 0.01}, f"/?uid={user}")


def test_order_decides_and_closed_lanes_match_nothing() -> None:
    first = group({"param": "a", "exists": True}, name="one", enabled=False)
    second = group({"param": "a", "exists": True}, name="two")
    third = group({"param": "a", "exists": True}, name="three")
    request = asked("GET", "/?a")
    assert takes([first, second, third], request)
    winner = compiled([first, second, third]).match(request)
    assert winner is not None
    assert winner.group == "two"
    assert not takes([second.model_copy(update={"enabled": False})], request)
    later = [
        evidence
        for evidence in explain(rule_set([first, second, third]), request, around())
        if evidence.group == "three"
    ]
    assert (later[0].matched, later[0].winner) == (True, False)


def test_a_tag_is_limited_to_its_groups_services() -> None:
    limited = LaneGroup.model_validate(
        {
            "name": "g",
            "services": ["a"],
            "lanes": [{"name": "l", "tag": "gray", "match": [{"param": "a", "equals": "1"}]}],
        }
    )
    rules = compiled([limited])
    assert rules.terms.holds("gray", "a")
    assert not rules.terms.holds("gray", "b")
    assert rules.terms.holds("blue", "b")
    assert compiled([limited, group({"param": "x", "equals": "1"})]).terms.holds("gray", "b")


@pytest.mark.parametrize(
    ("test", "taken"),
    [
        ({"gt": 10}, ["10.01", "1000", "+11"]),
        ({"gte": 10}, ["10", "10.0", "10.01", "1000", "+11"]),
        ({"lt": 10}, ["9.99", "-1", "0"]),
        ({"lte": 10}, ["10", "10.0", "9.99", "-1", "0"]),
        ({"range": [10, 10]}, ["10", "10.0"]),
    ],
)
def test_comparisons_are_of_numbers(test: dict[str, Any], taken: list[str]) -> None:
    values = ["10", "10.0", "10.01", "9.99", "-1", "0", "1000", "+11", "", "x", "1e3", "NaN", "0x5", "5 5", "٥"]
    found = [value for value in values if holds({"header": "n", **test}, "/", ("n", value))]
    assert sorted(found) == sorted(taken)


def test_not_turns_the_whole_answer_around() -> None:
    """Other than not_equals, it holds of what is absent."""
    inner = {"param": "a", "equals": "x"}
    assert [holds({"not": inner}, url) for url in ("/?a=x", "/?a=y", "/?a=", "/")] == [False, True, True, True]
    twice = {"not": {"not": inner}}
    assert [holds(twice, url) for url in ("/?a=x", "/?a=y", "/")] == [True, False, False]
    neither = {"not": {"any": [inner, {"param": "b", "exists": True}]}}
    assert [holds(neither, url) for url in ("/?a=x", "/?b", "/?a=y", "/")] == [False, False, True, True]
    not_both = {"not": {"all": [inner, {"param": "b", "exists": True}]}}
    assert [holds(not_both, url) for url in ("/?a=x&b", "/?a=x", "/?b", "/")] == [False, True, True, True]
    # The opposite of an opposite asks for the value only where there is one.
    assert [holds({"not": {"param": "a", "not_equals": "x"}}, url) for url in ("/?a=x", "/?a=y", "/")] == [
        True,
        False,
        True,
    ]


def test_paths_of_a_lane_end_at_whole_segments() -> None:
    lane = group({"path": {"prefix": "/"}}, paths=["/A", "/b/c/"])
    for path, taken in (
        ("/A", True),
        ("/A/", True),
        ("/A/x", True),
        ("/AB", False),
        ("/b/c", True),
        ("/b/cd", False),
        ("/", False),
    ):
        assert takes([lane], asked("GET", path)) is taken, path
    assert takes([group({"path": {"prefix": "/"}}, paths=["/"])], asked("GET", "/x"))


def test_a_value_of_a_megabyte_is_compared_whole() -> None:
    long = "x" * 1_000_000
    for test, held in (
        ({"prefix": "xx"}, True),
        ({"suffix": "xy"}, False),
        ({"contains": "xxx"}, True),
        ({"equals": long}, True),
    ):
        assert holds({"header": "h", **test}, "/", ("h", long)) is held


def test_baggage_is_decoded_and_has_no_properties() -> None:
    header = ("Baggage", "a=1, tenant=acme%20ltd;ttl=3 ,b=2")
    assert holds({"baggage": "tenant", "equals": "acme ltd"}, "/", header)
    assert not holds({"baggage": "Tenant", "exists": True}, "/", header)


def test_what_is_escaped_in_baggage_is_text_and_an_empty_member_is_there() -> None:
    header = ("Baggage", "t=a%3Bb, e=, p=;x=1, q")
    assert holds({"baggage": "t", "equals": "a;b"}, "/", header)
    assert not holds({"baggage": "t", "equals": "a"}, "/", header)
    for name in ("e", "p"):
        assert holds({"baggage": name, "equals": ""}, "/", header)
        assert holds({"baggage": name, "exists": True}, "/", header)
    assert holds({"baggage": "q", "absent": True}, "/", header)


@pytest.mark.parametrize(
    ("content", "pointer", "text"),
    [
        ({"a": {"b": ["x", {"c": "y"}]}}, "/a/b/1/c", "y"),
        ({"a": ["x", "y", True]}, "/a", "x,y,true"),
        ({"a": {"b": 1}}, "/a", ""),
        ({"a": [["x"]]}, "/a", ""),
        ({"a": None}, "/a", None),
        ({"a": False}, "/a", "false"),
        ({"a/b": {"m~n": "x"}}, "/a~1b/m~0n", "x"),
        ({"a": ["x"]}, "/a/00", None),
        ({"a": ["x"]}, "/a/1", None),
        ({"a": ["x"]}, "/a/-", None),
        ({"a": "x"}, "/a/b", None),
        ({"": "x"}, "/", "x"),
    ],
)
def test_what_a_pointer_finds(content: Any, pointer: str, text: str | None) -> None:
    request = asked("POST", "/", content=content)
    assert takes([group({"body": pointer, "exists": True})], request) is (text is not None)
    if text is not None:
        assert takes([group({"body": pointer, "equals": text})], request)


@pytest.mark.parametrize(
    ("window", "now", "held"),
    [
        ({"from": "2027-01-15T08:00:00Z"}, "2027-01-15T08:00:00Z", True),
        ({"from": "2027-01-15T08:00:00Z"}, "2027-01-15T07:59:59Z", False),
        ({"until": "2027-01-15T08:00:00Z"}, "2027-01-15T08:00:00Z", False),
        ({"hours": "09:00-18:00"}, "2027-01-15T18:00:00Z", False),
        ({"hours": "09:00-18:00"}, "2027-01-15T09:00:00Z", True),
        ({"hours": "22:00-06:00"}, "2027-01-15T05:59:59Z", True),
        ({"hours": "22:00-06:00"}, "2027-01-15T06:00:00Z", False),
        ({"hours": "00:00-24:00"}, "2027-01-15T23:59:59Z", True),
        ({"days": ["fri"]}, "2027-01-15T16:00:00Z", True),
        ({"days": ["fri"], "zone": "Asia/Shanghai"}, "2027-01-15T16:00:00Z", False),
        # The night in which the clocks of New York go back: half past one comes twice, and both times count.
        ({"hours": "01:00-02:00", "zone": "America/New_York"}, "2026-11-01T05:30:00Z", True),
        ({"hours": "01:00-02:00", "zone": "America/New_York"}, "2026-11-01T06:30:00Z", True),
    ],
)
def test_times(window: dict[str, Any], now: str, held: bool) -> None:
    moment = datetime.fromisoformat(now).timestamp()
    there = around(clock=lambda: moment)
    rules = rule_set([group({"time": window})])
    request = asked("GET", "/")
    assert (compile_rules(rules, there).match(request) is not None) is held
    assert explain(rules, request, there)[0].winner is held
