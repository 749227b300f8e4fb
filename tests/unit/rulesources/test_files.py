"""Segments that rules name: read from their files, and checked against what conditions look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.rulesources.files import load_rules

RULES = """\
segments: [{name: s, file: s.txt}]
lane_groups: [{name: g, lanes: [{name: l, tag: t, match: [CONDITION]}]}]
"""


def problems(tmp_path: Path, content: bytes, condition: str = "{param: a, segment: s}") -> list[str]:
    """The problems of rules with one segment, without the folder."""
    (tmp_path / "s.txt").write_bytes(content)
    rules = tmp_path / "r.yaml"
    rules.write_text(RULES.replace("CONDITION", condition))
    try:
        load_rules([rules])
    except ConfigError as error:
        return [str(problem).replace(f"{tmp_path}/", "") for problem in error.problems]
    return []


def test_a_file_as_windows_writes_it(tmp_path: Path) -> None:
    assert problems(tmp_path, b'\xef\xbb\xbf# users\r\nalice \r\n\r\n"bob"\r\n') == []
    assert load_rules([tmp_path / "r.yaml"]).rules.segments == {"s": frozenset({"alice", "bob"})}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a\n'b\n", 's.txt:2:1: "\'b" begins with a quote that does not end with the value'),
        (b"a\nb\n\xff\n", "s.txt:3:1: the line is not UTF-8"),
        (b"", "s.txt:1:1: the file is empty"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes, problem: str) -> None:
    (found,) = problems(tmp_path, content)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("{client_ip: {segment: s}}", "s.txt:3:1: client_ip: '/a b' is neither an address nor a network"),
        ("{host: {segment: s}}", "s.txt:3:1: host: it is a name or an address"),
        ("{method: {segment: s}}", "s.txt:3:1: method: a method is one word, such as GET, so '/a b' can never be one"),
        ("{service: {segment: s}}", "s.txt:3:1: service: a service's name is"),
        ("{path: {segment: s}}", "s.txt:2:1: path: a path starts with '/', so '10.0.0.1' can never be one"),
        ("{header: x, segment: s}", "s.txt:5:1: header: values are compared without white space around them"),
        ("{cookie: x, segment: s}", "s.txt:4:1: cookie: a cookie's value has no semicolons"),
    ],
)
def test_a_value_that_what_is_looked_at_can_never_have(tmp_path: Path, condition: str, problem: str) -> None:
    content = b"# a comment\n10.0.0.1\n/a b\na;b\n' c'\n"
    (found,) = problems(tmp_path, content, condition)
    assert found.startswith(problem)
    assert found.endswith("; lane g/l compares segment 's'")


@pytest.mark.parametrize("source", ["param", "baggage", "jwt"])
def test_what_can_be_any_text_takes_any(tmp_path: Path, source: str) -> None:
    assert problems(tmp_path, b"/a b\na;b\n' c'\n", f"{{{source}: x, segment: s}}") == []


def test_a_draft_of_a_segment_beside_the_rules_is_no_file_of_rules(tmp_path: Path) -> None:
    assert problems(tmp_path, b"alice\n") == []
    found = load_rules([tmp_path], overlay={tmp_path / "s.txt": "bob\n", tmp_path / "new.yaml": "lane_groups: []\n"})
    assert found.rules.segments == {"s": frozenset({"bob"})}
    assert sorted(file.name for file in found.texts) == ["new.yaml", "r.yaml"]
