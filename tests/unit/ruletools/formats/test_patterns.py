"""Patterns: a search of another system as a whole match of ours, and plain texts recognised in them."""

from __future__ import annotations

import pytest
from hypothesis import given

from gateway.rules.expressions import compile_pattern
from gateway.ruletools.formats.patterns import anchored, literal, quote, simplified, whole
from tests.support.formats import TEXT


@given(text=TEXT)
def test_quoting_is_undone(text: str) -> None:
    assert literal(quote(text)) == text
    assert compile_pattern(quote(text)).fullmatch(text) is not None


@pytest.mark.parametrize(
    "pattern", ["a", "^a", "a$", "^a$", "^a|b$", "^(?:a|b)$", "^(a|b)c$", "[|]b", r"a\$", r"^a\|b$", "(?m)^a$", ""]
)
@pytest.mark.parametrize("value", ["a", "b", "xa", "ax", "xax", "bc", "ac", "|b", "a$", "a|b", "x\na", ""])
def test_a_search_becomes_the_same_whole_match(pattern: str, value: str) -> None:
    found = compile_pattern(pattern).search(value) is not None
    assert (compile_pattern(whole(pattern)).fullmatch(value) is not None) == found


def test_a_plain_pattern_becomes_a_plain_operator() -> None:
    assert simplified(whole("gray")) == {"contains": "gray"}
    assert simplified(whole("^/api")) == {"prefix": "/api"}
    assert simplified(whole("^(?:a|b)$")) == {"in": ["a", "b"]}
    assert simplified(whole("^v[12]$")) == {"regex": "v[12]"}


QUOTING = ["ab", "a|b", "\\Qab", "\\Qa|b\\E", "\\Qa$", "^\\Qab$", "(?i)ab", "^ab$", "\\\\Qab"]
QUOTED = ["ab", "a", "b", "AB", "a|b", "a$", "ab$", "xaby", "\\Qab", ""]


@pytest.mark.parametrize("pattern", QUOTING)
def test_a_pattern_for_the_whole_value_says_the_same_to_who_looks_anywhere(pattern: str) -> None:
    for value in QUOTED:
        held = compile_pattern(pattern).fullmatch(value) is not None
        assert (compile_pattern(anchored(pattern)).search(value) is not None) is held, value


@pytest.mark.parametrize("pattern", QUOTING)
def test_a_pattern_that_is_looked_for_anywhere_as_one_for_the_whole_value(pattern: str) -> None:
    for value in QUOTED:
        found = compile_pattern(pattern).search(value) is not None
        assert (compile_pattern(whole(pattern)).fullmatch(value) is not None) is found, value
