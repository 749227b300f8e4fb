"""A router that raises: the client gets an answer, the log one line, and the listener goes on."""

from __future__ import annotations

import json
import logging

import pytest

from gateway.routing.snapshot import Snapshot
from gateway.rules.context import MatchContext
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.rules import compiled

STICKY = {
    "name": "g",
    "lanes": [{"name": "l", "tag": "gray", "sticky": "1d", "match": [{"cookie": "uid", "percent": 50}]}],
}


class BrokenSeal:
    """A signer with a bug."""

    name = "lane"

    def lane_of(self, context: MatchContext) -> str:
        if context.request.path == "/A/broken":
            raise UnicodeError(f"no text: {context.request.path!r}")
        return ""

    def value(self, lane: str, age: int) -> str:
        return ""

    def is_fresh(self, context: MatchContext, lane: str, age: int) -> bool:
        return True


async def test_a_router_that_raises_is_an_answer_of_our_own(
    proxy: Proxy, origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    live = proxy.router.snapshot
    rules = compiled([STICKY], signer=BrokenSeal())
    proxy.router.snapshot = Snapshot(2, rules, live.routes, live.services)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            client = await proxy.connect()
            await client.send(b"GET /A/broken HTTP/1.1\r\nHost: h\r\n\r\nGET /A/x HTTP/1.1\r\nHost: h\r\n\r\n")
            answer = await client.answer()
            assert (answer.status, json.loads(answer.body)["code"]) == (500, "internal_error")
            assert answer.header("connection") == "close"
            assert await client.rest() == b""
    assert [record.getMessage() for record in caplog.records] == [
        "unexpected: the program has a bug; counted, and logged once for this place"
    ]
    assert proxy.traffic.refused["internal_error"] == 3
    assert proxy.traffic.in_flight == 0
    assert (await proxy.get("/A/x")).status == 200


async def test_a_body_that_is_on_its_way_meets_the_same_answer(proxy: Proxy, origin: Origin) -> None:
    live = proxy.router.snapshot
    proxy.router.snapshot = Snapshot(2, compiled([STICKY], signer=BrokenSeal()), live.routes, live.services)
    client = await proxy.connect()
    await client.send(b"POST /A/broken HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345")
    assert (await client.answer()).status == 500
    assert await client.rest() == b""
