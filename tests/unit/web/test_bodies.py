"""What is read of a body: JSON that can be used, or words about it that are ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.web.bodies import MAX_DEPTH, parse_json
from gateway.web.problems import Rejected


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -1.5, 10**299, "", "ü商\U0001f600", [], {}, {"a": [{"b": "\t\n\x7f"}]}, [[]] * 1000],
    ids=lambda value: repr(value)[:20],
)
def test_json_is_read_as_it_is_written(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "the body is not JSON"),
        (b"{} x", "the body is not JSON"),
        (b"\xff", "the body is not UTF-8 (byte 0)"),
        (b"\xef\xbb\xbf{}", "the body is not JSON"),
        ('"a"'.encode("utf-16"), "the body is not UTF-8"),
        (b'{"a": NaN}', "there is no NaN"),
        (b"-Infinity", "there is no -Infinity"),
        (b"[1e400]", "the number 1e400 is too large to be used"),
        (b"-1e400", "the number -1e400 is too large"),
        (b"[" + b"9" * 5000 + b"]", "a number has more than 300 digits"),
        (b"[0." + b"9" * 5000 + b"]", "is too large to be used"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' is given twice"),
        (b'{"a": "x\\ud800y"}', "contains a lone surrogate"),
        (b'{"\\udfff": 1}', "contains a lone surrogate"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} values inside one another"),
        (b'{"a":' * 5000, "nested too deeply"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_cannot_be_used_is_told_in_our_words(content: bytes, says: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_json(content)
    assert (caught.value.status, caught.value.code) == (400, "bad_json")
    assert says in caught.value.detail
    assert len(caught.value.detail) < 300


def test_surrogate_pairs_are_characters() -> None:
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_as_deep_as_allowed_is_fine() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
