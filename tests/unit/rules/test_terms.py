"""The digest of terms: the same wherever the same rules are read, another if they say anything else of marked requests."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.rules.environment import Place
from gateway.signedtag import is_digest
from tests.support.rules import compiled

MATCH = [{"param": "a", "equals": "b"}]


def digest(lane: dict[str, Any] | None = None, **group: Any) -> str:
    lanes = [{"name": "l", "tag": "gray", "match": MATCH, **(lane or {})}]
    return compiled([{"name": "g", "services": ["a", "b"], "lanes": lanes, **group}]).terms.digest


def test_it_has_its_form() -> None:
    assert is_digest(digest())
    assert not any(map(is_digest, ["", "0" * 11, "0" * 13, "0" * 11 + "g", "0" * 11 + "A", "0" * 12 + "\n"]))


def test_every_place_has_the_same() -> None:
    group = {"name": "g", "entry": ["shop"], "lanes": [{"name": "l", "tag": "gray", "match": MATCH}]}
    places = [Place("shop"), Place("other"), Place("a", is_entry=False)]
    assert len({compiled([group], place=place).terms.digest for place in places}) == 1


@pytest.mark.parametrize(
    "same",
    [
        {"lane": {"match": [{"param": "a", "equals": "c"}]}},
        {"lane": {"name": "other", "owner": "me", "paths": ["/x"]}},
        {"services": ["b", "a"]},
        {"order": 5},
    ],
)
def test_what_only_matching_looks_at_is_no_part_of_it(same: dict[str, Any]) -> None:
    assert digest(**same) == digest()


@pytest.mark.parametrize(
    "other",
    [
        {"services": ["a"]},
        {"services": []},
        {"lane": {"strict": True}},
        {"lane": {"tag": "blue"}},
        {"enabled": False, "baseline": "closed_lanes_rejoin"},
    ],
)
def test_whatever_decides_a_marked_request_is(other: dict[str, Any]) -> None:
    assert digest(**other) != digest()
