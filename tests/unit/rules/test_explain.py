"""What explaining shows: every lane, every condition in words, the value found, and who wins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.http.request import Request
from gateway.rules.explain import ConditionEvidence, LaneEvidence, explain
from gateway.rules.match import bucket_of
from gateway.rules.model import Condition, LaneGroup

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
    request = Request.build("GET", "/?group=gray", [("Cookie", "uid=7")])
    in_group = ConditionEvidence("param group equals 'gray'", "gray", True)
    no_user = ConditionEvidence("header x-user in ['alice', 'bob']", None, False)
    bucket = bucket_of("shop", "7")
    share = ConditionEvidence("cookie uid percent 12.5 %", "7", bucket < 1250, bucket)
    assert explain([GROUP], request) == (
        LaneEvidence("shop", "closed", "gray", False, "all", (in_group,), matched=True, winner=False),
        LaneEvidence("shop", "some", "blue", True, "any", (no_user, in_group), matched=True, winner=True),
        LaneEvidence("shop", "late", "gray", True, "all", (in_group,), matched=True, winner=False),
        LaneEvidence("shop", "share", "gray", True, "all", (share,), matched=bucket < 1250, winner=False),
    )


def test_evidence_is_plain_data() -> None:
    (evidence, *_) = explain([GROUP], Request.build("GET", "/"))
    assert json.loads(json.dumps(evidence.as_dict())) == {
        "group": "shop",
        "lane": "closed",
        "tag": "gray",
        "enabled": False,
        "match_mode": "all",
        "conditions": [{"text": "param group equals 'gray'", "value": None, "held": False, "bucket": None}],
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
    ],
)
def test_a_condition_in_words(condition: dict[str, Any], text: str) -> None:
    group = LaneGroup(
        name="g",
        lanes=[{"name": "l", "tag": "t", "match": [Condition.model_validate(condition)]}],  # type: ignore[list-item]
    )
    assert explain([group], Request.build("GET", "/"))[0].conditions[0].text.endswith(text)
