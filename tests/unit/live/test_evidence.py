"""Why a recorded request went where it went: judged again, with what is missing, and without secrets."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.live.evidence import NoEvidence, explain_record
from gateway.live.store import Stored
from gateway.telemetry.request_record import Reporter
from tests.support.records import marked

HEAD = b"GET /A/x?group=gray HTTP/1.1\r\nHost: x\r\n\r\n"
DECISION: dict[str, Any] = {
    "service": "a",
    "group": "demo",
    "lane": "gray",
    "tag": "gray",
    "tag_source": "rule",
    "pool": "gray",
    "fallback": None,
    "lost": None,
    "lost_tag": None,
    "revision": 1,
    "instance": "192.0.2.1:80",
}


class Judge:
    reader = HeadReader("x-gray-tag")

    def __init__(self, conditions: list[dict[str, Any]] | None = None, **decision: Any) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.found: dict[str, Any] = {
            "decision": {**DECISION, **decision},
            "lanes": [{"conditions": conditions or []}],
            "pools": [],
        }

    def explain(self, request: Request, client_ip: str, body: bytes) -> dict[str, Any]:
        self.asked.append((request.target.decode(), client_ip, body))
        return self.found


def explained(judge: Judge, **values: Any) -> dict[str, Any]:
    plain = {"head": HEAD, "client_ip": "192.0.2.7"}
    return explain_record(Stored(7, Reporter("gateway"), marked(**plain | values)), judge, ["token"])


def test_the_very_request_is_judged_again() -> None:
    judge = Judge()
    found = explained(judge)
    assert judge.asked == [("/A/x?group=gray", "192.0.2.7", b"")]
    assert (found["id"], found["agrees"], found["missing"]) == (7, True, [])
    assert found["decision"] == judge.found["decision"]
    assert found["recorded"] == {
        **DECISION,
        "instance": None,
        "status": 200,
        "cause": None,
    }


@pytest.mark.parametrize(
    ("decision", "values", "agrees", "missing"),
    [
        ({"pool": "base", "fallback": "absent"}, {}, False, []),
        ({"instance": "192.0.2.2:80"}, {}, True, []),
        ({"revision": 2}, {}, True, ["revision 1 of the rules: revision 2 is in force now"]),
        ({}, {"has_body": True}, True, ["the body: conditions on it are judged as if there were none"]),
        (
            {"tag_source": "header"},
            {"tag_source": "header"},
            True,
            ["the proxy that it came through: what it added to the request is not trusted here"],
        ),
        (
            {},
            {"head": HEAD[:-2] + b"X-Forwarded-For: 192.0.2.8\r\n\r\n"},
            True,
            ["the proxy that it came through: what it added to the request is not trusted here"],
        ),
    ],
)
def test_what_has_changed_or_is_missing_is_told(
    decision: dict[str, Any], values: dict[str, Any], agrees: bool, missing: list[str]
) -> None:
    found = explained(Judge(**decision), **values)
    assert (found["agrees"], found["missing"]) == (agrees, missing)


def test_without_its_head_nothing_can_be_judged() -> None:
    with pytest.raises(NoEvidence, match="the head of this request was not kept"):
        explained(Judge(), head=b"")


@pytest.mark.parametrize(
    ("text", "is_hidden"),
    [
        ("param group equals 'gray'", False),
        ("header x-user equals 'alice'", False),
        ("param token equals 'x'", True),
        ("param TOKEN equals 'x'", True),
        ("header token equals 'x'", True),
        ("header Authorization prefix 'x'", True),
        ("cookie session present", True),
        ("jwt /sub equals 'alice'", True),
        ("body /user equals 'alice'", True),
        ("client_ip in 10.0.0.0/8", False),
    ],
)
def test_secrets_are_hidden_wherever_the_condition_stands(text: str, is_hidden: bool) -> None:
    inner = {"text": text, "value": "seen", "members": ()}
    absent = {"text": text, "value": None, "members": ()}
    judge = Judge([{"text": f"({text})", "value": None, "members": (inner, absent)}, {**inner}])
    [outer, alone] = explained(judge)["lanes"][0]["conditions"]
    seen = "***" if is_hidden else "seen"
    assert [item["value"] for item in (*outer["members"], alone)] == [seen, None, seen]
