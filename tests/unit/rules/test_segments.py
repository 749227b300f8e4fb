"""Segment files: what each line means, and what is refused rather than taken for a value that nobody has."""

from __future__ import annotations

import pytest

from gateway.rules.segments import SegmentError, segment_values


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("alice", ["alice"]),
        ("  alice\t ", ["alice"]),
        ("alice\r", ["alice"]),
        ("\ufeffalice", ["alice"]),
        ("# alice", []),
        ("  # alice", []),
        ("", []),
        (" \t", []),
        ("alice # the boss", ["alice"]),
        ("10.0.0.0/8\t# office", ["10.0.0.0/8"]),
        ("a # b # c", ["a"]),
        ("alice#1", ["alice#1"]),
        ('"alice"', ["alice"]),
        ("'alice'", ["alice"]),
        ('" alice "', [" alice "]),
        ('"Suite #5" # a comment', ["Suite #5"]),
        ("'it''s'", ["it's"]),
        ('"a\\"b\\\\c\\u00e9\\n"', ['a"b\\cé\n']),
        ("'a\\n'", ["a\\n"]),
        ('""', [""]),
        ("it's", ["it's"]),
        ('a "b" c', ['a "b" c']),
        ("a, b", ["a, b"]),
        ("- a", ["- a"]),
        ("用户", ["用户"]),
    ],
)
def test_a_line(line: str, values: list[str]) -> None:
    assert list(segment_values(f"x\n{line}\ny")) == [(1, "x"), *((2, value) for value in values), (3, "y")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("'t Hooft", '"\'t Hooft" begins with a quote that does not end with the value'),
        ('"a', "begins with a quote that does not end with the value"),
        ('"a" b', "begins with a quote that does not end with the value"),
        ('"a","b"', "begins with a quote that does not end with the value"),
        ('"a"#b', "begins with a quote that does not end with the value"),
        ('"\\x"', "what follows a backslash in double quotes is as in JSON"),
        ('"\\ud800"', "contains a lone surrogate"),
        ("a\rb", "'a\\rb' has a control character; lines end with LF or CRLF"),
        ("a\0b", "has a control character"),
    ],
)
def test_a_line_that_is_refused(line: str, message: str) -> None:
    with pytest.raises(SegmentError) as refusal:
        list(segment_values(f"x\n\n{line}\n"))
    assert refusal.value.line == 3
    assert message in str(refusal.value)
