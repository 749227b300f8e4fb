"""What is remembered of field lines, and what is not."""

from __future__ import annotations

import pytest

from gateway.http.lines import MALFORMED, MAX_KNOWN, MAX_LENGTH, NOTHING, FieldLines

LENGTH = 1
TWIN = 9


@pytest.fixture
def lines() -> FieldLines:
    return FieldLines({b"content-length": LENGTH}, twin=TWIN)


@pytest.mark.parametrize(
    ("line", "meaning", "value", "number"),
    [
        (b"Content-Length: 12 ", LENGTH, b"12", 12),
        (b"content-length:0", LENGTH, b"0", 0),
        (b"Content-Length: 9999999999999999999", LENGTH, b"9999999999999999999", -1),
        (b"Content-Length: +1", LENGTH, b"+1", -1),
        (b"content_length: 12", TWIN, b"12", 12),
        (b"Content.Length: 12", TWIN, b"12", 12),
    ],
)
def test_what_a_line_means(lines: FieldLines, line: bytes, meaning: int, value: bytes, number: int) -> None:
    for field in (lines.learn(line), lines.known[line]):
        assert (field.meaning, field.value, field.number) == (meaning, value, number)


def test_lines_without_a_meaning_are_harmless(lines: FieldLines) -> None:
    assert lines.learn(b"Accept: */*").meaning == NOTHING
    assert lines.harmless == {b"Accept: */*"}


@pytest.mark.parametrize("line", [b"", b"a", b" a: b", b"a : b", b"a: b\rc", b"a: b\nc", b"a: \0", b": b"])
def test_malformed_lines_are_not_remembered(lines: FieldLines, line: bytes) -> None:
    for _ in range(2):
        assert lines.learn(line).meaning == MALFORMED
    assert not lines.harmless
    assert not lines.known


@pytest.mark.parametrize(
    "line", [b"Cookie: a=b", b"Authorization: Basic x", b"Set-Cookie: a=b", b"A: " + b"x" * MAX_LENGTH]
)
def test_secrets_and_long_lines_are_not_remembered(lines: FieldLines, line: bytes) -> None:
    for _ in range(2):
        assert lines.learn(line).meaning == NOTHING
    assert not lines.harmless


def test_what_is_remembered_is_bounded(lines: FieldLines) -> None:
    for number in range(MAX_KNOWN + 1):
        lines.learn(b"A-%d: x" % number)
        lines.learn(b"Content-Length: %d" % number)
    assert len(lines.harmless) + len(lines.known) <= MAX_KNOWN
    assert len(lines._names) <= MAX_KNOWN
