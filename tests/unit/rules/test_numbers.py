"""Numbers are exact: what is one, what a rule may write, and that places are in the order of the numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.explain import explain
from gateway.rules.model import LaneGroup
from gateway.rules.numbers import HIGHEST, LOWEST, parse_number, place_of, show_number, show_place
from gateway.ruletools.format import plain_lane
from tests.support.asked import asked
from tests.support.rules import around, compiled, rule_set

NINES = "9" * 30
SMALLEST = "." + "0" * 29 + "1"

DIGITS = st.text("0123456789", min_size=1, max_size=30)
NUMBERS = st.builds(
    lambda sign, whole, fraction: f"{sign}{whole}{fraction}",
    st.sampled_from(["", "-", "+"]),
    DIGITS,
    st.one_of(st.just(""), st.just("."), DIGITS.map(lambda digits: f".{digits}")),
)


@given(NUMBERS, NUMBERS)
def test_places_are_in_the_order_of_the_numbers(one: str, other: str) -> None:
    places = [place_of(one), place_of(other)]
    assert places[0] is not None
    assert places[1] is not None
    assert (places[0] < places[1], places[0] == places[1]) == (
        Decimal(one) < Decimal(other),
        Decimal(one) == Decimal(other),
    )
    assert LOWEST < places[0] < HIGHEST
    assert place_of(show_place(places[0])) == places[0]


@pytest.mark.parametrize(
    "text", ["", "x", "1" * 31, f".{'1' * 31}", "1e3", "NaN", "inf", "0x5", " 5", "5\n", "1_0", "٥", ".", "+"]
)
def test_what_is_no_number(text: str) -> None:
    assert place_of(text) is None


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("9007199254740993", "9007199254740993"),
        (9007199254740993, "9007199254740993"),
        ("1.10", "1.10"),
        (0.1, "0.1"),
        ("+.5", "0.5"),
        ("1e3", "1000"),
        ("1E-30", f"0{SMALLEST}"),
        (NINES, NINES),
    ],
)
def test_a_rule_says_what_its_author_wrote(written: Any, shown: str) -> None:
    assert show_number(parse_number(written)) == shown


@pytest.mark.parametrize(
    "written", ["", "nan", "-inf", "1e30", "1" * 31, "1e-31", "1_0", "0x1", True, None, [1], 1e300, 10**40]
)
def test_what_is_no_number_in_a_rule(written: Any) -> None:
    with pytest.raises(
        ValueError, match="a decimal number is accepted, with at most 30 digits on either side of the point"
    ):
        parse_number(written)


def takes(test: dict[str, Any], value: str) -> bool:
    """Whether a comparison holds of a value; both readings must agree."""
    group = LaneGroup.model_validate(
        {"name": "g", "lanes": [{"name": "l", "tag": "t", "match": [{"param": "n", **test}]}]}
    )
    request = asked("GET", f"/?n={value.replace('+', '%2B')}")
    held = compiled([group]).match(request) is not None
    assert explain(rule_set([group]), request, around())[0].matched is held
    return held


@pytest.mark.parametrize(
    ("number", "below", "above"),
    [
        ("9007199254740992", "9007199254740991", "9007199254740993"),
        ("0.1", "0.09999999999999999999", "0.10000000000000000001"),
        (NINES, f"{NINES[:-1]}8.{NINES}", f"{NINES}{SMALLEST}"),
        (f"-{NINES}.{NINES[:-1]}8", f"-{NINES}.{NINES}", f"-{NINES}.{NINES[:-1]}7"),
        ("0", f"-{SMALLEST}", SMALLEST),
        ("1e2", "99.9", "100.1"),
    ],
)
def test_comparisons_are_exact_to_the_last_digit(number: str, below: str, above: str) -> None:
    values = [below, show_number(parse_number(number)), above]
    for test, held in (
        ({"gt": number}, [False, False, True]),
        ({"gte": number}, [False, True, True]),
        ({"lt": number}, [True, False, False]),
        ({"lte": number}, [True, True, False]),
        ({"range": [number, number]}, [False, True, False]),
    ):
        assert [takes(test, value) for value in values] == held, test


@given(NUMBERS, st.sampled_from(["gt", "gte", "lt", "lte"]), NUMBERS)
def test_both_readings_compare_alike(value: str, operator: str, number: str) -> None:
    assert (
        takes({operator: number}, value)
        is {
            "gt": Decimal(value) > Decimal(number),
            "gte": Decimal(value) >= Decimal(number),
            "lt": Decimal(value) < Decimal(number),
            "lte": Decimal(value) <= Decimal(number),
        }[operator]
    )


def test_numbers_beyond_all_others_hold_of_nothing() -> None:
    assert not takes({"gt": f"{NINES}.{NINES}"}, f"{NINES}.{NINES}")
    assert not takes({"lt": f"-{NINES}.{NINES}"}, f"-{NINES}.{NINES}")


def test_a_lane_is_written_with_every_digit() -> None:
    match = [{"param": "a", "gt": "9007199254740993"}, {"param": "a", "range": ["0.5", f"1{SMALLEST}"]}]
    group = LaneGroup.model_validate({"name": "g", "lanes": [{"name": "l", "tag": "t", "match": match}]})
    written = plain_lane(group.lanes[0])
    assert written["match"] == [{"param": "a", "gt": 9007199254740993}, {"param": "a", "range": [0.5, f"1{SMALLEST}"]}]
    assert LaneGroup.model_validate({"name": "g", "lanes": [written]}).lanes == group.lanes
