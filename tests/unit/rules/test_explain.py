"""What explaining shows: every lane, every condition in words, the value found, and who wins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.rules.buckets import bucket_of
from gateway.rules.conditions import Condition
from gateway.rules.explain import ConditionEvidence, LaneEvidence, explain, show_condition
from gateway.rules.model import LaneGroup
from tests.support.asked import asked
from tests.support.rules import around, rule_set

GROUP = LaneGroup.model_validate(
    {
        "name": "shop",
        "lanes": [
            {"name": "closed", "tag": "gray", "enabled": False, "match": [{"param": "group", "equals": "gray"}]},
            {
                "name": "some",
                "tag": "blue",
                "match_mode": "any",
                "match": [{"header": "X-User", "in": ["alice", "bob"]}, {"param": "group", "equals": "gray"}],
            },
            {"name": "late", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]},
            {"name": "share", "tag": "gray", "match": [{"cookie": "uid", "percent": 12.5}]},
        ],
    }
)


def test_every_lane_is_shown_with_its_evidence() -> None:
    request = asked("GET", "/?group=gray", [("Cookie", "uid=7")])
    in_group = ConditionEvidence("param group equals 'gray'", "gray", True)
    no_user = ConditionEvidence("header x-user in ['alice', 'bob']", None, False)
    bucket = bucket_of("shop", "7")
    share = ConditionEvidence("cookie uid percent 12.5 %", "7", bucket < 1250, bucket, ("0-12.5",))
    assert explain(rule_set([GROUP]), request, around()) == (
        LaneEvidence("shop", "closed", "gray", "closed", "all", (in_group,), matched=True, winner=False),
        LaneEvidence("shop", "some", "blue", "open", "any", (no_user, in_group), matched=True, winner=True),
        LaneEvidence("shop", "late", "gray", "open", "all", (in_group,), matched=True, winner=False),
        LaneEvidence("shop", "share", "gray", "open", "all", (share,), matched=bucket < 1250, winner=False),
    )


def test_evidence_is_plain_data() -> None:
    (evidence, *_) = explain(rule_set([GROUP]), asked("GET", "/"), around())
    assert json.loads(json.dumps(evidence.as_dict())) == {
        "group": "shop",
        "lane": "closed",
        "tag": "gray",
        "state": "closed",
        "match_mode": "all",
        "conditions": [
            {
                "text": "param group equals 'gray'",
                "value": None,
                "held": False,
                "bucket": None,
                "share": [],
                "kept": False,
                "members": [],
            }
        ],
        "matched": False,
        "winner": False,
    }


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ({"param": "a", "exists": True}, "param a exists"),
        ({"param": "a", "exists": False}, "param a is absent"),
        ({"param": "n", "range": ["1234567", "1234567.5"]}, "param n range 1234567 to 1234567.5"),
        ({"path": {"prefix": "/beta"}}, "path prefix '/beta'"),
        ({"client_ip": {"not_in": ["10.0.0.0/8"]}}, "client_ip not_in ['10.0.0.0/8']"),
        ({"param": "a", "percent": 0.01}, "param a percent 0.01 %"),
        ({"param": "a", "percent": ["0-5", "10-12.5"]}, "param a percent 0-5, 10-12.5 %"),
        ({"param": "a", "absent": True}, "param a is absent"),
        ({"jwt": "sub", "segment": "vips", "ignore_case": True}, "jwt sub segment vips (any case)"),
        ({"body": "/user/age", "gte": "18"}, "body /user/age gte 18"),
        (
            {"not": {"any": [{"param": "a", "equals": "1"}, {"param": "b", "equals": "2"}]}},
            "not (param a equals '1' or param b equals '2')",
        ),
        (
            {"time": {"days": ["sat", "sun"], "hours": "09:00-18:00", "zone": "Asia/Shanghai"}},
            "time sat, sun 09:00-18:00 Asia/Shanghai",
        ),
    ],
)
def test_a_condition_in_words(condition: dict[str, Any], text: str) -> None:
    assert show_condition(Condition.model_validate(condition)) == text
