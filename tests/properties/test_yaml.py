"""What is written is read back as it was; what is edited keeps everything that was not meant."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gateway.yaml import reading, tree
from gateway.yaml.editing import append_item, delete_item, put_keys
from gateway.yaml.format import reformatted
from gateway.yaml.reading import parse, parse_verbatim
from gateway.yaml.tree import comments_of as places_of_comments
from gateway.yaml.writing import OneLine, write_yaml
from tests.support.examples import examples
from tests.support.yamltext import Scribe

ODD = [
    "", "null", "~", "yes", "on", "y", "N", "1e3", "0x10", "0o7", "1_000", ".5", "1.", "-.inf", ".nan", "12:30:45", "2027-01-01",
    "=", "<<", "*x", "&x", "!x", "!!str x", "- x", "-", "---", "...", "? a", "%x", "@x", "`x", "|", ">", "'", '"', "\\", "#", "a #b",
    ": ", "a: b", "a:b", "::1", ":", ",", "[", "{a", "a]", "\t", "a\tb", " ", " a", "a ", "a  b", "\n", "a\nb", "a\n\n b \n", "\r",
    "\r\n", "\0", "\x07", "\x1b[31m", "\x7f", "\x85", "a\x85b", "\xa0", "\u2028", "\u2029", "\u200b", "\ufeff", "\ufffe", "é", "商品",
    "😀", "\U0010ffff", "${X}", "$${X}", "$$${X}", "${X:-y}", "${X:-${Y}}", "$", "$$", "${", "${X", "$x", "${1}", "true", "a" * 200,
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.lists(st.sampled_from(ODD), max_size=4).map("".join),
)
DATA = st.recursive(
    st.one_of(TEXTS, st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(TEXTS, inner, max_size=3),
        st.dictionaries(TEXTS, inner, max_size=3).map(OneLine),
    ),
    max_leaves=8,
)
ENVIRONMENT = {"X": "no", "Y": "no"}


@pytest.fixture(scope="module", params=["libyaml", "Python"])
def loader(request: pytest.FixtureRequest) -> Any:
    """The reader of YAML: PyYAML comes with and without libyaml."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (reading, tree):
            patch.setattr(module, "LOADER", {"libyaml": yaml.CSafeLoader, "Python": yaml.SafeLoader}[request.param])
        yield


@examples(80)
@given(DATA, st.booleans())
def test_what_is_written_is_read_back_as_it_was(loader: None, data: Any, is_flow: bool) -> None:
    assert parse(write_yaml(data, is_flow=is_flow), "f", ENVIRONMENT).data == data


@examples(80)
@given(DATA, st.booleans())
def test_other_readers_read_the_same(data: Any, is_flow: bool) -> None:
    text = write_yaml(data, has_variables=False, is_flow=is_flow)
    assert yaml.safe_load(text) == data  # YAML 1.1
    assert YAML(typ="safe", pure=True).load(text) == data  # YAML 1.2


NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))


@given(NUMBERS)
def test_a_number_is_one_to_every_reader(number: float) -> None:
    text = write_yaml({"a": number}, has_variables=False)
    assert float(parse(text, "f", {}).data["a"]) == float(number)
    assert float(YAML(typ="safe", pure=True).load(text)["a"]) == float(number)
    assert not isinstance(YAML(typ="safe", pure=True).load(text)["a"], str)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a\ud800", r"'a\ud800' contains a lone surrogate, which is not a character"),
        ({"\udfff": "x"}, r"'\udfff' contains a lone surrogate, which is not a character"),
        ([float("inf")], "a number must be finite; found inf"),
        ({"a": float("nan")}, "a number must be finite; found nan"),
    ],
)
def test_what_no_yaml_can_say_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        write_yaml(data)
    assert str(error.value) == message


def test_what_is_nested_deeper_than_a_reader_takes_is_refused() -> None:
    deep: Any = "x"
    for _ in range(64):
        deep = [deep]
    parse(write_yaml(deep), "f", {})
    with pytest.raises(ValueError, match="more than 64 values inside one another"):
        write_yaml([deep])


def comments_of(text: str) -> list[str]:
    return [comment for _, comment in places_of_comments(text)]


VALUES = st.one_of(
    st.sampled_from(ODD),
    st.sampled_from(["a", "b"]),
    st.lists(st.sampled_from(["a", "::1", "x y"]), max_size=3),
    st.lists(
        st.fixed_dictionaries({"param": st.just("p"), "equals": st.sampled_from(["x", "y"])}), min_size=1, max_size=2
    ),
)
LANES = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["l", "m"])}, optional={"tag": VALUES, "match": VALUES, "owner": st.none()}
    ),
    max_size=3,
)
FILES = st.lists(
    st.fixed_dictionaries({"name": st.just("g"), "lanes": LANES}, optional={"services": VALUES}), min_size=1, max_size=3
)
NEW: dict[str, Any] = {"name": "new", "tag": "${X}", "match": [OneLine(client_ip=OneLine(equals="::1"))]}


def readings(data: Any) -> Any:
    """Data as it is in a file: variables are spelt so that they are none."""
    return parse_verbatim(write_yaml(data), "f").data


@examples(80)
@given(FILES, st.randoms(use_true_random=False))
def test_every_form_of_a_file_can_be_edited(loader: None, groups: list[dict[str, Any]], rng: random.Random) -> None:
    """A change changes what it should, and nothing else: data, comments, line ends."""
    data = {"lane_groups": groups}
    scribe = Scribe(rng)
    text = scribe.write(data)
    number = rng.randrange(len(groups))
    lanes = groups[number]["lanes"]
    place = ("lane_groups", number, "lanes")
    wanted = readings(data)
    assert parse_verbatim(text, "f").data == wanted
    assert sorted(comments_of(text)) == sorted(comment.text for comment in scribe.comments)
    index = rng.randrange(len(lanes)) if lanes else -1
    lane = (*place, index)
    choice = rng.choice(["append", "delete", "put", "drop"]) if lanes else "append"
    after = wanted["lane_groups"][number]["lanes"]
    if choice == "append":
        edited = append_item(text, place, NEW)
        after.append(readings(NEW))
        lost = set()
    elif choice == "delete":
        edited = delete_item(text, lane)
        del after[index]
        lost = {comment.text for comment in scribe.comments if comment.goes_with(lane)}
    elif choice == "put":
        key = rng.choice(["match", "tag", "owner"])
        value = rng.choice([NEW["match"], "x", [], {"a": "b"}, "- x"])
        edited = put_keys(text, lane, {key: value})
        after[index][key] = readings(value)
        lost = {comment.text for comment in scribe.comments if comment.is_inside((*lane, key))}
    else:
        gone = [key for key in lanes[index] if rng.random() < 0.4]
        edited = put_keys(text, lane, {}, gone)
        after[index] = {key: value for key, value in after[index].items() if key not in gone}
        lost = {comment.text for comment in scribe.comments for key in gone if comment.goes_with((*lane, key))}
    assert parse_verbatim(edited, "f").data == wanted
    kept = comments_of(edited)
    assert set(kept) <= {comment.text for comment in scribe.comments}
    assert [comment for comment in comments_of(text) if comment not in kept and comment not in lost] == []
    assert len(kept) == len(set(kept))
    if "\r\n" in text:
        assert "\n" not in edited.replace("\r\n", "")


@examples(60)
@given(FILES, st.randoms(use_true_random=False))
def test_every_form_of_a_file_can_be_formatted(loader: None, groups: list[dict[str, Any]], rng: random.Random) -> None:
    """Data, comments and their order stay; what is formatted is formatted."""
    text = Scribe(rng).write({"lane_groups": groups})
    formatted = reformatted(text)
    assert parse_verbatim(formatted, "f").data == readings({"lane_groups": groups})
    assert comments_of(formatted) == comments_of(text)
    assert reformatted(formatted) == formatted
