"""Frames that carry nothing of a message, and how many of them there may be: each flood by its CVE."""

from __future__ import annotations

import pytest

from gateway.http2.budget import RAPID, REGAIN
from gateway.http2.errors import CANCEL, ENHANCE_YOUR_CALM
from gateway.http2.frames import (
    ACK,
    DATA,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    settings_frame,
)
from gateway.http2.terms import INITIAL_WINDOW_SIZE, Terms
from tests.support.http2 import GET, POST, End, data, frame, headers, told

RESET = b"\0\0\0\x08"


def test_a_ping_comes_back_and_ours_is_an_event() -> None:
    end = End().begin()
    assert told(end.feed(frame(PING, 0, 0, b"12345678") + frame(PING, ACK, 0, b"87654321"))) == [
        ("PONG", 0, b"87654321")
    ]
    (pong,) = end.frames
    assert (pong.opaque_data, "ACK" in pong.flags) == (b"12345678", True)


def test_settings_are_acknowledged() -> None:
    end = End().begin()
    end.feed(settings_frame([(INITIAL_WINDOW_SIZE, 5)]))
    assert ["ACK" in item.flags for item in end.frames] == [True]


FLOODS = [
    pytest.param(frame(PING, 0, 0, b"12345678"), id="CVE-2019-9512: PING"),
    pytest.param(frame(PRIORITY, 0, 7, b"\0\0\0\0\0"), id="CVE-2019-9513: PRIORITY"),
    pytest.param(frame(SETTINGS, 0, 0), id="CVE-2019-9515: SETTINGS"),
    pytest.param(frame(DATA, 0, 1), id="CVE-2019-9518: DATA without data"),
    pytest.param(frame(DATA, 8, 1, b"\x05\0\0\0\0\0"), id="CVE-2019-9518: DATA that is only padding"),
    pytest.param(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), id="CVE-2019-9511: WINDOW_UPDATE, a byte each"),
    pytest.param(frame(0x77, 0, 0), id="unknown frames"),
    pytest.param(frame(RST_STREAM, 0, 3, RESET), id="RST_STREAM of streams that are over"),
]


@pytest.mark.parametrize("one", FLOODS)
def test_a_flood_ends_the_connection_and_costs_no_memory(one: bytes) -> None:
    end = End(Terms(control=100)).begin()
    end.feed(headers(1, POST, False) + headers(3, GET) + frame(RST_STREAM, 0, 3, RESET))
    _ = end.written
    found = end.feed(one * 2000)
    failures = [event.failure for event in found if event.failure is not None]
    assert [(failure.code, failure.attack) for failure in failures] == [(ENHANCE_YOUR_CALM, "control_frames")]
    assert len(end.written) < 2000
    assert end.endpoint._events == []


@pytest.mark.parametrize("one", FLOODS[:-1])
def test_a_few_in_a_while_are_nothing_special(one: bytes) -> None:
    end = End(Terms(control=100)).begin()
    end.feed(headers(1, POST, False))
    for turn in range(20):
        assert not [event for event in end.feed(one * 90, now=turn * REGAIN) if event.failure is not None]


def test_acknowledging_data_piece_by_piece_is_no_flood() -> None:
    end = End(Terms(control=100)).begin()
    end.feed(headers(1, GET))
    stream = end.endpoint.streams[1]
    for _ in range(1000):
        end.endpoint.send_data(stream, b"x" * 10, False)
        both = frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\x0a") + frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\x0a")
        assert end.feed(both) == []


def test_rapid_reset() -> None:
    """CVE-2023-44487: requests that are given up at once, never more than a few at a time."""
    end = End(Terms(resets=50)).begin()
    found = end.feed(*[headers(number, GET) + frame(RST_STREAM, 0, number, RESET) for number in range(1, 401, 2)])
    assert told(found).count(("RESET", 1, CANCEL)) == 1
    assert len([event for event in told(found) if event[0] == "REQUEST"]) == 51
    failure = found[-1].failure
    assert failure is not None
    assert (failure.code, failure.attack) == (ENHANCE_YOUR_CALM, "resets")


@pytest.mark.parametrize(
    "provoke",
    [
        lambda number: headers(number, POST, False) + frame(WINDOW_UPDATE, 0, number, b"\0\0\0\0"),
        lambda number: headers(number, POST, False) + frame(WINDOW_UPDATE, 0, number, b"\x7f\xff\xff\xff"),
        lambda number: headers(number, GET) + data(number, b"x"),
        lambda number: headers(number, GET) + headers(number, GET),
        lambda number: headers(number, POST, False) + frame(PRIORITY, 0, number, b"\0\0\0\0"),
        lambda number: headers(number, [*POST, (b"content-length", b"1")], False) + data(number, b"xx"),
        lambda number: headers(number, [*GET, (b"connection", b"close")]),
    ],
    ids=["no window", "too much window", "DATA after the end", "HEADERS after the end", "PRIORITY", "a length", "a head"],
)  # fmt: skip
def test_made_you_reset(provoke: object) -> None:
    """CVE-2025-8671: the client makes us reset its streams, which costs as much as if it did it itself."""
    assert callable(provoke)
    end = End(Terms(resets=50, streams=10_000)).begin()
    found = end.feed(*[provoke(number) for number in range(1, 401, 2)])
    failure = found[-1].failure
    assert failure is not None
    assert (failure.code, failure.attack) == (ENHANCE_YOUR_CALM, "resets")
    assert len([event for event in told(found) if event[0] == "REQUEST"]) <= 52


def test_requests_that_are_given_up_later_are_nothing_special() -> None:
    """A client with deadlines resets every call that is late; the number of streams is its limit."""
    end = End(Terms(resets=50, streams=40)).begin()
    for turn in range(20):
        numbers = range(1 + turn * 80, 1 + turn * 80 + 80, 2)
        end.feed(*[headers(number, GET) for number in numbers], now=turn * 1.0)
        found = end.feed(*[frame(RST_STREAM, 0, number, RESET) for number in numbers], now=turn * 1.0 + RAPID)
        assert [event[0] for event in told(found)] == ["RESET"] * 40


def test_requests_that_complete_allow_for_some_that_do_not() -> None:
    end = End(Terms(resets=50)).begin()
    for number in range(1, 2001, 4):
        end.feed(headers(number, GET))
        end.endpoint.send_head(end.endpoint.streams[number], b"\x88", True)
        found = end.feed(headers(number + 2, GET) + frame(RST_STREAM, 0, number + 2, RESET))
        assert [event[0] for event in told(found)] == ["REQUEST", "RESET"]


def test_a_client_that_does_not_know_how_many_streams_there_may_be_is_not_blamed() -> None:
    end = End(Terms(resets=10, streams=1))
    end.feed(PREFACE + settings_frame([]), *[headers(number, POST, False) for number in range(1, 401, 2)])
    assert [event.failure for event in end.feed(SETTINGS_ACK)] == []
    found = end.feed(*[headers(number, POST, False) for number in range(401, 501, 2)])
    assert found[-1].failure is not None
    end = End(Terms(resets=10, streams=1))
    found = end.feed(PREFACE + settings_frame([]), *[headers(number, POST, False) for number in range(1, 4001, 2)])
    assert found[-1].failure is not None


def test_streams_that_are_refused_count_too() -> None:
    end = End(Terms(resets=50, streams=1)).begin()
    found = end.feed(*[headers(number, POST, False) for number in range(1, 401, 2)])
    assert found[-1].failure is not None
    assert found[-1].failure.attack == "resets"


def test_resets_now_and_then_are_nothing_special() -> None:
    end = End(Terms(resets=50)).begin()
    for turn in range(20):
        first = 1 + turn * 80
        numbers = range(first, first + 80, 2)
        found = end.feed(
            *[headers(number, GET) + frame(RST_STREAM, 0, number, RESET) for number in numbers], now=turn * REGAIN
        )
        assert len(found) == 80
