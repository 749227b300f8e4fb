"""A response's body on its way to the client: as it comes, in the framing that the client can read, turn by turn."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import ProtocolError
from gateway.http.head_reader import build_request
from gateway.http.response import CHUNKED, UNTIL_CLOSE, ResponseReader
from gateway.proxy.response_body import ENDED, ENDED_DIRTY, FEW, MORE, RESTS, ResponseBody
from gateway.routing.decision import Decision
from gateway.routing.verdict import Forward


class Client:
    """Keeps what it is written; `time` says whether the turn has any left."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.context = self.queue = self
        self.response_reader = ResponseReader()
        self.time = True

    def has_time(self) -> bool:
        return self.time

    def write(self, data: bytes) -> None:
        self.writes.append(data)


class Setup:
    def __init__(self, body: int, is_old: bool = False, takes_trailers: bool = True) -> None:
        self.client = Client()
        self.sent = 0
        record: Any = self
        client: Any = self.client
        self.grpc_status = -1
        self.request = build_request("GET", "/", [("TE", "trailers")] if takes_trailers else [])
        self.body = ResponseBody(body, is_old, client, record, Forward(Decision(1)), [{b"x-hidden"}])

    @property
    def written(self) -> bytes:
        return b"".join(self.client.writes)


@pytest.mark.parametrize(
    ("body", "is_old", "ends_with_connection", "is_told_by_closing"),
    [
        (5, False, False, False),
        (5, True, False, False),
        (CHUNKED, False, False, False),
        (CHUNKED, True, False, True),
        (UNTIL_CLOSE, False, True, False),
        (UNTIL_CLOSE, True, True, True),
    ],
)
def test_what_tells_the_end(body: int, is_old: bool, ends_with_connection: bool, is_told_by_closing: bool) -> None:
    made = Setup(body, is_old).body
    assert (made.ends_with_connection, made.is_told_by_closing) == (ends_with_connection, is_told_by_closing)


@pytest.mark.parametrize(
    ("pieces", "states", "written"),
    [
        ([b"hello"], [ENDED], [b"headhello"]),
        ([b"he", b"llo"], [MORE, ENDED], [b"headhe", b"llo"]),
        ([b"", b"hello"], [MORE, ENDED], [b"head", b"hello"]),
        ([b"hello, next"], [ENDED_DIRTY], [b"headhello"]),
        ([b"he", b"llo!"], [MORE, ENDED_DIRTY], [b"headhe", b"llo"]),
    ],
)
def test_a_length_is_passed_on_to_its_end(pieces: list[bytes], states: list[int], written: list[bytes]) -> None:
    setup = Setup(5)
    assert [setup.body.receive(piece, b"head" if not n else b"") for n, piece in enumerate(pieces)] == states
    assert (setup.client.writes, setup.sent) == (written, 5)


def test_no_length_at_all_ends_with_the_head() -> None:
    setup = Setup(0)
    assert setup.body.receive(b"", b"head") == ENDED
    assert setup.client.writes == [b"head"]


def test_until_the_end_in_chunks_of_our_own_or_as_it_is() -> None:
    setup = Setup(UNTIL_CLOSE)
    assert [setup.body.receive(b"", b"head"), setup.body.receive(b"a" * 17)] == [MORE, MORE]
    setup.body.end()
    assert (setup.written, setup.sent) == (b"head11\r\n" + b"a" * 17 + b"\r\n0\r\n\r\n", 17)
    old = Setup(UNTIL_CLOSE, is_old=True)
    assert [old.body.receive(b"he", b"head"), old.body.receive(b"llo")] == [MORE, MORE]
    old.body.end()
    assert (old.written, old.sent) == (b"headhello", 5)


CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(("is_old", "written"), [(False, b"head" + CHUNKS), (True, b"headhello")])
def test_chunks_are_passed_on_or_taken_apart(is_old: bool, written: bytes) -> None:
    setup = Setup(CHUNKED, is_old)
    assert [setup.body.receive(CHUNKS[:7], b"head"), setup.body.receive(CHUNKS[7:])] == [MORE, ENDED]
    assert setup.written == written
    assert setup.sent == len(written) - 4


def test_what_follows_the_last_chunk_is_nobodys() -> None:
    setup = Setup(CHUNKED)
    assert setup.body.receive(CHUNKS + b"HTTP/1.1", b"head") == ENDED_DIRTY
    assert setup.written == b"head" + CHUNKS


@pytest.mark.parametrize(
    ("is_old", "written"), [(False, b"5\r\nhello\r\n0\r\nx: 1\r\ngrpc-status: 5\r\n\r\n"), (True, b"hello")]
)
def test_trailers_come_after_chunks_as_far_as_they_may(is_old: bool, written: bytes) -> None:
    setup = Setup(CHUNKED, is_old)
    trailers = b"x: 1\r\nX-Hidden: 1\r\nContent-Length: 3\r\ngrpc-status: 5\r\n\r\n"
    states = [
        setup.body.receive(CHUNKS[:-2], b"head"),
        setup.body.receive(trailers[:20]),
        setup.body.receive(trailers[20:]),
    ]
    assert states == [MORE, MORE, ENDED]
    assert (setup.written, setup.grpc_status) == (b"head" + written, 5)
    assert setup.sent == len(written)


def test_a_client_that_has_not_said_that_it_takes_trailers_gets_none() -> None:
    setup = Setup(CHUNKED, takes_trailers=False)
    assert setup.body.receive(CHUNKS[:-2] + b"x: 1\r\ngrpc-status: 5\r\n\r\n", b"head") == ENDED
    assert (setup.written, setup.grpc_status) == (b"head" + CHUNKS, 5)


def test_malformed_chunks_say_so_and_of_that_piece_nothing_is_passed_on() -> None:
    for begun in (False, True):
        setup = Setup(CHUNKED)
        if begun:
            setup.body.receive(CHUNKS[:10], b"head")
        with pytest.raises(ProtocolError) as error:
            setup.body.receive(b"5\r\nhello\r\nzz\r\n", b"" if begun else b"head")
        assert error.value.failure.code == "bad_response"
        assert error.value.detail.startswith("the body of the instance's response is malformed: ")
        assert (setup.body.is_begun, setup.written) == (begun, b"head" + CHUNKS[:10] if begun else b"")


def test_many_chunks_wait_for_their_turn_and_few_do_not() -> None:
    setup = Setup(CHUNKED)
    setup.client.time = False
    many = b"1\r\na\r\n" * FEW
    assert setup.body.receive(b"1\r\nb\r\n", b"head") == MORE
    assert setup.body.receive(many) == RESTS
    assert setup.body.receive(CHUNKS) == MORE  # behind what waits
    assert setup.written == b"head1\r\nb\r\n"
    assert setup.body.proceed() == ENDED  # one piece at least is read in its own turn
    assert setup.written == b"head1\r\nb\r\n" + many + CHUNKS
    assert setup.body.proceed() == MORE  # nothing is left


def test_with_the_head_some_is_passed_on_whatever_the_time() -> None:
    setup = Setup(CHUNKED)
    setup.client.time = False
    large = b"1\r\na\r\n" * 40_000
    assert setup.body.receive(large, b"head") == RESTS
    first = len(setup.written)
    assert setup.written == b"head" + large[: first - 4]
    assert setup.body.proceed() == RESTS
    assert first < len(setup.written) < len(large)
    assert setup.body.proceed(has_ended=True) == MORE
    assert setup.written == b"head" + large
    assert setup.sent == len(large)
