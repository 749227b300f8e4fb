"""What the linter says is proved is so: whatever a request holds, nobody is where it says that nobody is."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes

from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.rules.compile import compile_rules
from gateway.rules.conditions import Condition
from gateway.rules.context import MatchContext
from gateway.rules.explain import weigh_lane
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.rows import rows_of
from gateway.rules.ruleset import RuleSet
from gateway.rules.signer import CookieSigner
from gateway.ruletools.lint import Knowledge, lint
from gateway.ruletools.lint.facts import Fact, facts_of, ways_out
from gateway.ruletools.lint.proof import why_impossible
from gateway.ruletools.lint.witness import LaneRow
from tests.support.asked import asked
from tests.support.examples import examples
from tests.support.rules import NOW, around

SEAL = CookieSigner("lane", "0123456789abcdef", lambda: NOW)
AROUND = around(signer=SEAL, claims=lambda request: request.content if isinstance(request.content, dict) else {})
SEGMENTS = {
    "some": frozenset({"x", "5", "XY"}),
    "others": frozenset({"y", "5", "Straße"}),
    "nobody": frozenset[str](),
    "nets": frozenset({"::ffff:10.0.0.0/104", "::1"}),
}

# One field or two, and texts that begin, end and contain one another: proofs are about conditions that meet.
TEXTS = st.sampled_from(["", "x", "xy", "XY", "y", "x,y", "5", "5.0", "-5", "05", "Straße", "STRASSE", "ß", "a b", "é"])
PATHS = st.sampled_from(["/", "/A", "/A/", "/A/x", "/a", "/AB", "/B/x", "/A/x/y"])
PIECES = st.sampled_from(["", "/", "/A", "x", "A", "/x"])
PATTERNS = st.sampled_from(
    [".*", "(?s:.*)", "(?s).+", "", "x.*", "[0-9]+", ".*y", "x|y", "(?i)XY", "[^x]*", "/.*", "."]
)
NUMBERS = st.sampled_from([-5, 0, 3, 5, 5.5, 7])
SHARES = st.sampled_from([0, 25, 100, ["0-30"], ["20-60", "70-100"], ["60-70"], ["0-100"], ["0-20", "60-70"]])
NETWORKS = st.lists(
    st.sampled_from(
        ["10.0.0.1", "10.0.0.0/8", "10.0.0.0/7", "11.0.0.0/8", "::ffff:10.0.0.1", "0.0.0.0/0", "::1", "::/0", "::/1"]
    ),
    min_size=1,
    max_size=3,
)
WINDOWS = st.fixed_dictionaries(
    {"days": st.sampled_from([["mon"], ["fri"], ["fri", "sat"], ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]])},
    optional={
        "from": st.sampled_from(["2027-01-01T00:00:00Z", "2027-01-15T08:00:00Z", "2027-02-01T00:00:00Z"]),
        "until": st.sampled_from(["2027-01-15T08:00:00Z", "2027-02-02T00:00:00Z"]),
        "hours": st.sampled_from(["00:00-24:00", "07:00-09:00", "09:00-10:00", "22:00-08:00", "08:00-08:01"]),
        "zone": st.sampled_from(["UTC", "Asia/Shanghai"]),
    },
)  # fmt: skip


def operators(texts: st.SearchStrategy[str], pieces: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Every operator; each family of them as often as another."""
    several = st.lists(texts, min_size=1, max_size=3)
    families: list[st.SearchStrategy[dict[str, Any]]] = [
        st.builds(lambda key, text: {key: text}, st.sampled_from(["equals", "not_equals"]), texts),
        st.builds(lambda key, found: {key: found}, st.sampled_from(["in", "not_in"]), several),
        st.builds(lambda key, text: {key: text}, st.sampled_from(["prefix", "suffix", "contains"]), pieces),
        PATTERNS.map(lambda pattern: {"regex": pattern}),
        st.builds(lambda key, is_so: {key: is_so}, st.sampled_from(["exists", "absent"]), st.booleans()),
        st.builds(lambda key, number: {key: number}, st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS),
        st.tuples(NUMBERS, NUMBERS).map(lambda bounds: {"range": sorted(bounds)}),
        SHARES.map(lambda share: {"percent": share}),
        st.sampled_from(["some", "others", "nobody"]).map(lambda name: {"segment": name}),
    ]
    return st.builds(
        lambda test, folds: {**test, **({"ignore_case": True} if folds else {})}, st.one_of(families), st.booleans()
    )


OF_FIELD: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "param": operators(TEXTS, TEXTS).map(lambda test: {"param": "a", **test}),
    "header": operators(TEXTS, TEXTS).map(lambda test: {"header": "a", **test}),
    "cookie": operators(TEXTS, TEXTS).map(lambda test: {"cookie": "a", **test}),
    "body": operators(TEXTS, TEXTS).map(lambda test: {"body": "/a", **test}),
    "path": operators(PATHS, PIECES).map(lambda test: {"path": test}),
    "method": operators(st.sampled_from(["GET", "get", "POST"]), st.sampled_from(["G", "ge", "T", ""])).map(
        lambda test: {"method": test}
    ),
    "host": operators(
        st.sampled_from(["a.example", "A.example", "b.example"]), st.sampled_from(["a", ".example", "A"])
    ).map(lambda test: {"host": test}),
    "client_ip": st.one_of(
        st.builds(lambda key, texts: {"client_ip": {key: texts}}, st.sampled_from(["in", "not_in"]), NETWORKS),
        st.sampled_from(
            [{"client_ip": {"segment": "nets"}}, {"client_ip": {"exists": True}}, {"client_ip": {"exists": False}}]
        ),
    ),
    "time": WINDOWS.map(lambda window: {"time": window}),
}
FIELDS = st.sampled_from(
    ["param", "param", "header", "cookie", "body", "path", "path", "method", "host", "client_ip", "time"]
)


def sound(condition: dict[str, Any]) -> dict[str, Any]:
    """The condition, or one that the rules take in its place."""
    try:
        Lane.model_validate({"name": "l", "tag": "t", "match": [condition]})
    except ValidationError:
        return {"param": "a", "regex": ".*"}
    return condition


def conditions(field: str, most: int = 3) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Conditions on one field; some turned around."""
    one = st.builds(
        lambda leaf, is_turned: {"not": sound(leaf)} if is_turned else sound(leaf),
        OF_FIELD[field],
        st.sampled_from([False, False, True]),
    )
    return st.lists(one, min_size=1, max_size=most)


@st.composite
def groups(draw: st.DrawFn, fields: list[str], most: int, name: str = "g0") -> LaneGroup:
    """A group whose lanes look at one field each, nearly always."""
    kept: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, most))):
        lane: dict[str, Any] = {
            "name": f"l{number}",
            "tag": draw(st.sampled_from(["t", "u"])),
            "match": [one for field in fields[: draw(st.sampled_from([1, 1, 2]))] for one in draw(conditions(field))],
            "match_mode": draw(st.sampled_from(["all", "any"])),
        }
        optional = {
            "paths": st.lists(PATHS, min_size=1, max_size=2),
            "sticky": st.just("1d"),
            "expires": st.sampled_from(["2027-01-16", "2027-03-01"]),
        }
        lane |= {key: draw(values) for key, values in optional.items() if draw(st.integers(0, 3)) == 0}
        for candidate in (lane, {key: value for key, value in lane.items() if key != "sticky"}):
            try:
                LaneGroup.model_validate({"name": name, "lanes": [*kept, candidate]})
            except ValidationError:
                continue
            kept.append(candidate)
            break
    assume(kept)
    return LaneGroup.model_validate({"name": name, "lanes": kept})


# Everything in a field that the listener lets in: nothing, half a character, more than a pattern looks at.
VALUES = [
    b"", b"x", b"xy", b"XY", b"xY", b"y", b"x,y", b"5", b"5.0", b"-5", b"05", b"+5", b"5.", b".5", b"1e3", b"6", b"4.9", b"3", b"7", b"0", b"8",
    "Straße".encode(), b"STRASSE", "ß".encode(), b"a b", "é".encode(), b"z", b"zx", b"yx", b"x" * 1025, b"y" * 1025, b"5" * 40, b"x\ny",
    b"\n", b"\xff", b"xy\xff", b"\xc5\xbf", *(f"u{number}".encode() for number in range(30)),
]  # fmt: skip
TARGETS = [
    "/", "/A", "/A/", "/A/x", "/A/x/", "/A/x/y", "/a", "/a/x", "/AB", "/B/x", "/B", "//A//x", "/A/%0Ax", "/x", "/xA", "/A/x%20",
    "/" + "x" * 1100, "/A/" + "y" * 1100, *(f"/A/u{number}" for number in range(20)),
]  # fmt: skip
SEALS = ["", *(f"{SEAL.name}={SEAL.value(f'g0/l{number}', 60)}" for number in range(2))]


def request(
    target: str = "/",
    method: str = "GET",
    ip: str = "10.0.0.1",
    host: str = "a.example",
    cookie: str = "",
    **more: bytes,
) -> MatchContext:
    headers = [(name, value.decode("utf-8", "surrogateescape")) for name, value in more.items()]
    return asked(method, target, [*headers, *([("Cookie", cookie)] if cookie else [])], ip, host=host)


def with_body(content: Any, cookie: str) -> MatchContext:
    found = request(cookie=cookie)
    found.content = content
    return found


def requests_of(field: str, signer: str) -> list[MatchContext]:
    """Requests that differ in one field, and the cookie that keeps clients in shares."""
    plain = [value for value in VALUES if b"\n" not in value]
    if field == "param":
        return [
            request(cookie=signer),
            *(request(f"/A?a={quote_from_bytes(value)}", cookie=signer) for value in VALUES),
        ]
    if field == "header":
        return [request(cookie=signer), *(request(cookie=signer, a=value) for value in plain)]
    if field == "cookie":
        texts = [value.decode("utf-8", "surrogateescape") for value in plain]
        return [request(cookie=signer), *(request(cookie=f"a={text}; {signer}") for text in texts)]
    if field == "body":
        contents: list[Any] = [
            None,
            {},
            {"a": None},
            {"a": ["x", "y"]},
            {"a": {}},
            {"a": 5},
            *({"a": v.decode("utf-8", "replace")} for v in VALUES),
        ]
        return [with_body(content, signer) for content in contents]
    if field == "path":
        return [request(target, cookie=signer) for target in TARGETS]
    if field == "method":
        return [request(method=method, cookie=signer) for method in ("GET", "POST", "PURGE", "T", "X" * 64, "GT")]
    if field == "host":
        hosts = ["a.example", "A.EXAMPLE:80", "b.example", "x.a.example", "a", "5", "y" * 1100]
        return [request(host=host, cookie=signer) for host in hosts]
    ips = ["10.0.0.1", "10.255.0.9", "11.0.0.1", "192.0.2.7", "::1", "::2", "8000::1", "::ffff:10.0.0.1", "", "x"]
    return [request(ip=ip, cookie=signer) for ip in ips]


REQUESTS = {field: [one for signer in SEALS for one in requests_of(field, signer)] for field in OF_FIELD}


def alone(row: Any, lane: Lane) -> Lane:
    """A lane that is one row of another."""
    turned = [Condition.model_validate({"not": one.condition}) if one.negated else one.condition for one in row]
    return lane.model_copy(update={"match_mode": "all", "match": turned})


def setting_of(group: LaneGroup, lane: Lane, row: Any = ()) -> LaneRow:
    rules = RuleSet((group,), SEGMENTS)
    return LaneRow(rules, group, group.shares(), lane.name, tuple(lane.paths), row, lane.sticky is not None)


def taken(group: LaneGroup, lane: Lane, several: list[MatchContext]) -> list[MatchContext]:
    """The requests that a lane would take if it stood alone."""
    rules, shares = RuleSet((group,), SEGMENTS), group.shares()
    return [one for one in several if weigh_lane(rules, group, lane, shares, one, AROUND).matched]


def is_dead(facts: list[Fact]) -> bool:
    return why_impossible(facts, SEGMENTS, NOW) != ""


FIELD = st.sampled_from([*OF_FIELD, "param", "path", "param"])


@examples(60)
@given(FIELD.flatmap(lambda field: st.tuples(st.just(field), groups([field, "path"], 1))))
def test_a_row_that_is_proved_dead_takes_nobody(drawn: tuple[str, LaneGroup]) -> None:
    field, group = drawn
    (lane,) = group.lanes
    for row in rows_of(lane.match, lane.match_mode):
        if is_dead(facts_of(setting_of(group, lane, row))):
            assert taken(group, alone(row, lane), REQUESTS[field]) == []


@examples(60)
@given(FIELD.flatmap(lambda field: st.tuples(st.just(field), groups([field, "method"], 2))))
def test_a_row_that_is_proved_to_be_within_a_lane_is(drawn: tuple[str, LaneGroup]) -> None:
    """And a lane that takes all that nobody asks anything of takes everything."""
    field, group = drawn
    wide, narrow = group.lanes[0], group.lanes[-1]
    ways = ways_out(setting_of(group, wide), wide)
    if ways is None:
        return
    if all(is_dead(way) for way in ways):
        assert taken(group, wide, REQUESTS[field]) == REQUESTS[field]
    for row in rows_of(narrow.match, narrow.match_mode):
        facts = facts_of(setting_of(group, narrow, row))
        if all(is_dead([*facts, *way]) for way in ways):
            several = taken(group, alone(row, narrow), REQUESTS[field])
            assert taken(group, wide, several) == several


@examples(30)
@given(
    FIELD.flatmap(
        lambda field: st.tuples(st.just(field), groups([field, "path"], 3), groups([field, "cookie"], 2, "g1"))
    )
)
def test_what_is_proved_of_winners_is_so(drawn: tuple[str, LaneGroup, LaneGroup]) -> None:
    """GR101 and GR102: wins nobody. GR104: leaves nobody over."""
    field, first, second = drawn
    rules = RuleSet.of([first, second], SEGMENTS)
    findings = lint(rules, AROUND, Knowledge())
    losers = {(item.group, item.lane) for item in findings if item.code in ("GR101", "GR102")}
    takers = [(item.group, item.lane) for item in findings if item.code == "GR104"]
    order = [(group.name, lane.name) for group in rules.groups for lane in group.lanes]
    compiled = compile_rules(rules, AROUND)
    for one in REQUESTS[field]:
        lane = compiled.match(one)
        winner = None if lane is None else (lane.group, lane.name)
        assert winner not in losers
        for taker in takers:
            assert winner is not None
            assert order.index(winner) <= order.index(taker)
