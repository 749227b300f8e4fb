"""Shares that grow by the clock: the same step everywhere, nobody leaves, and what comes next is known."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.rules.buckets import BUCKETS
from gateway.rules.compile import compile_rules
from gateway.rules.explain import explain
from gateway.rules.model import Lane, LaneGroup
from gateway.rules.schedule import Schedule, spans_at
from gateway.ruletools.format import plain_lane
from tests.support.asked import asked
from tests.support.rules import NOW, around, rule_set

HOUR = 3600.0
START = "2027-01-15T08:00:00+00:00"
"""NOW."""


def schedule(**values: Any) -> Schedule:
    return Schedule.model_validate({"start": START, "steps": ["1", "10"], "over": "2h", **values})


def lane(**values: Any) -> dict[str, Any]:
    return {"name": "gray", "tag": "gray", "match": [{"cookie": "uid", "percent": "50"}], **values}


@pytest.mark.parametrize(
    ("after", "share", "following"),
    [
        (-1.0, 0.0, (NOW, 1.0)),
        (0.0, 1.0, (NOW + HOUR, 10.0)),
        (HOUR - 0.001, 1.0, (NOW + HOUR, 10.0)),
        (HOUR, 10.0, (NOW + 2 * HOUR, 50.0)),
        (2 * HOUR, 50.0, None),
        (1e9, 50.0, None),
    ],
)
def test_the_share_at_a_time_and_the_step_that_comes_next(
    after: float, share: float, following: tuple[float, float] | None
) -> None:
    found = schedule()
    assert (found.share_at(NOW + after, 50.0), found.next_step(NOW + after, 50.0)) == (share, following)


def test_a_schedule_that_is_held_does_not_grow_beyond_it() -> None:
    held = schedule(hold="1")
    assert [held.share_at(NOW + after, 50.0) for after in (-1.0, 0.0, HOUR, 9 * HOUR)] == [0.0, 1.0, 1.0, 1.0]
    assert (held.next_step(NOW - 1, 50.0), held.next_step(NOW, 50.0)) == ((NOW, 1.0), None)
    assert held.shown_at(NOW, 50.0) == "1 % now, held"


def test_what_a_schedule_says_in_words() -> None:
    shown = [schedule().shown_at(NOW + after, 50.0) for after in (-1.0, HOUR, 2 * HOUR)]
    assert shown == [
        "0 % now, 1 % from 2027-01-15T08:00:00Z",
        "10 % now, 50 % from 2027-01-15T10:00:00Z",
        "50 % now, complete",
    ]


def test_everybody_who_is_in_stays_in_and_no_other_lane_is_touched() -> None:
    several = [lane(schedule={"start": START, "steps": ["1", "10"], "over": "2h"}), lane(name="other")]
    group = LaneGroup.model_validate({"name": "g", "lanes": several})
    shares, growing, other = group.shares(), group.lanes[0], group.lanes[1]
    held = []
    for after in (-1.0, 0.0, HOUR, 2 * HOUR):
        assert growing.schedule is not None
        spans = spans_at(shares.spans_of("gray", growing.match[0]), 50.0, growing.schedule, NOW + after)
        held.append({bucket for low, high in spans for bucket in range(low, high)})
    assert [len(buckets) for buckets in held] == [0, 100, 1000, 5000]
    assert all(before < after for before, after in pairwise(held))
    others = {bucket for low, high in shares.spans_of("other", other.match[0]) for bucket in range(low, high)}
    assert held[-1] | others == set(range(BUCKETS))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": {"start": "2027-01-15", "steps": ["1"], "over": "2h"}}, "2027-01-15T09:00:00+08:00"),
        ({"schedule": {"start": "2027-01-15T08:00:00", "steps": ["1"], "over": "2h"}}, "has no time zone"),
        ({"schedule": {"start": START, "steps": [], "over": "2h"}}, "at least 1 item"),
        ({"schedule": {"start": START, "steps": ["10", "1"], "over": "2h"}}, "only grows, but 1 comes after 10"),
        ({"schedule": {"start": START, "steps": ["101"], "over": "2h"}}, "from 0 to 100 is accepted; found '101'"),
        ({"schedule": {"start": START, "steps": ["1"], "over": "2 hours"}}, "with m, h or d"),
        ({"schedule": {"start": START, "steps": ["1", "50"], "over": "2h"}}, "schedule.steps: they lead to the lane's"),
        (
            {"match": [{"param": "a", "equals": "b"}], "schedule": {"start": START, "steps": ["1"], "over": "2h"}},
            "schedule: the lane needs one `percent` condition",
        ),
        (
            {
                "match": [{"not": {"cookie": "uid", "percent": "50"}}],
                "schedule": {"start": START, "steps": ["1"], "over": "2h"},
            },
            "schedule: the lane needs one `percent` condition, outside `not`",
        ),
        (
            {
                "match": [{"cookie": "uid", "percent": ["0-5"]}],
                "schedule": {"start": START, "steps": ["1"], "over": "2h"},
            },
            "with one number",
        ),
        (
            {"schedule": {"start": "9999-12-31T23:00:00Z", "steps": ["1"], "over": "2h"}},
            "a start is in the years 1970 to 2999; found '9999-12-31T23:00:00Z'",
        ),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        Lane.model_validate(lane(**values))


def test_a_schedule_is_written_as_it_was_read() -> None:
    said = {"start": "2027-01-15T16:00:00+08:00", "steps": [1.0, 10.0], "over": "2h", "hold": 1.0}
    written = plain_lane(Lane.model_validate(lane(schedule=said)))["schedule"]
    assert written == said


@pytest.mark.parametrize(("after", "share"), [(-1.0, 0), (0.0, 100), (HOUR, 1000), (2 * HOUR, 5000)])
def test_the_index_and_explain_take_the_share_of_the_moment(after: float, share: int) -> None:
    rules = rule_set([{"name": "g", "lanes": [lane(schedule={"start": START, "steps": ["1", "10"], "over": "2h"})]}])
    environment = around(clock=lambda: NOW + after)
    compiled = compile_rules(rules, environment)
    in_share = 0
    for number in range(300):
        found = asked("GET", "/", [("Cookie", f"uid={number}")])
        [evidence] = explain(rules, found, environment)
        bucket = evidence.conditions[0].bucket
        assert bucket is not None
        assert evidence.winner == (bucket < share) == (compiled.match(found) is not None)
        in_share += evidence.winner
    assert (in_share > 0) == (share > 0)


def test_explain_says_the_share_of_the_moment_and_what_comes_next() -> None:
    rules = rule_set([{"name": "g", "lanes": [lane(schedule={"start": START, "steps": ["1", "10"], "over": "2h"})]}])
    [evidence] = explain(rules, asked("GET", "/", [("Cookie", "uid=a")]), around())
    assert (evidence.conditions[0].text, evidence.conditions[0].share) == (
        "cookie uid percent 50 % (schedule: 1 % now, 10 % from 2027-01-15T09:00:00Z)",
        ("0-1",),
    )
