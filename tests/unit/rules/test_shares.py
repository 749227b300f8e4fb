"""Shares: disjoint in a group, changed without moving anybody else, and the same everywhere."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.rules.buckets import BUCKETS
from gateway.rules.context import MatchContext
from gateway.rules.model import LaneGroup
from gateway.rules.signer import CookieSigner
from tests.support.asked import asked
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


def after(now: LaneGroup, which: int, share: Any) -> LaneGroup:
    """The group with one lane's share changed. Raises ValidationError where that is refused."""
    lanes: list[Any] = [lane.match[0].percent for lane in now.lanes]
    return group(*lanes[:which], share, *lanes[which + 1 :])


def refusal_of(now: LaneGroup, which: int, share: Any) -> str:
    """Why a change is refused; empty where it is not."""
    try:
        after(now, which, share)
    except ValidationError as error:
        return str(error)
    return ""


SHARES = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)
SMALL = st.integers(0, 2500).map(lambda hundredths: hundredths / 100)
SPANS = st.lists(st.integers(0, 100), min_size=2, max_size=4, unique=True).map(
    lambda ends: [f"{low}-{high}" for low, high in itertools.pairwise(sorted(ends))][::2]
)
CHANGES = st.lists(st.tuples(st.integers(0, 5), st.one_of(SMALL, SHARES, SPANS)), max_size=12)


@given(st.lists(st.one_of(SMALL, SHARES), min_size=1, max_size=6), CHANGES)
def test_no_change_of_one_lane_ever_moves_anybody_of_another(
    shares: list[float], changes: list[tuple[int, Any]]
) -> None:
    """Whatever the sequence of changes: each is refused, or moves nobody else. Growing keeps who was in, shrinking adds nobody."""
    try:
        now = group(*shares)
    except ValidationError:
        now = group(*[0] * len(shares))
    for which, share in changes:
        which %= len(shares)
        before = buckets(now)
        old = now.lanes[which].match[0].percent
        try:
            now = after(now, which, share)
        except ValidationError:
            continue
        held = buckets(now)
        assert [lane for number, lane in enumerate(held) if number != which] == [
            lane for number, lane in enumerate(before) if number != which
        ]
        assert sum(len(lane) for lane in held) == len(set().union(*held))
        if not isinstance(share, list) and not isinstance(old, list) and old is not None:
            assert len(held[which]) == round(share * 100)
            assert before[which] <= held[which] if share >= old else held[which] <= before[which]


@given(st.lists(SMALL, min_size=2, max_size=6), st.integers(0, 5), SHARES)
def test_the_spans_that_a_refusal_names_move_nobody(shares: list[float], which: int, share: float) -> None:
    which %= len(shares)
    try:
        now = group(*shares)
    except ValidationError:
        return
    before = buckets(now)
    refusal = refusal_of(now, which, share)
    if round(sum(shares) - shares[which] + share, 2) > 100:
        assert "lanes of a group share 100 %" in refusal
    elif refusal:
        named = re.search(rf"l{which} percent: \[([^]]*)\]", refusal)
        assert named is not None
        held = buckets(after(now, which, named[1].split(", ")))
        assert len(held[which]) == round(share * 100)
        assert before[which] <= held[which]
        assert [lane for number, lane in enumerate(held) if number != which] == [
            lane for number, lane in enumerate(before) if number != which
        ]


@given(st.lists(st.integers(0, 25), min_size=4, max_size=4))
def test_four_lanes_have_a_quarter_each_to_grow_in(shares: list[int]) -> None:
    assert [len(lane) for lane in buckets(group(*shares))] == [share * 100 for share in shares]


def test_a_lane_that_would_grow_into_another_is_refused() -> None:
    assert buckets(group(25, 25, 25))[0] == set(range(2500))
    with pytest.raises(ValidationError) as refusal:
        group(40, 25, 25)
    assert (
        "the lanes l0 and l2 split by the same cookie uid and both take 25-40; a share that is one number takes nothing "
        "from another lane. Write down the spans of the lane that is new or was changed: l0 percent: [0-25, 75-90], "
        "or l2 percent: [40-50, 75-90]"
    ) in str(refusal.value)
    assert buckets(group(["0-25", "75-90"], 25, 25))[1:] == buckets(group(25, 25, 25))[1:]


@given(st.lists(SMALL, min_size=2, max_size=6), st.integers(0, 5))
def test_closing_a_lane_moves_nobody(shares: list[float], which: int) -> None:
    try:
        open_lanes = group(*shares)
    except ValidationError:
        return
    assert buckets(open_lanes) == buckets(group(*shares, closed=(which % len(shares),)))


@given(st.lists(SMALL, min_size=1, max_size=5), SMALL)
def test_a_lane_at_the_end_moves_nobody(shares: list[float], added: float) -> None:
    try:
        now, longer = group(*shares), group(*shares, added)
    except ValidationError:
        return
    assert buckets(longer)[:-1] == buckets(now)


def test_written_spans_are_held_as_they_stand() -> None:
    assert buckets(group(["10-20", "0-2.5"], 15)) == [{*range(250), *range(1000, 2000)}, set(range(5000, 6500))]
    with pytest.raises(ValidationError, match=r"and both take 50-60; .*: l1 percent: \[60-90\]"):
        group(["40-60"], 30)


def test_a_lane_grows_around_the_spans_that_it_has_written_itself() -> None:
    either = {"any": [{"cookie": "uid", "percent": 20}, {"cookie": "uid", "percent": ["5-10"]}]}
    lane = LaneGroup.model_validate({"name": "g", "lanes": [{"name": "l", "tag": "t", "match": [either]}]})
    assert [lane.shares().spans_of("l", leaf) for leaf in lane.lanes[0].leaves()] == [
        ((0, 500), (1000, 2500)),
        ((500, 1000),),
    ]


def test_two_lanes_cannot_hold_the_same() -> None:
    with pytest.raises(
        ValidationError,
        match="the lanes l0 and l1 split by the same cookie uid and both take 15-20; free are 0-10, 30-100",
    ):
        group(["10-20"], ["15-30"])
    with pytest.raises(ValidationError, match="both take 1-2"):
        group(["0-50"], ["1-2"])
    with pytest.raises(ValidationError, match="together take 101 %"):
        group(["0-50"], 51)
    either = {"any": [{"cookie": "uid", "percent": 60}, {"cookie": "uid", "percent": ["0-50"]}]}
    with pytest.raises(ValidationError, match="together take 110 %"):
        LaneGroup.model_validate({"name": "g", "lanes": [{"name": "l", "tag": "t", "match": [either]}]})


def test_lanes_that_do_not_mind_case_alike_cannot_share_a_key() -> None:
    def lanes(*conditions: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"name": f"l{n}", "tag": "t", "match": [item]} for n, item in enumerate(conditions)]

    plain, folding = {"cookie": "uid", "percent": 10}, {"cookie": "uid", "percent": 10, "ignore_case": True}
    LaneGroup.model_validate({"name": "g", "lanes": lanes(folding, folding)})
    with pytest.raises(
        ValidationError,
        match="the lanes l0 and l1 split by the same cookie uid, one with ignore_case and one without: their shares "
        "cannot be kept apart",
    ):
        LaneGroup.model_validate({"name": "g", "lanes": lanes(plain, folding)})


def test_a_claim_and_the_pointer_to_it_are_one_key() -> None:
    lanes = [
        {"name": name, "tag": "t", "match": [{"jwt": claim, "percent": 10}]}
        for name, claim in (("a", "sub"), ("b", "/sub"))
    ]
    shares = LaneGroup.model_validate({"name": "g", "lanes": lanes})
    assert [shares.shares().spans_of(lane.name, lane.match[0]) for lane in shares.lanes] == [
        ((0, 1000),),
        ((5000, 6000),),
    ]


@pytest.mark.parametrize("share", ["0.005", "33.333", "1e-3", 0.125, "99.999"])
def test_a_share_that_buckets_cannot_express_is_refused(share: Any) -> None:
    with pytest.raises(ValidationError, match="a share has at most two decimals"):
        group(share)


@pytest.mark.parametrize(
    ("share", "size"), [("0.01", 1), ("33.33", 3333), ("5.000", 500), (0.29, 29), (100, 10_000), ("1e1", 1000)]
)
def test_a_share_takes_exactly_what_it_says(share: Any, size: int) -> None:
    assert len(buckets(group(share))[0]) == size


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
    spans = [[f"{number / 4}-{(number + 1) / 4}"] for number in range(400)]
    assert len(set().union(*buckets(group(*spans)))) == BUCKETS


class TestSeal:
    signer = CookieSigner("lane", "0123456789abcdef", lambda: NOW)

    def request(self, value: str) -> MatchContext:
        return asked("GET", "/", [("Cookie", f"lane={value}")])

    def test_a_cookie_names_its_lane_until_it_expires(self) -> None:
        value = self.signer.value("g/l", 60)
        assert self.signer.lane_of(self.request(value)) == "g/l"
        later = CookieSigner("lane", "0123456789abcdef", lambda: NOW + 60)
        assert later.lane_of(self.request(value)) == ""
        assert self.signer.is_fresh(self.request(value), "g/l", 60)
        assert not self.signer.is_fresh(self.request(value), "g/m", 60)
        assert not CookieSigner("lane", "0123456789abcdef", lambda: NOW + 31).is_fresh(self.request(value), "g/l", 60)

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
        value = self.signer.value("g/l", 60)
        assert self.signer.lane_of(self.request(change(value))) == ""
        assert CookieSigner("lane", "another secret!!", lambda: NOW).lane_of(self.request(value)) == ""
