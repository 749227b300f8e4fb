"""The one form of a file: what changes is where things stand."""

from __future__ import annotations

import pytest

from gateway.errors import ConfigError
from gateway.ruletools.format import formatted

LOOSE = """\


# head
lane_groups:
- name: demo     # who
  services:   [ a,b ,  "c", ]
  # the lanes
  lanes:   &l
  # first

  -   name:    gray   # c1
      tag: 1e3
      # c3
      match:  # c4
      - {param: group,   equals: 0x10} # c5
        # c6
    # odd
  - {name: blue, tag: ~,
     match: [{param: x, equals: +1},   # why
       {header: z, in: [a, b
     ]}]} # c7
  -
     name: |
       text
         more

     owner: >-
      folded
      text   # no comment
     tag: 'a
       b'
     "match":   [{header: y, in: [AAA, BBB, CCC, DDD]}]
  # closing
# below
- &g {name: h, lanes: *l}
- - a
  -   - b
# end"""
TIGHT = """\
# head
lane_groups:
  - name: demo   # who
    services: [a, b, "c"]
    # the lanes
    lanes: &l
      # first

      - name: gray    # c1
        tag: 1e3
        # c3
        match: # c4
          - {param: group, equals: 0x10} # c5
          # c6
      # odd
      - {
          name: blue,
          tag: ~,
          match: [
            {param: x, equals: +1},    # why
            {header: z, in: [a, b]}
          ]
        } # c7
      - name: |
          text
            more

        owner: >-
          folded
          text   # no comment
        tag: 'a
          b'
        "match": [{header: y, in: [AAA, BBB, CCC, DDD]}]
      # closing
  # below
  - &g {name: h, lanes: *l}
  - - a
    - - b
# end
"""


def test_everything_has_one_place() -> None:
    assert formatted(LOOSE, "f") == TIGHT
    assert formatted(TIGHT, "f") == TIGHT
    assert formatted(LOOSE.replace("\n", "\r\n"), "f") == TIGHT.replace("\n", "\r\n")


def test_what_is_too_long_for_a_line_has_several() -> None:
    words = ", ".join(f"word-{number}" for number in range(20))
    assert formatted(f"a: {{b: [{words}], c: d}}", "f") == (
        "a: {\n"
        "    b: [\n"
        "      word-0, word-1, word-2, word-3, word-4, word-5, word-6, word-7, word-8, word-9, word-10, word-11, word-12, word-13,\n"
        "      word-14, word-15, word-16, word-17, word-18, word-19\n"
        "    ],\n"
        "    c: d\n"
        "  }\n"
    )


@pytest.mark.parametrize("text", ["# only a comment\n\n", "---\n", "~\n"])
def test_what_says_nothing_is_left_alone(text: str) -> None:
    assert formatted(text, "f") == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:\n  ? b\n  : c\n", "f:2:5: cannot be formatted: a key is not a plain word; the file is left as it is"),
        ("--- {a: b}\n", "f:1:5: cannot be formatted: the first value is on the line of the document's marker; the file is left as it is"),
        ("a: |2\n    b\n", "f:1:4: cannot be formatted: a block text states its own indentation; the file is left as it is"),
        ("a: {b: # c\n  d}\n", "f:1:8: cannot be formatted without losing this comment; the file is left as it is"),
        ("a: [\n", "f:2:1: not YAML: did not find expected node content"),
    ],
)  # fmt: skip
def test_what_cannot_be_formatted_is_left_alone(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        formatted(text, "f")
    assert [str(item) for item in error.value.problems] == [problem]
