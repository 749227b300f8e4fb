"""Recorded requests as rule tests."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.http.head_reader import HeadReader
from gateway.live.evidence import NoEvidence
from gateway.live.ruletest import Drafted, rule_test_of
from gateway.live.store import Stored
from gateway.telemetry.request_record import Reporter
from tests.support.records import marked, record
from tests.support.rules import around, rule_set

HEAD = (
    b"POST /A/x?group=gray&other=1&token=t HTTP/1.1\r\nhost: shop.example\r\nx-user: alice\r\nauthorization: Bearer s\r\n"
    b"cookie: uid=7; session=s\r\ncontent-length: 0\r\n\r\n"
)


def drafted(match: list[dict[str, Any]], made: Any = marked, **values: Any) -> Drafted:
    lanes = [{"name": "gray", "tag": "gray", "match_mode": "any", "match": match}]
    stored = Stored(
        7, Reporter("gateway"), made(**{"head": HEAD, "client_ip": "192.0.2.7", "method": "POST", **values})
    )
    rules = rule_set([{"name": "demo", "lanes": lanes}])
    return rule_test_of(stored, rules, around(), HeadReader("x-gray-tag"), ["token"])


def test_only_what_the_rules_look_at_is_in_the_test() -> None:
    found = drafted(
        [
            {"param": "group", "equals": "gray"},
            {"not": {"header": "X-User", "in": ["bob"]}},
            {"header": "X-No", "exists": True},
        ]
    )
    assert found == Drafted(
        "tests:\n"
        "  - name: POST /A/x goes to demo/gray\n"
        "    request:\n"
        "      method: POST\n"
        "      url: http://shop.example/A/x?group=gray\n"
        "      headers:\n"
        "        x-user: alice\n"
        "    lane: demo/gray\n",
        True,
        (),
    )


def test_secrets_and_bodies_are_left_to_be_filled_in() -> None:
    found = drafted(
        [
            {"cookie": "uid", "equals": "7"},
            {"param": "token", "equals": "t"},
            {"header": "Authorization", "exists": True},
            {"body": "/a", "equals": "1"},
        ],
        has_body=True,
    )
    assert found.missing == (
        "cookie uid: its value is secret",
        "param token: its value is secret",
        "header authorization: its value is secret",
        "body /a: bodies are not kept",
    )
    assert "Bearer" not in found.yaml
    assert "uid=***" in found.yaml
    assert "token=***" in found.yaml.replace("%2A", "*")


def test_where_and_when_it_came_from_count_if_a_rule_looks_at_that() -> None:
    found = drafted([{"client_ip": {"equals": "192.0.2.7"}}, {"time": {"hours": "00:00-24:00"}}], time=1_800_000_000.0)
    assert "client_ip: 192.0.2.7" in found.yaml
    assert "at: '2027-01-15T08:00:00+00:00'" in found.yaml.replace('"', "'")
    assert found.passes


def test_a_request_of_the_baseline_and_rules_that_have_changed() -> None:
    assert "lane: none\n" in drafted([{"param": "group", "equals": "red"}], record).yaml
    assert not drafted([{"param": "group", "equals": "red"}]).passes


@pytest.mark.parametrize("values", [{"head": b""}, {"tag_source": "header"}])
def test_what_no_lane_has_decided_is_no_test(values: dict[str, Any]) -> None:
    with pytest.raises(NoEvidence, match="was not kept, or no lane decided"):
        drafted([{"param": "group", "equals": "gray"}], **values)
