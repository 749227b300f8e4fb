"""Changes of a file's text: what is not meant stays, to the letter."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.yaml.editing import NotEditable, append_item, delete_item, put_keys
from gateway.yaml.writing import OneLine

LANES = ("lane_groups", 0, "lanes")
NEW = {"name": "new", "tag": "t", "match": [OneLine(param="a", equals="::1")]}

BLOCK = """\
# head
lane_groups:
  # before the group
  - name: g  # behind the name
    lanes:  # behind the key
      # before one
      - {name: one, tag: t}  # behind one
      # between

      - name: two
        # inside
        tag: t  # behind two
        # below two
      # closing
  # below the group
# end
"""
WITHOUT_ONE = BLOCK.replace("      - {name: one, tag: t}  # behind one\n", "")
WITHOUT_TWO = BLOCK.replace("      - name: two\n        # inside\n        tag: t  # behind two\n", "")
ADDED = """\
      - name: new
        tag: t
        match:
          - {param: a, equals: '::1'}
"""


def changed(text: str, before: str, after: str) -> str:
    assert text.count(before) == 1
    return text.replace(before, after)


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("strip", [False, True], ids=["", "without a last line break"])
@pytest.mark.parametrize(
    ("edited", "wanted"),
    [
        pytest.param(lambda text: delete_item(text, (*LANES, 0)), WITHOUT_ONE, id="the first is deleted"),
        pytest.param(lambda text: delete_item(text, (*LANES, 1)), WITHOUT_TWO, id="the last is deleted"),
        pytest.param(
            lambda text: append_item(text, LANES, NEW),
            changed(BLOCK, "      # closing\n", ADDED + "      # closing\n"),
            id="one is added",
        ),
        pytest.param(
            lambda text: put_keys(text, (*LANES, 0), {"tag": "a: b"}),
            changed(BLOCK, "{name: one, tag: t}", "{name: one, tag: 'a: b'}"),
            id="in braces: a value is replaced",
        ),
        pytest.param(
            lambda text: put_keys(text, (*LANES, 0), {"owner": "me"}, ["tag"]),
            changed(BLOCK, "{name: one, tag: t}", "{name: one, owner: me}"),
            id="in braces: a key goes, one comes",
        ),
        pytest.param(
            lambda text: put_keys(text, (*LANES, 1), {"tag": "::1"}),
            changed(BLOCK, "        tag: t  #", "        tag: '::1'  #"),
            id="on lines: a value is replaced",
        ),
        pytest.param(
            lambda text: put_keys(text, (*LANES, 1), {"match": NEW["match"]}),
            changed(BLOCK, "# behind two\n", "# behind two\n        match:\n          - {param: a, equals: '::1'}\n"),
            id="on lines: a key comes",
        ),
        pytest.param(
            lambda text: put_keys(text, (*LANES, 1), {}, ["tag"]),
            changed(BLOCK, "        tag: t  # behind two\n", ""),
            id="on lines: a key goes",
        ),
        pytest.param(
            lambda text: put_keys(text, (*LANES, 1), {}, ["name"]),
            changed(BLOCK, "- name: two\n        # inside\n        tag", "- \n        # inside\n        tag"),
            id="on lines: the key behind the dash goes",
        ),
    ],
)
def test_what_is_changed_and_nothing_else(edited: Any, wanted: str, strip: bool, ends: str) -> None:
    before, after = (text.rstrip("\n") if strip else text for text in (BLOCK, wanted))
    assert edited(before.replace("\n", ends)) == after.replace("\n", ends)


@pytest.mark.parametrize(
    ("lanes", "wanted"),
    [
        pytest.param("    lanes: []  # none\n    # closing\n", "    lanes:  # none\n{}    # closing\n", id="empty"),
        pytest.param("    lanes: [ # none\n    ]\n", "    lanes: [ # none\n    {-2}]\n", id="empty but for a comment"),
        pytest.param("    lanes:  # none\n    # closing\n", "    lanes:  # none\n{}    # closing\n", id="nothing"),
        pytest.param("    lanes: ~\n", "    lanes:\n{}", id="null"),
        pytest.param("    # no key\n", "    lanes:\n{}    # no key\n", id="no key"),
        pytest.param("    lanes:\n    - {name: x} # c\n", "    lanes:\n    - {name: x} # c\n{-2}", id="no indent"),
    ],
)
def test_the_first_lanes_of_a_group(lanes: str, wanted: str) -> None:
    flow = "{name: new, tag: t, match: [{param: a, equals: '::1'}]}"
    less = "\n".join(line.removeprefix("  ") for line in ADDED.split("\n"))
    text = append_item("lane_groups:\n  - name: g\n" + lanes, LANES, NEW)
    assert text == "lane_groups:\n  - name: g\n" + wanted.replace("{}", ADDED).replace(
        "{-2}", less if wanted.endswith("{-2}") else flow
    )


@pytest.mark.parametrize(
    ("lanes", "added", "deleted"),
    [
        ("[]", "[{k: new}]", ""),
        ("[\n  # none\n]", "[\n  # none\n{k: new}]", ""),
        ("[{k: a}]", "[{k: a}, {k: new}]", "[]"),
        ("[{k: a},]", "[{k: a}, {k: new},]", "[]"),
        ("[ {k: a}, {k: b} ]", "[ {k: a}, {k: b}, {k: new} ]", "[ {k: b} ]"),
        ("[\n  {k: a}, # a\n  {k: b}  # b\n]", "[\n  {k: a}, # a\n  {k: b},  # b\n  {k: new}\n]", "[\n   # a\n  {k: b}  # b\n]"),
        ("[\n  {k: a}, # a\n  {k: b}, # b\n]", "[\n  {k: a}, # a\n  {k: b}, # b\n  {k: new},\n]", "[\n   # a\n  {k: b}, # b\n]"),
        ("[\n  {k: a},\n  {k: b}\n]", "[\n  {k: a},\n  {k: b},\n  {k: new}\n]", "[\n  {k: b}\n]"),
        ('[{"k":"a"}]', '[{"k":"a"}, {k: new}]', "[]"),
    ],
)  # fmt: skip
def test_lanes_in_brackets(lanes: str, added: str, deleted: str) -> None:
    text = "lane_groups: [{name: g, lanes: %s}] # end"
    assert append_item(text % lanes, LANES, {"k": "new"}) == text % added
    if deleted:
        assert delete_item(text % lanes, (*LANES, 0)) == text % deleted


SHARED = """\
lane_groups:
  - name: g
    lanes: &all
      - &one
        name: a  # of a
        match: &conditions
          # which
          - {param: a, equals: b}
      - {name: b, match: *conditions}
  - name: h
    lanes: *all
  - name: i
    lanes:
      - *one
"""


def test_what_others_refer_to_moves_to_the_first_of_them() -> None:
    assert put_keys(SHARED, (*LANES, 0), {"match": []}) == """\
lane_groups:
  - name: g
    lanes:
      -
        name: a  # of a
        match: []
          # which
      - {name: b, match: &conditions [{param: a, equals: b}]}
  - name: h
    lanes: &all [{name: a, match: [{param: a, equals: b}]}, {name: b, match: [{param: a, equals: b}]}]
  - name: i
    lanes:
      - &one {name: a, match: [{param: a, equals: b}]}
"""  # fmt: skip


def test_what_is_said_by_reference_is_written_out_before_it_changes() -> None:
    lane = ("lane_groups", 2, "lanes", 0)
    assert put_keys(SHARED, lane, {"match": "${X}"}) == changed(SHARED, "- *one", "- {name: a, match: '$${X}'}")
    assert delete_item(SHARED, lane) == changed(SHARED, "    lanes:\n      - *one\n", "    lanes: []\n")
    group = ("lane_groups", 1, "lanes")
    assert delete_item(SHARED, (*group, 0)) == changed(
        SHARED, "lanes: *all", "lanes: [{name: b, match: [{param: a, equals: b}]}]"
    )


def test_a_variable_elsewhere_stays_one() -> None:
    text = "lane_groups: [{name: g, lanes: [{name: '${LANE}', tag: t}]}]"
    assert put_keys(text, (*LANES, 0), {"tag": "${TAG}"}) == text.replace("tag: t", "tag: '$${TAG}'")


def test_markers_of_the_document_stay() -> None:
    text = "%YAML 1.1\n---\nlane_groups:\n- name: g\n  lanes:\n  - {k: a}\n...\n# end\n"
    assert append_item(text, LANES, {"k": "b"}) == text.replace("- {k: a}\n", "- {k: a}\n  - k: b\n")


def test_what_cannot_be_changed_alone_is_refused() -> None:
    """A text that keeps its last line breaks ends where the next line would go."""
    text = "lane_groups:\n- name: g\n  lanes:\n  - name: a\n    owner: |+\n      x\n\n\n- name: h\n"
    with pytest.raises(NotEditable, match=r"lane_groups\.0: the file is written in a way that cannot be changed here"):
        append_item(text, LANES, NEW)
