"""Rules are read as they were written: every kind of value that the model has, by every writer that there is."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.rules.model import Lane, LaneGroup, RulesFile
from gateway.ruletools.format import formatted, in_house_style, plain_lane, written
from gateway.validation import validate
from gateway.yaml.editing import append_item, delete_item, put_keys
from gateway.yaml.reading import parse
from gateway.yaml.writing import write_yaml
from tests.properties.test_yaml import ENVIRONMENT, TEXTS
from tests.support.examples import examples

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
WORDS = st.sampled_from(["null", "yes", "on", "12", "1e3", "0x10", "1.10", "2027-01-01", "true", "y"])
NUMBERS = st.one_of(st.integers(-(10**12), 10**12), st.floats(-1e15, 1e15).map(lambda number: round(number, 6)))
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=ZONES).map(lambda moment: moment.isoformat())
AGES = st.builds(lambda count, unit: f"{count}{unit}", st.integers(1, 200), st.sampled_from("mhd"))
SHARES = st.one_of(
    st.integers(0, 100), st.integers(0, 10_000).map(lambda hundredths: hundredths / 100), st.just(["0-5", "20.25-25.5"])
)
ADDRESSES = st.one_of(
    st.ip_addresses().map(str), st.sampled_from(["::1", "::/0", "10.0.0.0/8", "::ffff:10.0.0.1", "fe80::/10"])
)
PATTERNS = st.one_of(st.sampled_from([".*", "[0-9]+: x", "#a", "a|b", r"\d{2}", "(?i)x", "- .", "${X}.", "{1}"]), TEXTS)


def operator_on(texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Every operator."""
    lists = st.lists(texts, min_size=1, max_size=3)
    operators: dict[str, st.SearchStrategy[Any]] = {
        "equals": texts, "not_equals": texts, "in": lists, "not_in": lists, "prefix": texts, "suffix": texts, "contains": texts,
        "regex": PATTERNS, "exists": st.booleans(), "absent": st.booleans(), "gt": NUMBERS, "gte": NUMBERS, "lt": NUMBERS,
        "lte": NUMBERS, "range": st.tuples(NUMBERS, NUMBERS).map(sorted), "percent": SHARES, "segment": NAMES,
    }  # fmt: skip
    one = st.one_of(*(values.map(lambda value, name=name: {name: value}) for name, values in operators.items()))  # type: ignore[misc]
    return st.builds(lambda test, folds: {**test, **({"ignore_case": True} if folds else {})}, one, st.booleans())


LEAVES = st.one_of(
    st.builds(
        lambda source, name, test: {source: name, **test},
        st.sampled_from(["param", "header", "cookie", "baggage", "jwt"]),
        st.one_of(NAMES, WORDS, st.sampled_from(["!", "&x", "*", "a:b", "x y", "#", "-", "é", "'", "|"])),
        operator_on(TEXTS),
    ),
    st.builds(lambda name, test: {"body": f"/{name}", **test}, TEXTS, operator_on(TEXTS)),
    st.builds(lambda age: {"cookie": "uid", "percent": 10, "issue": age}, AGES),
    operator_on(st.one_of(TEXTS, TEXTS.map(lambda text: f"/{text}"))).map(lambda test: {"path": test}),
    st.builds(
        lambda source, test: {source: test},
        st.sampled_from(["method", "host", "service", "caller"]),
        operator_on(TEXTS),
    ),
    st.builds(
        lambda key, values: {"client_ip": {key: values}},
        st.sampled_from(["in", "not_in"]),
        st.lists(ADDRESSES, min_size=1),
    ),
    st.fixed_dictionaries(
        {
            "days": st.lists(st.sampled_from(["mon", "fri"]), min_size=1),
            "hours": st.sampled_from(["09:00-18:00", "22:30-06:00"]),
        },
        optional={"from": MOMENTS, "zone": st.sampled_from(["Asia/Shanghai", "UTC"])},
    ).map(lambda window: {"time": window}),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(lambda members: {"all": members}),
        st.lists(inner, min_size=1, max_size=2).map(lambda members: {"any": members}),
        inner.map(lambda member: {"not": member}),
    ),
    max_leaves=3,
)


def sound(data: dict[str, Any]) -> bool:
    """Whether the model takes it as a lane."""
    try:
        Lane.model_validate(data)
    except ValidationError:
        return False
    return True


def holds(condition: dict[str, Any]) -> bool:
    return sound({"name": "l", "tag": "t", "match": [condition]})


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    found = draw(CONDITIONS)
    return found if holds(found) else {"param": "a", "equals": draw(TEXTS)}


@st.composite
def lanes(draw: st.DrawFn) -> dict[str, Any]:
    optional: dict[str, st.SearchStrategy[Any]] = {
        "enabled": st.booleans(), "owner": TEXTS, "expires": st.one_of(MOMENTS, st.just("2027-03-31")), "strict": st.booleans(),
        "debug": st.booleans(), "sticky": AGES, "match_mode": st.sampled_from(["all", "any"]),
        "paths": st.lists(st.sampled_from(["/", "/A", "/a/%20", "/x:y", "/a/*", "/~", "/a,b", "/{x}", "/a'b"]), max_size=2),
    }  # fmt: skip
    lane = {
        "name": draw(st.one_of(NAMES, WORDS)),
        "tag": draw(st.one_of(NAMES, WORDS)),
        "match": draw(st.lists(conditions(), min_size=1, max_size=3)),
        **{key: draw(values) for key, values in optional.items() if draw(st.booleans())},
    }
    if not sound(lane):
        lane.pop("sticky", None)  # it wants a percent
    assume(sound(lane))
    return lane


LANES = lanes()


@st.composite
def groups(draw: st.DrawFn) -> list[LaneGroup]:
    found = []
    for number in range(draw(st.integers(1, 2))):
        members = [
            {**lane, "name": f"{lane['name']}{index}"} for index, lane in enumerate(draw(st.lists(LANES, max_size=3)))
        ]
        more = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "enabled": st.booleans(),
                    "order": st.integers(-5, 5),
                    "entry": st.lists(TEXTS, max_size=2),
                    "services": st.lists(TEXTS, max_size=2),
                    "baseline": st.sampled_from(["untagged", "closed_lanes_rejoin"]),
                },
            )
        )
        try:
            found.append(
                LaneGroup.model_validate({"name": f"{draw(st.one_of(NAMES, WORDS))}{number}", "lanes": members, **more})
            )
        except ValidationError:
            assume(False)
    return found


def read(text: str) -> list[LaneGroup]:
    document = parse(text, "r.yaml", ENVIRONMENT)
    return list(validate(RulesFile, document, document.data).lane_groups)


@examples(40)
@given(groups())
def test_written_rules_are_read_as_they_were(rules: list[LaneGroup]) -> None:
    """The writer of `gateway rules import`; and formatting, which comes behind it, changes nothing."""
    text = written(rules)
    assert read(text) == rules
    assert read(formatted(text, "r.yaml")) == rules


@examples(40)
@given(groups(), LANES)
def test_a_lane_that_is_put_is_read_as_it_was_sent(rules: list[LaneGroup], lane: dict[str, Any]) -> None:
    """The writers of the admin API: POST, PUT, PATCH and DELETE of a lane."""
    text = written(rules)
    place = ("lane_groups", 0, "lanes")
    first = rules[0].lanes
    sent = Lane.model_validate({**lane, "name": "sent", "sticky": None, "match": [{"param": "a", "equals": "x"}]})
    added = append_item(text, place, plain_lane(sent))
    assert read(added)[0].lanes == [*first, sent]
    wanted = Lane.model_validate(lane)
    plain = in_house_style(lane)
    assert [
        read_lane(put_keys(added, (*place, len(first)), plain, set(plain_lane(sent)) - set(plain)), len(first))
    ] == [wanted]
    assert read(delete_item(added, (*place, len(first)))) == rules


def read_lane(text: str, index: int) -> Lane:
    document = parse(text, "r.yaml", ENVIRONMENT)
    return Lane.model_validate(document.data["lane_groups"][0]["lanes"][index])


@given(st.lists(st.builds(lambda name, file: {"name": name, "file": file}, NAMES, TEXTS), max_size=3))
def test_segments_are_read_as_they_were_written(segments: list[dict[str, str]]) -> None:
    document = parse(write_yaml({"segments": segments}), "r.yaml", ENVIRONMENT)
    found = validate(RulesFile, document, document.data)
    assert [{"name": segment.name, "file": segment.file} for segment in found.segments] == segments
