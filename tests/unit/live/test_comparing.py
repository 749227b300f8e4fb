"""What is different between two responses, where it may be, and what of it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.live.comparing import MAX_TEXT, MOST_DIFFERENCES, Answer, Difference, differences
from gateway.rules.mirrored import MirroredLane
from gateway.rules.mirrors import LaneMirror


def terms(**compare: Any) -> MirroredLane:
    return LaneMirror.model_validate({"percent": 5, "compare": compare}).compile("g/gray", "gray", ())


def answer(body: Any = None, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def test_the_status_is_compared_unless_it_is_not_to_be() -> None:
    pair = answer(status=200), answer(status=500)
    assert differences(*pair, terms()) == [Difference("status", "200", "500")]
    assert differences(*pair, terms(status=False)) == []


def test_only_the_headers_named_are_compared() -> None:
    pair = answer(etag="1", server="x"), answer(etag="2", server="y")
    assert differences(*pair, terms(headers=["ETag"])) == [Difference("etag", "1", "2", is_header=True)]


def test_bodies_byte_by_byte() -> None:
    assert differences(answer(b"a"), answer(b"ab"), terms(body="bytes")) == [Difference("body", "1 bytes", "2 bytes")]
    assert differences(answer(b"a"), answer(b"ab"), terms()) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1}, {}, [("/a", "1", "nothing")]),
        ({}, {"a": None}, [("/a", "nothing", "null")]),
        ([1, 2], [1], [("/1", "2", "nothing")]),
        (
            {"a": {"b/c": "x"}},
            {"a": {"b/c": "secret"}},
            [("/a/b~1c", "a text of 1 characters", "a text of 6 characters")],
        ),
        ({"a": [1]}, {"a": {"b": 1}}, [("/a", "a list of 1", "an object of 1")]),
        (True, 1, [("/", "true", "1")]),
        (1, 1.0, []),
        (1, 1.5, [("/", "1", "1.5")]),
        ("1", 1, [("/", "a text of 1 characters", "1")]),
        ([[True, 1]], [[1, True]], [("/0/0", "true", "1"), ("/0/1", "1", "true")]),
        (9007199254740993, 9007199254740992, [("/", "9007199254740993", "9007199254740992")]),
    ],
)
def test_json_is_compared_by_what_it_says(ours: Any, theirs: Any, found: list[tuple[str, str, str]]) -> None:
    assert differences(answer(ours), answer(theirs), terms(body="json")) == [Difference(*item) for item in found]


def test_what_is_not_json_is_compared_as_it_is() -> None:
    assert differences(answer(b"{"), answer(b"{}"), terms(body="json")) == [Difference("body", "1 bytes", "2 bytes")]
    deep = b"[" * 100_000 + b"]" * 100_000
    assert differences(answer(deep), answer(b"[]"), terms(body="json"))[0].what == "body"


@pytest.mark.parametrize("ignored", ["/items/*/id", "/items/0", "/items", "/*"])
def test_some_places_may_differ_with_all_below_them(ignored: str) -> None:
    ours, theirs = answer({"items": [{"id": {"x": 1}}]}), answer({"items": [{"id": {"x": 2}}]})
    assert differences(ours, theirs, terms(body="json", ignore=[ignored])) == []
    assert differences(ours, theirs, terms(body="json", ignore=["/items/*/name", "/id"])) != []


def test_numbers_may_differ_by_a_share_of_the_larger_one() -> None:
    near = terms(body="json", tolerance=0.01)
    assert differences(answer(100), answer(99), near) == []
    assert differences(answer(100), answer(98.9), near) == [Difference("/", "100", "98.9")]
    assert differences(answer(0), answer(1e-9), near) != []


def test_there_is_an_end_to_differences() -> None:
    assert len(differences(answer([0] * 1000), answer([1] * 1000), terms(body="json"))) == MOST_DIFFERENCES


def test_a_body_that_is_not_known_whole_is_not_compared() -> None:
    assert differences(Answer(200, {}, None), answer(b"x"), terms(body="bytes")) == []


@pytest.mark.parametrize(
    "pair",
    [
        (b'{"a": 1' + b"0" * 4000 + b"}", b'{"a": 2' + b"0" * 4000 + b"}"),  # beyond any float
        (b'{"a": 1' + b"0" * 4000 + b"}", b'{"a": 0.5}'),
        (b"[" * 600 + b"1" + b"]" * 600, b"[" * 600 + b"2" + b"]" * 600),
        (b"[" * 900 + b"1" + b"]" * 900, b"[" * 900 + b"2" + b"]" * 900),
        (b"[" * 100_000, b"[" * 90_000),
        (b"[NaN]", b"[NaN ]"),  # no JSON, whatever Python's reader says
        (b"1" * 5000, b"2" * 5000),
    ],
    ids=["numbers", "number-and-float", "deep", "deeper", "deepest", "nan", "digits"],
)
def test_bodies_that_are_made_to_break_a_reader_are_different_and_no_more(pair: tuple[bytes, bytes]) -> None:
    """Whatever is wrong with a response, it is compared: an instance must not be able to end who compares."""
    baseline, lane = (Answer(200, {}, body) for body in pair)
    [found] = differences(baseline, lane, terms(body="json", tolerance=0.1))
    assert len(found.baseline) <= MAX_TEXT + 20
