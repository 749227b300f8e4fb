"""Shares: disjoint in a group, growing without moving anybody, and the same everywhere."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.http.request import Request
from gateway.rules.model import LaneGroup
from gateway.rules.seal import CookieSeal
from gateway.rules.shares import BUCKETS
from tests.support.rules import NOW


def group(*shares: Any, closed: tuple[int, ...] = ()) -> LaneGroup:
    """A group whose lanes split by one cookie."""
    lanes = [
        {
            "name": f"l{number}",
            "tag": "t",
            "enabled": number not in closed,
            "match": [{"cookie": "uid", "percent": share}],
        }
        for number, share in enumerate(shares)
    ]
    return LaneGroup.model_validate({"name": "g", "lanes": lanes})


def buckets(group: LaneGroup) -> list[set[int]]:
    """The buckets of each lane."""
    shares = group.shares()
    return [
        {bucket for low, high in shares.spans_of(lane.name, lane.match[0]) for bucket in range(low, high)}
        for lane in group.lanes
    ]


PERCENT = st.integers(0, 3000).map(lambda hundredths: hundredths / 100)


@given(st.lists(PERCENT, min_size=1, max_size=6))
def test_lanes_of_a_group_are_disjoint_and_have_what_they_ask_for(shares: list[float]) -> None:
    if sum(shares) > 100:
        with pytest.raises(ValidationError, match="lanes of a group share 100 %"):
            group(*shares)
        return
    held = buckets(group(*shares))
    assert [len(lane) for lane in held] == [round(share * 100) for share in shares]
    for one, other in itertools.combinations(held, 2):
        assert not one & other


@given(st.lists(st.integers(0, 25), min_size=4, max_size=4), st.integers(0, 3), st.integers(0, 25))
def test_a_lane_that_grows_to_a_quarter_moves_nobody(shares: list[int], which: int, grown: int) -> None:
    before = buckets(group(*shares))
    after = buckets(group(*shares[:which], max(grown, shares[which]), *shares[which + 1 :]))
    assert before[which] <= after[which]
    assert [held for number, held in enumerate(before) if number != which] == [
        held for number, held in enumerate(after) if number != which
    ]


@given(st.lists(PERCENT, min_size=2, max_size=6), st.integers(0, 5))
def test_closing_a_lane_moves_nobody(shares: list[float], which: int) -> None:
    if sum(shares) <= 100:
        assert buckets(group(*shares)) == buckets(group(*shares, closed=(which % len(shares),)))


@given(st.lists(PERCENT, min_size=1, max_size=5), PERCENT)
def test_a_lane_at_the_end_moves_nobody(shares: list[float], added: float) -> None:
    if sum(shares) + added <= 100:
        assert buckets(group(*shares, added))[:-1] == buckets(group(*shares))


def test_written_spans_are_held_as_they_stand_and_others_grow_around_them() -> None:
    assert buckets(group(["10-20", "0-2.5"], 15)) == [{*range(250), *range(1000, 2000)}, set(range(5000, 6500))]
    before = buckets(group(["40-60"], 30))
    assert before[1] == set(range(6000, 9000))
    grown = buckets(group(["40-60"], 50))
    assert before[1] <= grown[1]
    assert len(grown[1]) == 5000


def test_two_lanes_cannot_hold_the_same() -> None:
    with pytest.raises(
        ValidationError,
        match="the lanes l0 and l1 split by the same cookie uid and both hold 15-20; free are 0-10, 30-100",
    ):
        group(["10-20"], ["15-30"])
    with pytest.raises(ValidationError, match="both hold 1-2"):
        group(["0-50"], ["1-2"])
    with pytest.raises(ValidationError, match="ask for 101 % together"):
        group(["0-50"], 51)


def test_different_keys_and_groups_draw_independently() -> None:
    lanes = [
        {"name": "a", "tag": "t", "match": [{"cookie": "uid", "percent": 80}]},
        {"name": "b", "tag": "t", "match": [{"header": "x-user", "percent": 80}]},
    ]
    assert len(LaneGroup.model_validate({"name": "g", "lanes": lanes}).lanes) == 2


def test_one_lane_may_look_at_its_share_twice() -> None:
    twice = {
        "any": [
            {"cookie": "uid", "percent": 60},
            {"all": [{"cookie": "uid", "percent": 70}, {"param": "a", "exists": True}]},
        ]
    }
    group = LaneGroup.model_validate({"name": "g", "lanes": [{"name": "l", "tag": "t", "match": [twice]}]})
    shares = group.shares()
    assert [shares.spans_of("l", leaf) for leaf in group.lanes[0].leaves() if leaf.cookie] == [
        ((0, 6000),),
        ((0, 7000),),
    ]


def test_hundreds_of_lanes_fit() -> None:
    held = buckets(group(*[0.25] * 400))
    assert len(set().union(*held)) == BUCKETS


class TestSeal:
    seal = CookieSeal("lane", "0123456789abcdef", lambda: NOW)

    def request(self, value: str) -> Request:
        return Request.build("GET", "/", [("Cookie", f"lane={value}")])

    def test_a_cookie_names_its_lane_until_it_expires(self) -> None:
        value = self.seal.value("g/l", 60)
        assert self.seal.lane_of(self.request(value)) == "g/l"
        later = CookieSeal("lane", "0123456789abcdef", lambda: NOW + 60)
        assert later.lane_of(self.request(value)) == ""
        assert self.seal.is_fresh(self.request(value), "g/l", 60)
        assert not self.seal.is_fresh(self.request(value), "g/m", 60)
        assert not CookieSeal("lane", "0123456789abcdef", lambda: NOW + 31).is_fresh(self.request(value), "g/l", 60)

    @pytest.mark.parametrize("change", [
        lambda value: value.replace("g/l", "g/m"),
        lambda value: value.replace("~", "~f", 1),
        lambda value: value[:-1],
        lambda value: "",
        lambda value: "~~",
        lambda value: "é~1~x",
        lambda value: value + "=",
    ])  # fmt: skip
    def test_nobody_writes_one(self, change: Any) -> None:
        value = self.seal.value("g/l", 60)
        assert self.seal.lane_of(self.request(change(value))) == ""
        assert CookieSeal("lane", "another secret!!", lambda: NOW).lane_of(self.request(value)) == ""
