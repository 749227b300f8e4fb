"""What rules say of a tag once they are compiled: sidecars know the tag only, not the lane."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.rules import NOW, compiled

MATCH = [{"param": "group", "equals": "gray"}]
PAST, FUTURE = "2027-01-15T07:59:59Z", "2027-01-15T08:00:01Z"
assert NOW == 1_800_000_000.0  # between the two


def rules(*lanes: dict[str, Any], **group: Any) -> Any:
    named = [{"name": f"l{number}", "tag": "gray", "match": MATCH, **lane} for number, lane in enumerate(lanes)]
    return compiled([{"name": "g", "lanes": named, **group}])


@pytest.mark.parametrize(
    ("lanes", "strict"),
    [
        pytest.param([{}], False, id="permissive"),
        pytest.param([{"strict": True}], True, id="strict"),
        pytest.param([{"strict": True}, {"strict": True}], True, id="both strict"),
        pytest.param([{"strict": True}, {}], False, id="the second is permissive"),
        pytest.param([{}, {"strict": True}], False, id="the first is permissive"),
        pytest.param([{"strict": True}, {"tag": "blue"}], True, id="another tag's lane is permissive"),
        pytest.param([{"strict": True}, {"enabled": False}], True, id="a permissive one that is closed"),
        pytest.param([{"strict": True}, {"expires": PAST}], True, id="a permissive one that has expired"),
        pytest.param([{"strict": True}, {"expires": FUTURE}], False, id="a permissive one that has yet to expire"),
        pytest.param([{"strict": True, "enabled": False}], False, id="strict, and closed"),
        pytest.param([{"strict": True, "enabled": False}, {}], False, id="the strict one is closed"),
    ],
)
def test_a_tag_is_strict_if_every_open_lane_of_it_is(lanes: list[dict[str, Any]], strict: bool) -> None:
    assert rules(*lanes).terms.is_strict("gray") is strict


def test_a_tag_that_no_lane_has_is_not_strict() -> None:
    assert not rules({"strict": True}).terms.is_strict("blue")


def test_strictness_counts_over_all_groups() -> None:
    lane = {"name": "l", "tag": "gray", "match": MATCH}
    both = compiled(
        [{"name": "one", "lanes": [{**lane, "strict": True}]}, {"name": "two", "services": ["b"], "lanes": [lane]}]
    )
    assert not both.terms.is_strict("gray")


def test_a_tag_holds_the_services_of_every_group_that_has_it_closed_ones_too() -> None:
    lane = {"name": "l", "tag": "gray", "match": MATCH}
    both = compiled(
        [
            {"name": "one", "services": ["a"], "lanes": [lane]},
            {"name": "two", "services": ["b"], "enabled": False, "lanes": [lane]},
        ]
    )
    assert [both.terms.holds("gray", service) for service in "abc"] == [True, True, False]
    assert both.terms.holds("blue", "c")  # no lane of this tag: nothing is said


def test_a_group_without_services_holds_every_one() -> None:
    lane = {"name": "l", "tag": "gray", "match": MATCH}
    both = compiled([{"name": "one", "services": ["a"], "lanes": [lane]}, {"name": "two", "lanes": [lane]}])
    assert both.terms.holds("gray", "c")


@pytest.mark.parametrize(
    ("enabled", "baseline", "rejoins"),
    [
        (True, "closed_lanes_rejoin", frozenset()),
        (False, "closed_lanes_rejoin", frozenset({"gray"})),
        (False, "untagged", frozenset()),
    ],
)
def test_instances_of_closed_lanes_rejoin_where_the_group_says_so(
    enabled: bool, baseline: str, rejoins: frozenset[str]
) -> None:
    compiled_rules = rules({"enabled": enabled}, baseline=baseline, services=["a"])
    assert compiled_rules.terms.rejoining("a") == rejoins
    assert compiled_rules.terms.rejoining("b") == frozenset()


def test_a_tag_with_one_open_lane_does_not_rejoin() -> None:
    assert rules({"enabled": False}, {}, baseline="closed_lanes_rejoin").terms.rejoining("a") == frozenset()
