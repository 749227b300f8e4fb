"""The shapes of JSON: what has one passes, and what has not is named with its place."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.shapes import (
    COUNT,
    FLAG,
    MAX_DEPTH,
    MOMENT,
    NUMBER,
    SHARE,
    TEXT,
    Each,
    Filled,
    Maybe,
    ShapeError,
    check,
    one_of,
    parse_json,
)

TREE: dict[str, Any] = {"name": TEXT, "inner": [lambda: TREE]}


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("", TEXT),
        (True, FLAG),
        (-3, COUNT),
        (1.5, NUMBER),
        (1, SHARE),
        (2.5e11, MOMENT),
        ("a", one_of("a", "b")),
        (None, Maybe(TEXT)),
        ("a", Maybe(TEXT)),
        ([], [TEXT]),
        (["a"], Filled(TEXT)),
        ({}, {}),
        ({"a": "b", "more": 1}, {"a": TEXT, "c?": TEXT}),
        ({"a": "b", "c": "d"}, {"a": TEXT, "c?": TEXT}),
        ({"a": 1, "b": 2}, Each(COUNT)),
        ({"name": "a", "inner": [{"name": "b", "inner": []}]}, TREE),
    ],
)
def test_what_has_a_shape_passes(value: Any, shape: Any) -> None:
    check(value, shape)


@pytest.mark.parametrize(
    ("value", "shape", "says"),
    [
        (None, TEXT, "the JSON: expected a text, got null"),
        (1, FLAG, "the JSON: expected true or false, got 1"),
        (True, COUNT, "the JSON: expected a whole number, got true"),
        (1.0, COUNT, "the JSON: expected a whole number, got 1.0"),
        (2**64, COUNT, "the JSON: expected a whole number, got 18446744073709551616"),
        (True, NUMBER, "the JSON: expected a number that is not too large, got true"),
        (10**400, NUMBER, f"the JSON: expected a number that is not too large, got 1{'0' * 29}…"),
        (1e300, MOMENT, "the JSON: expected a time in seconds since 1970, got 1e+300"),
        (-1, MOMENT, "the JSON: expected a time in seconds since 1970, got -1"),
        (1.1, SHARE, "the JSON: expected a number from 0 to 1, got 1.1"),
        ("c\n", one_of("a", "b"), r'the JSON: expected one of a, b, got "c\n"'),
        ([], one_of("a", "b"), "the JSON: expected one of a, b, got a list"),
        ({}, [TEXT], "the JSON: expected a list, got an object"),
        ([], {"a": TEXT}, "the JSON: expected an object, got a list"),
        ({"a": []}, {"a": Filled(TEXT)}, "a is empty"),
        ({"a": {}}, {"a": {"b": TEXT}}, "a.b is missing"),
        ({"a": [{"b": "x"}, {"b": 1}]}, {"a": [{"b": TEXT}]}, "a[1].b: expected a text, got 1"),
        ({"a": None}, {"a?": TEXT}, "a: expected a text, got null"),
        ({"x" * 99: 1}, Each(TEXT), f"{'x' * 30}…: expected a text, got 1"),
        ({"name": "a", "inner": [{"name": "b"}]}, TREE, "inner[0].inner is missing"),
    ],
)
def test_what_has_another_shape_is_named_with_its_place(value: Any, shape: Any, says: str) -> None:
    with pytest.raises(ShapeError) as caught:
        check(value, shape)
    assert str(caught.value) == says


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "1e999", "{", "", "[" * 100_000, "9" * 5000])
def test_json_that_nobody_could_use_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_how_deep_json_may_be_nested() -> None:
    deepest = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH
    assert parse_json(deepest) is not None
    for text in (f"[{deepest}]", f'{{"a": {deepest}}}'):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(text)
