"""Recorded requests as rules see them."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import HeadReader
from gateway.live.replay import recorded
from gateway.live.store import Stored
from gateway.telemetry.request_record import Reporter
from tests.support.records import record

HEAD = b"GET /A/a?group=gray HTTP/1.1\r\nhost: shop.example\r\nx-user: alice\r\n\r\n"
READER = HeadReader("x-gray-tag")


def stored(**values: object) -> Stored:
    return Stored(7, Reporter("entry"), record(**{"head": HEAD, "client_ip": "10.0.0.9", "time": 100.0, **values}))


def test_the_request_is_what_the_listener_read() -> None:
    found = recorded(stored(service="a"), reader=READER)
    assert found is not None
    context = found.context
    assert (found.number, found.at, context.client_ip, context.service) == (7, 100.0, "10.0.0.9", "a")
    assert (context.request.param("group"), context.request.path) == ("gray", "/A/a")


@pytest.mark.parametrize(
    "values",
    [{"head": b""}, {"tag_source": "debug"}, {"tag_source": "header"}, {"head": b"GET /\r\n\r\n"}],
    ids=["no head was kept", "a debug header decided", "a trusted header decided", "it would be refused now"],
)
def test_what_no_lane_had_a_say_in_is_left_out(values: dict[str, object]) -> None:
    assert recorded(stored(**values), reader=READER) is None
