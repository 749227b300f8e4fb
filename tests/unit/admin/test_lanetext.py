"""A lane as YAML: read as a file of rules would be, and written as one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.admin.lanetext import lane_text, read_lane
from gateway.rules.model import Lane
from gateway.ruletools.format import plain_lane
from gateway.web.problems import Rejected

LANE: dict[str, Any] = {
    "name": "gray",
    "tag": "gray",
    "expires": "2027-03-31T23:59:59Z",
    "match": [{"cookie": "uid", "percent": 5.0}, {"param": "group", "in": ["1", "on"]}],
    "enabled": True,
}


def test_what_is_written_is_read_back() -> None:
    text = lane_text(LANE)
    assert text == (
        "name: gray\ntag: gray\nexpires: '2027-03-31T23:59:59Z'\nmatch:\n"
        "  - {cookie: uid, percent: 5}\n  - {param: group, in: ['1', 'on']}\nenabled: true\n"
    )
    assert read_lane(text.encode()) == LANE


def test_a_sound_lane_has_its_values_and_only_what_it_says() -> None:
    read = read_lane(b"name: gray\ntag: gray\nexpires: 2027-03-31\nmatch: [{cookie: uid, percent: 12.50}]\n")
    assert read == {
        "name": "gray", "tag": "gray", "expires": "2027-03-31T23:59:59Z", "match": [{"cookie": "uid", "percent": 12.5}]
    }  # fmt: skip
    assert json.loads(json.dumps(plain_lane(Lane.model_validate(read)))) == read


def test_an_unsound_lane_is_handed_on_as_it_is_for_its_fields_to_be_told() -> None:
    assert read_lane(b"name: gray\nmatch: [{percent: 101}]\n") == {"name": "gray", "match": [{"percent": "101"}]}
    assert read_lane(b"- 1") == ["1"]
    assert read_lane(b"# nothing") is None


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"a: [", "lane:2:1: not YAML"),
        (b"a: 1\na: 2", "lane:2:1: key 'a' is given twice"),
        (b"a: &x [*x]", "lane:1:4: an alias refers to a value that contains it"),
        (b"a: ${PATH}", "PATH"),
        (b"\xff", "the body is not UTF-8 (byte 0)"),
        (b"[" * 100, "nested too deeply"),
        (b"a: &a [1,1,1,1,1,1,1,1,1,1]\n" + b"\n".join(
            b"%c: &%c [%s]" % (ord("b") + n, ord("b") + n, b",".join([b"*%c" % (ord("a") + n)] * 10)) for n in range(8)
        ), "more than 250,000 values"),
    ],
    ids=["none", "twice", "itself", "variable", "bytes", "deep", "laughs"],
)  # fmt: skip
def test_what_is_no_yaml_is_told_with_its_place(content: bytes, detail: str) -> None:
    """Also what asks for much, or for what the gateway's environment says."""
    with pytest.raises(Rejected) as caught:
        read_lane(content)
    assert (caught.value.status, caught.value.code) == (400, "bad_yaml")
    assert detail in caught.value.detail
