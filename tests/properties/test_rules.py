"""The compiled index agrees with the naive interpreter, whatever the rules and the request."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from urllib.parse import quote

from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.errors import ProtocolError
from gateway.http.content import read_json
from gateway.http.head_reader import HeadReader
from gateway.rules.compile import compile_rules
from gateway.rules.conditions import Condition
from gateway.rules.context import MatchContext
from gateway.rules.environment import Place
from gateway.rules.explain import explain
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet
from gateway.rules.signer import CookieSigner
from tests.support.asked import asked
from tests.support.examples import examples
from tests.support.rules import NOW, around

# Few keys and few values, so that conditions meet the requests and each other often.
KEYS = st.sampled_from(["a", "b"])
VALUES = st.sampled_from(["", "1", "2", "15", "x", "xy", "XY", "é"])
PATHS = st.sampled_from(["/", "/x", "/xy/1", "/y"])
HOSTS = st.sampled_from(["shop.example", "Shop.Example", "localhost"])
NUMBERS = st.sampled_from([0, 1, 1.5, 2, 15, 20])
SEGMENTS = {
    "some": frozenset({"1", "x", "GET", "/x"}),
    "others": frozenset({"2", "XY", "é"}),
    "nets": frozenset({"10.0.0.0/8", "::1"}),
}


def operators_on(values: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Every operator, comparing with some of these values."""
    lists = st.lists(values, min_size=1, max_size=3)
    tests = st.one_of(
        values.map(lambda value: {"equals": value}),
        values.map(lambda value: {"not_equals": value}),
        lists.map(lambda several: {"in": several}),
        lists.map(lambda several: {"not_in": several}),
        values.map(lambda value: {"prefix": value}),
        st.sampled_from(["", "x", "1", "y"]).map(lambda text: {"suffix": text}),
        st.sampled_from(["", "x", "y", "/"]).map(lambda text: {"contains": text}),
        st.sampled_from(["x.*", "[0-9]+", "", ".", "/x.*", "[a-z.]+"]).map(lambda pattern: {"regex": pattern}),
        st.booleans().map(lambda exists: {"exists": exists}),
        st.booleans().map(lambda absent: {"absent": absent}),
        st.tuples(st.integers(0, 10), st.integers(10, 20)).map(lambda bounds: {"range": list(bounds)}),
        st.builds(lambda operator, number: {operator: number}, st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS),
        st.sampled_from([0, 4, 12.34, 50, ["0-30"], ["20-60", "70-100"]]).map(lambda percent: {"percent": percent}),
        st.sampled_from(["some", "others"]).map(lambda name: {"segment": name}),
    )
    return st.builds(lambda test, folds: {**test, **({"ignore_case": True} if folds else {})}, tests, st.booleans())


ADDRESSES = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "192.0.2.0/24", "::1"]), min_size=1)
WINDOWS = st.sampled_from(
    [
        {"from": "2027-01-01T00:00:00Z"},
        {"until": "2027-01-15T08:00:00Z"},
        {"days": ["fri", "sat"], "zone": "Asia/Shanghai"},
        {"hours": "16:00-17:00", "zone": "Asia/Shanghai"},
        {"hours": "22:00-08:00", "days": ["fri"]},
    ]
)
LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(
        lambda source, key, test: {source: key, **test},
        st.sampled_from(["param", "header", "cookie", "baggage"]),
        KEYS,
        operators_on(VALUES),
    ),
    st.builds(lambda key, test: {"body": f"/{key}", **test}, KEYS, operators_on(VALUES)),
    st.builds(lambda key, test: {"jwt": key, **test}, KEYS, operators_on(VALUES)),
    st.builds(
        lambda source, key, test: {source: key, **test},
        st.sampled_from(["body", "jwt"]),
        st.sampled_from(["/a/0", "/a/b", "/", "/0/a", "/a/99999999999999999999"]),
        operators_on(VALUES),
    ),
    st.builds(lambda test: {"header": "cookie", **test}, operators_on(VALUES)),
    st.builds(lambda source, test: {source: "é", **test}, st.sampled_from(["param", "cookie"]), operators_on(VALUES)),
    operators_on(st.sampled_from(["s", "t"])).map(lambda test: {"caller": test}),
    operators_on(PATHS).map(lambda test: {"path": test}),
    operators_on(HOSTS).map(lambda test: {"host": test}),
    operators_on(st.sampled_from(["GET", "get", "POST"])).map(lambda test: {"method": test}),
    operators_on(st.sampled_from(["s", "t"])).map(lambda test: {"service": test}),
    st.builds(lambda operator, texts: {"client_ip": {operator: texts}}, st.sampled_from(["in", "not_in"]), ADDRESSES),
    st.just({"client_ip": {"segment": "nets"}}),
    WINDOWS.map(lambda window: {"time": window}),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda members: {"all": members}),
        st.lists(inner, min_size=1, max_size=3).map(lambda members: {"any": members}),
        inner.map(lambda member: {"not": member}),
    ),
    max_leaves=5,
)
LANES = st.lists(
    st.fixed_dictionaries(
        {
            "tag": st.sampled_from(["gray", "blue"]),
            "enabled": st.sampled_from([True, True, False]),
            "match_mode": st.sampled_from(["all", "any"]),
            "match": st.lists(CONDITIONS, min_size=1, max_size=4),
        },
        optional={
            "paths": st.lists(PATHS, min_size=1, max_size=2),
            "expires": st.sampled_from(["2027-01-15T07:59:59Z", "2027-01-16"]),
            "sticky": st.just("1d"),
            "schedule": st.sampled_from(
                [
                    {"start": f"2027-01-{day}T07:30:00Z", "steps": [1, 3], "over": "2h", **hold}
                    for day in (14, 15, 16)
                    for hold in ({}, {"hold": 2})
                ]
            ),
        },
    ),
    max_size=6,
)


@st.composite
def rule_sets(draw: st.DrawFn) -> RuleSet:
    groups: list[LaneGroup] = []
    for number, lanes in enumerate(draw(st.lists(LANES, min_size=1, max_size=3))):
        kept: list[dict[str, Any]] = []
        for index, lane in enumerate(lanes):
            # A lane that the model refuses (shares overlap, alternatives multiply, nothing to be sticky to) is left out.
            candidate = [*kept, {"name": f"l{index}", **lane}]
            try:
                LaneGroup.model_validate({"name": f"g{number}", "lanes": candidate})
            except ValidationError:
                continue
            kept = candidate
        extra = {
            "order": draw(st.sampled_from([0, 0, -1])),
            "entry": draw(st.sampled_from([["*"], ["gateway"], ["x"]])),
        }
        groups.append(LaneGroup.model_validate({"name": f"g{number}", "lanes": kept, **extra}))
    return RuleSet.of(groups, SEGMENTS)


PAIRS = st.lists(st.tuples(KEYS, VALUES), max_size=3)


@st.composite
def requests(draw: st.DrawFn, signer: CookieSigner) -> MatchContext:
    query = "&".join(f"{key}={value}" for key, value in draw(PAIRS)).replace("é", "%C3%A9")
    cookies = [f"{key}={value}" for key, value in draw(PAIRS)]
    if draw(st.booleans()):
        cookies.append(f"{signer.name}={signer.value(f'g0/l{draw(st.integers(0, 3))}', 60)}")
    headers = [*draw(PAIRS), ("Cookie", "; ".join(cookies))] if cookies else draw(PAIRS)
    baggage = [f"{key}={value}" for key, value in draw(PAIRS) if value.isascii() and value]
    if baggage:
        headers = [*headers, ("Baggage", ",".join(baggage))]
    request = asked(
        draw(st.sampled_from(["GET", "POST"])),
        f"http://{draw(HOSTS)}{draw(PATHS)}?{query}",
        headers,
        draw(st.sampled_from(["10.0.0.1", "192.0.2.7", "::1"])),
        content=dict(draw(PAIRS)),
    )
    request.service = draw(st.sampled_from(["s", "", "t"]))
    return request


SEAL = CookieSigner("lane", "0123456789abcdef", lambda: NOW)
AROUND = around(
    signer=SEAL,
    claims=lambda request: request.content if isinstance(request.content, dict) else {},
    place=Place("gateway"),
)


@examples(120)
@given(rule_sets(), st.lists(requests(SEAL), min_size=1, max_size=8))
def test_the_index_agrees_with_the_interpreter(rules: RuleSet, several: list[MatchContext]) -> None:
    compiled = compile_rules(rules, AROUND)
    for request in several:
        winner = compiled.match(request)
        expected = next(((item.group, item.lane) for item in explain(rules, request, AROUND) if item.winner), None)
        assert (None if winner is None else (winner.group, winner.name)) == expected


def octets(low: int, high: int, also: bytes = b"") -> st.SearchStrategy[bytes]:
    """Bytes of a range, those of rules' values and keys often among them."""
    some = st.sampled_from(
        [b"a", b"b", b"1", b"x", b"xy", b"15", b"=", b";", b",", b"%41", b"%ff", b"%", b'"', b"\xc3\xa9"]
    )
    one = st.one_of(st.integers(low, high), st.sampled_from(list(also or bytes([low])))).map(lambda byte: bytes([byte]))
    return st.lists(st.one_of(some, one), max_size=8).map(b"".join)


FIELD_VALUES = octets(0x20, 0x7E, bytes([9, *range(0x80, 0x100)]))  # RFC 9110 §5.5
TEXTS_OF_JSON = st.one_of(
    st.sampled_from(["\ud800", "x\udfff", "\ud83d\ude00", "1" * 40, "1e400", "x" * 1025]), st.text(max_size=4), VALUES
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS_OF_JSON),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(KEYS, st.sampled_from(["0", "", "\ud800"])), inner, max_size=3),
    ),
    max_leaves=8,
)


@st.composite
def hostile_requests(draw: st.DrawFn) -> MatchContext:
    """Whatever the listener lets in: any bytes that it takes in a target and in fields, any JSON, any address."""
    target = b"/" + draw(octets(0x21, 0x7E)).replace(b"?", b"") + b"?" + draw(octets(0x21, 0x7E))
    lines = [
        b"GET " + target.replace(b"\xc3\xa9", b"") + b" HTTP/1.1",
        b"Host: " + draw(st.sampled_from([b"shop.example", b"[::1]:80", b"h:", b"1.5", b"~"])),
    ]
    for name in draw(st.lists(st.sampled_from([b"a", b"B", b"cookie", b"baggage", b"Cookie"]), max_size=5)):
        pieces = [draw(st.sampled_from([b"a=", b"b=", b"", b"lane="])) + draw(FIELD_VALUES) for _ in range(2)]
        lines.append(name + b":" + draw(st.sampled_from([b"; ", b",", b";", b""])).join(pieces))
    try:
        request = MatchContext(READER.read(b"\r\n".join([*lines, b"", b""])), draw(ADDRESSES_OF_PEERS))
    except ProtocolError:
        assume(False)
        raise
    with contextlib.suppress(ValueError):
        request.content = read_json(json.dumps(draw(JSON)).encode())
    request.service, request.caller, request.caller_tag = (
        draw(st.sampled_from(["", "s", "gray", "ü"])) for _ in range(3)
    )
    return request


READER = HeadReader("x-gray-tag")
ADDRESSES_OF_PEERS = st.sampled_from(
    ["", "x", "10.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "10.0.0.1:80", "010.0.0.1"]
)


@examples(50)
@given(rule_sets(), st.lists(hostile_requests(), min_size=1, max_size=4))
def test_whatever_is_sent_neither_reading_raises_and_both_agree(rules: RuleSet, several: list[MatchContext]) -> None:
    compiled = compile_rules(rules, AROUND)
    for request in several:
        winner = compiled.match(request)
        evidence = explain(rules, request, AROUND)
        expected = next(((item.group, item.lane) for item in evidence if item.winner), None)
        assert (None if winner is None else (winner.group, winner.name)) == expected
        # What is shown of a request can be written anywhere.
        json.dumps([item.as_dict() for item in evidence], ensure_ascii=False).encode()


# What may reach beyond its own pattern when patterns are joined: quotes left open, flags, groups, anchors, odd brackets.
PIECES = st.sampled_from(
    ["\\Q", "\\E", "\\\\", "\\", "(?i)", "(?s)", "(?-i)", "(?m)", "^", "$", "\\z", "|", "(", "(?:", ")", "[", "]", "[^", "{2}", "*", "+", "?",
     "ab", "cd", "A", "#", " ", "\n", ".", "é", "(?P<n>", "\\x41", "\\b", "}", "{", "-"]
)  # fmt: skip


def is_pattern(text: str) -> bool:
    """Whether rules accept it."""
    try:
        Condition.model_validate({"param": "a", "regex": text})
    except ValidationError:
        return False
    return True


SOUP = st.lists(PIECES, max_size=6).map("".join).filter(is_pattern)
PATTERNS = [
    *(f"v{number}[a-z]?" for number in range(6)), *(f"(?P<n>x)+{number}*" for number in range(4)), "a|b", "(?i)V1.", ".*z", "",
    "v[0-3]", "x{2,3}", "[^v]+", "1\\d", "é.", "v.{0,2}",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["", "v1", "v1a", "V1b", "x", "xx3", "az", "a", "b", "é1", "12", "v" * 1025]),
    st.text("vxab1é", max_size=4),
    st.lists(st.sampled_from(["ab", "cd", "\\E", "\\", "|", "(?:", ")", "A", "é", "\n", "#", "*"]), max_size=4).map(
        "".join
    ),
)


@examples(50)
@given(
    st.lists(
        st.tuples(st.one_of(st.sampled_from(PATTERNS), SOUP), st.booleans(), st.booleans()), min_size=9, max_size=40
    ),
    st.lists(TEXTS),
)
def test_many_patterns_are_sieved_as_each_would_be_asked(
    several: list[tuple[str, bool, bool]], values: list[str]
) -> None:
    lanes = []
    for number, (pattern, folds, is_negated) in enumerate(several):
        test = {"param": "a", "regex": pattern, **({"ignore_case": True} if folds else {})}
        match = [{"not": test} if is_negated and number > 30 else test]
        lanes.append({"name": f"l{number}", "tag": "t", "match": match})
    rules = RuleSet.of([LaneGroup.model_validate({"name": "g", "lanes": lanes})])
    compiled = compile_rules(rules, AROUND)
    for value in [*values, None]:
        request = asked("GET", "/" if value is None else f"/?a={quote(value)}")
        winner = compiled.match(request)
        expected = next((item.lane for item in explain(rules, request, AROUND) if item.winner), None)
        assert (None if winner is None else winner.name) == expected
