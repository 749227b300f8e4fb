"""The entry's decision: a tag that a trusted client sent is bound by its lane's terms like one that a rule gave."""

from __future__ import annotations

import random
from ipaddress import ip_network
from typing import Any

import pytest

from gateway.http.head_reader import HeadReader
from gateway.instance import Instance
from gateway.routing.carriers import Carriers
from gateway.routing.decision import Decision
from gateway.routing.entry import EntryRouter
from gateway.routing.peer import Peer
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.model import LaneGroup
from tests.support.rules import compiled

BASE = Instance("10.0.0.1", 1)
GRAY = Instance("10.0.0.1", 2, "gray")


def decide(target: str, *fields: str, instances: tuple[Instance, ...] = (BASE, GRAY), **lane: Any) -> Decision:
    """What is decided for a request of a trusted client; the lane is limited to services a and c."""
    group = {
        "name": "demo",
        "services": ["a", "c"],
        "lanes": [{"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}], **lane}],
    }
    routes = RouteTable([Route("/A", "a"), Route("/B", "b")])
    views = {name: ServiceView(name, instances, Turns()) for name in ("a", "b")}
    snapshot = Snapshot(1, compiled([LaneGroup.model_validate(group)]), routes, views)
    router = EntryRouter(snapshot, Carriers(), random.Random(1), (ip_network("127.0.0.0/8"),))
    head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode()
    request = HeadReader("x-gray-tag", keeps_forwarded=True).read(head)
    return router.route(request, Peer("127.0.0.1", is_trusted=True), 0.0).decision


MARKED = pytest.mark.parametrize(
    "how",
    [("?group=gray",), ("", "x-gray-tag: gray"), ("", "baggage: x-gray-tag=gray")],
    ids=["by a rule", "by a trusted header", "by trusted baggage"],
)


@MARKED
def test_reaches_gray_where_the_lane_may_go(how: tuple[str, ...]) -> None:
    decision = decide("/A" + how[0], *how[1:])
    assert (decision.instance, decision.tag, decision.fallback) == (GRAY, "gray", "")


@MARKED
def test_keeps_its_tag_but_not_gray_where_the_lane_may_not_go(how: tuple[str, ...]) -> None:
    decision = decide("/B" + how[0], *how[1:])
    assert (decision.instance, decision.tag, decision.fallback) == (BASE, "gray", "not_in_group")


@MARKED
def test_gets_503_where_a_strict_lane_has_nobody(how: tuple[str, ...]) -> None:
    decision = decide("/A" + how[0], *how[1:], instances=(BASE,), strict=True)
    assert (decision.instance, decision.error) == (None, "lane_unavailable")


def test_a_trusted_tag_that_no_lane_has_falls_back_where_nobody_carries_it() -> None:
    decision = decide("/A", "x-gray-tag: blue")
    assert (decision.instance, decision.tag, decision.fallback, decision.error) == (BASE, "blue", "absent", "")


def test_a_trusted_client_that_sends_no_tag_is_matched() -> None:
    assert decide("/A?group=gray", "x-gray-tag: gr,ay").tag_source == "rule"
    assert decide("/A", "baggage: user=1").tag == "base"
