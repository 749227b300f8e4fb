"""A request body on its way up: how far it was read, what is kept of it, and until when more must come."""

from __future__ import annotations

import pytest

from gateway.errors import ProtocolError
from gateway.http.request import CHUNKED
from gateway.proxy.request_body import REPLAY, RequestBody
from tests.support.bounds import Timeouts

TIMEOUTS = Timeouts(body_idle=20.0, body_grace=30.0)


def test_one_that_came_whole_is_kept_and_what_follows_is_left() -> None:
    body = RequestBody(5, 100.0)
    assert body.begin(b"headhellonext", 4) == 9
    assert (body.is_done, body.kept, body.held, body.received) == (True, b"hello", 5, 5)


def test_one_in_pieces_is_taken_as_far_as_it_goes() -> None:
    body = RequestBody(5, 100.0)
    assert body.begin(b"he", 0) == 2
    assert body.take(b"llonext", 0, 101.0) == (b"llo", 3)
    assert (body.is_done, body.received, body.heard_at) == (True, 5, 101.0)


def test_chunks_pass_as_they_are_and_the_last_one_with_the_trailers_that_are_left() -> None:
    body = RequestBody(CHUNKED, 100.0)
    assert body.begin(b"2\r\nhe\r\n", 0) == 7
    assert body.framed(b"2\r\nhe\r\n") == b"2\r\nhe\r\n"
    assert body.take(b"0\r\na: 1\r\nb: 2\r\n\r\nGET", 0, 100.0) == (b"", 17)
    assert (body.is_done, body.kept, body.trailers) == (True, b"2\r\nhe\r\n", b"\r\na: 1\r\nb: 2")
    body.trailers = b"\r\na: 1"
    assert body.framed(b"") == b"0\r\na: 1\r\n\r\n"
    with pytest.raises(ProtocolError):
        RequestBody(CHUNKED, 100.0).begin(b"zz\r\n", 0)


def test_there_is_a_second_time_while_it_is_not_much() -> None:
    body = RequestBody(3 * REPLAY, 100.0)
    body.passed(b"a" * REPLAY)
    assert (body.can_replay, body.held) == (True, REPLAY)
    body.passed(b"a")
    assert (body.can_replay, body.held, body.kept) == (False, 0, b"")


def test_every_second_after_the_grace_is_to_be_earned() -> None:
    body = RequestBody(1_000_000, 100.0)
    assert body.due(100.0, TIMEOUTS, 100) == 120.0
    assert body.due(120.0, TIMEOUTS, 100) == 130.0
    body.take(b"a" * 500, 0, 120.0)
    assert body.due(120.0, TIMEOUTS, 100) == 135.0
    assert body.due(120.0, TIMEOUTS, 0) == 140.0


def test_a_pause_of_the_instance_is_not_held_against_the_client() -> None:
    body = RequestBody(1_000_000, 100.0)
    body.paused(110.0)
    body.resumed(125.0)
    assert body.due(125.0, TIMEOUTS, 100) == 145.0
