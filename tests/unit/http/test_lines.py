"""What is remembered of field lines, and what is not."""

from __future__ import annotations

import pytest

from gateway.http.lines import (
    MALFORMED,
    MAX_KNOWN,
    MAX_LENGTH,
    MAX_OPTIONS,
    NOTHING,
    FieldLines,
    read_options,
    spans_named,
    values_named,
)

LENGTH = 1
FAMILY = 2
TWIN = 9


@pytest.fixture
def lines() -> FieldLines:
    return FieldLines(
        {b"content-length": LENGTH, b"path_info": LENGTH, b"x-own-k-nown": LENGTH}, TWIN, {b"x-own-": FAMILY}
    )


@pytest.mark.parametrize(
    ("line", "meaning", "value", "number"),
    [
        (b"Content-Length: 12 ", LENGTH, b"12", 12),
        (b"content-length:0", LENGTH, b"0", 0),
        (b"Content-Length: 9999999999999999999", LENGTH, b"9999999999999999999", -1),
        (b"Content-Length: +1", LENGTH, b"+1", -1),
        (b"content_length: 12", TWIN, b"12", 12),
        (b"Content.Length: 12", TWIN, b"12", 12),
        (b"Content~Length: 12", TWIN, b"12", 12),
        (b"Path_Info: a", LENGTH, b"a", -1),
        (b"Path-Info: a", TWIN, b"a", -1),
        (b"X-Own-Name: a", FAMILY, b"a", -1),
        (b"x-own-na_me: a", FAMILY, b"a", -1),
        (b"x-own-k_nown: a", TWIN, b"a", -1),
        (b"x_own-name: a", TWIN, b"a", -1),
    ],
)
def test_what_a_line_means(lines: FieldLines, line: bytes, meaning: int, value: bytes, number: int) -> None:
    for field in (lines.learn(line), lines.known[line]):
        assert (field.meaning, field.value, field.number) == (meaning, value, number)


@pytest.mark.parametrize("name", [b"Accept", b"Cookie", b"Content-Length"])
def test_a_value_has_no_control_characters(lines: FieldLines, name: bytes) -> None:
    for byte in range(256):
        for line in (b"%b: a%cb" % (name, byte), b"%b:%c" % (name, byte)):
            is_control = (byte < 0x20 and byte != 0x09) or byte == 0x7F
            assert (lines.learn(line).meaning == MALFORMED) == is_control, line


def test_a_name_is_a_token(lines: FieldLines) -> None:
    token = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for byte in range(256):
        if byte != ord(":"):
            assert (lines.learn(b"X%cY: a" % byte).meaning == MALFORMED) == (byte not in token)


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


HEAD = b"GET / HTTP/1.1\r\nA: 1\r\nb: 2 \r\nX-A: 3\r\na:4\r\n\r\n"
LINES = HEAD[:-4].split(b"\r\n")[1:]


def test_where_fields_stand() -> None:
    spans = spans_named(LINES, 14, {b"a", b"none"})
    assert [HEAD[start:end] for start, end in zip(spans[::2], spans[1::2], strict=True)] == [b"\r\nA: 1", b"\r\na:4"]
    assert spans_named(LINES, 14, ()) == []


def test_what_fields_say() -> None:
    assert values_named(LINES, b"a") == [b"1", b"4"]
    assert values_named(LINES, b"b") == [b"2"]
    assert values_named(LINES, b"none") == []


def test_options_are_bounded() -> None:
    assert read_options(b"Close, , X-A\t,close,") == {b"close", b"x-a"}
    names = [b"%d" % number for number in range(MAX_OPTIONS)]
    assert read_options(b",".join(names)) == set(names)
    assert read_options(b",".join([*names, b"a"])) is None
