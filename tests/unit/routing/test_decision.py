"""The decision as people and programs read it."""

from __future__ import annotations

import json

from gateway.instance import Instance
from gateway.routing.decision import Decision


def full() -> Decision:
    decision = Decision(7, "192.0.2.1")
    decision.route, decision.service = "shop.example/A", "a"
    decision.group, decision.lane = "demo", "gray"
    decision.tag, decision.tag_source = "gray", "rule"
    decision.pool, decision.fallback = "base", "absent"
    decision.lost = "no_id"
    decision.lost_tag = "gray"
    decision.reject("forged")
    decision.rules, decision.unknown_rules = "0123456789ab", "ba9876543210"
    decision.instance = Instance("10.0.0.1", 80)
    return decision


def test_as_plain_values_what_is_not_there_is_none() -> None:
    assert Decision(7).as_dict() == {
        "route": None,
        "service": None,
        "group": None,
        "lane": None,
        "tag": "base",
        "tag_source": "none",
        "pool": "base",
        "fallback": None,
        "lost": None,
        "lost_tag": None,
        "signature": None,
        "fault": None,
        "mirror": None,
        "instance": None,
        "chosen_by": None,
        "error": None,
        "detail": None,
        "revision": 7,
        "rules": None,
        "unknown_rules": None,
    }


def test_as_plain_values_everything_has_its_name() -> None:
    decision = full()
    decision.refuse("no_instances", "nobody is there")
    decision.is_copy = True
    assert decision.as_dict() == {
        "route": "shop.example/A",
        "service": "a",
        "group": "demo",
        "lane": "gray",
        "tag": "gray",
        "tag_source": "rule",
        "pool": "base",
        "fallback": "absent",
        "lost": "no_id",
        "lost_tag": "gray",
        "signature": "forged",
        "fault": None,
        "mirror": True,
        "instance": "10.0.0.1:80",
        "chosen_by": None,
        "error": "no_instances",
        "detail": "nobody is there",
        "revision": 7,
        "rules": "0123456789ab",
        "unknown_rules": "ba9876543210",
    }


def test_who_asked_why_is_told_in_one_line() -> None:
    decision = full()
    decision.response_fields = b"\r\nSet-Cookie: a=b"
    assert decision.response_lines() == b"\r\nSet-Cookie: a=b"
    decision.explains = True
    lines = decision.response_lines()
    start = b"\r\nSet-Cookie: a=b\r\nX-Gray-Explain: "
    assert lines.startswith(start)
    facts = {key: value for key, value in decision.as_dict().items() if value is not None}
    assert json.loads(lines[len(start) :]) == facts
    assert lines.isascii()
    assert b" " not in lines[len(start) :]
    assert b"\n" not in lines[len(start) :]
