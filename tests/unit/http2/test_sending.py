"""What goes out: heads, data as far as both windows go, each stream in its turn, and what waits until then."""

from __future__ import annotations

from typing import Any

from gateway.http2.errors import CANCEL, ENHANCE_YOUR_CALM, ConnectionFailure
from gateway.http2.frames import MAX_STREAM, PREFACE, WINDOW_UPDATE, settings_frame
from gateway.http2.sending import LOW_WATER, REMEMBERED
from gateway.http2.stream import Stream
from gateway.http2.terms import INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE, Terms
from tests.support.http2 import GET, POST, End, block, data, frame, frames_of, headers, hello, told

OK = b"\x88"


def window(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def opened(end: End, *numbers: int) -> list[Stream]:
    """Streams of requests that the client has sent."""
    for number in numbers:
        end.feed(headers(number, GET))
    return [end.endpoint.streams[number] for number in numbers]


def sent(end: End) -> list[tuple[Any, ...]]:
    """What was written: the stream, its data, and whether it ends."""
    return [
        (item.stream_id, len(item.data), "END_STREAM" in item.flags)
        for item in end.frames
        if type(item).__name__ == "DataFrame"
    ]


def test_a_server_begins_with_settings_and_a_client_with_the_preface() -> None:
    server, client = End(Terms(connection_window=100_000)), End(is_server=False)
    first = server.frames
    assert [type(item).__name__ for item in first] == ["SettingsFrame", "WindowUpdateFrame"]
    assert first[1].window_increment == 100_000 - 65535
    written = client.written
    assert written.startswith(PREFACE)
    assert [type(item).__name__ for item in frames_of(written[24:])] == ["SettingsFrame", "WindowUpdateFrame"]


def test_a_response_is_two_frames_and_the_first_block_gives_the_table_up() -> None:
    end = End().begin()
    one, other = opened(end, 1, 3)
    end.endpoint.send_head(one, OK, False)
    end.endpoint.send_data(one, b"hello", True)
    end.endpoint.send_head(other, OK, True)
    assert [item.data for item in end.frames] == [b"\x20" + OK, b"hello", OK]
    assert end.endpoint.streams == {}
    assert one.is_closed


def test_data_is_cut_into_frames_that_the_peer_takes() -> None:
    end = End()
    end.feed(hello([(INITIAL_WINDOW_SIZE, 1 << 20)]) + window(0, 1 << 20))
    (stream,) = opened(end, 1)
    _ = end.written
    end.endpoint.send_data(stream, b"x" * 40_000, True)
    assert sent(end) == [(1, 16384, False), (1, 16384, False), (1, 40_000 - 2 * 16384, True)]
    end.feed(settings_frame([(MAX_FRAME_SIZE, 32768)]))
    (stream,) = opened(end, 3)
    end.endpoint.send_data(stream, b"x" * 40_000, False)
    assert sent(end) == [(3, 32768, False), (3, 40_000 - 32768, False)]


def test_what_is_beyond_the_streams_window_waits() -> None:
    end = End()
    end.feed(hello([(INITIAL_WINDOW_SIZE, 10)]))
    one, other = opened(end, 1, 3)
    end.endpoint.send_data(one, b"x" * 25, True)
    end.endpoint.send_data(other, b"y" * 10, True)
    assert sent(end) == [(1, 10, False), (3, 10, True)]
    assert (one.pending_size, end.endpoint.pending) == (15, 15)
    end.feed(window(1, 5))
    assert sent(end) == [(1, 5, False)]
    assert told(end.feed(window(1, 100))) == [("DRAINED", 1)]
    assert sent(end) == [(1, 10, True)]
    assert end.endpoint.pending == 0


def test_what_is_beyond_the_connections_window_waits_and_streams_take_turns() -> None:
    end = End()
    end.feed(hello([(INITIAL_WINDOW_SIZE, 1 << 20)]))
    streams = opened(end, 1, 3, 5)
    for stream in streams:
        end.endpoint.send_data(stream, b"x" * 65_535, True)
    assert sum(size for _, size, _ in sent(end)) == 65_535
    assert end.endpoint.pending == 2 * 65_535
    end.feed(window(0, 4 * 16384))
    assert [(number, size) for number, size, _ in sent(end)] == [(3, 16384), (5, 16384), (3, 16384), (5, 16384)]


def test_a_window_that_shrinks_may_be_negative_for_a_while() -> None:
    end = End()
    end.feed(hello([(INITIAL_WINDOW_SIZE, 100)]))
    (stream,) = opened(end, 1)
    end.endpoint.send_data(stream, b"x" * 80, False)
    end.feed(settings_frame([(INITIAL_WINDOW_SIZE, 30)]))
    assert stream.send_window == -50
    end.endpoint.send_data(stream, b"y" * 5, True)
    end.feed(window(1, 50))
    assert sent(end) == [(1, 80, False)]
    end.feed(window(1, 5))
    assert sent(end) == [(1, 5, True)]


def test_an_end_needs_no_window() -> None:
    end = End()
    end.feed(hello([(INITIAL_WINDOW_SIZE, 0)]))
    (stream,) = opened(end, 1)
    end.endpoint.send_data(stream, b"", True)
    assert sent(end) == [(1, 0, True)]


def test_trailers_come_after_all_data() -> None:
    end = End()
    end.feed(hello([(INITIAL_WINDOW_SIZE, 3)]))
    (stream,) = opened(end, 1)
    _ = end.written
    end.endpoint.send_head(stream, OK, False)
    end.endpoint.send_data(stream, b"hello", False)
    end.endpoint.send_trailers(stream, b"\x00\x01a\x01b")
    assert [type(item).__name__ for item in end.frames] == ["HeadersFrame", "DataFrame"]
    end.feed(window(1, 10))
    data_frame, trailers = end.frames
    assert (data_frame.data, sorted(data_frame.flags)) == (b"lo", [])
    assert (trailers.data, "END_STREAM" in trailers.flags) == (b"\x00\x01a\x01b", True)
    assert stream.is_closed


def test_nothing_is_sent_while_the_transport_takes_nothing() -> None:
    end = End().begin()
    one, other, third = opened(end, 1, 3, 5)
    end.endpoint.is_held = True
    end.endpoint.send_data(one, b"hello", True)
    end.endpoint.send_data(other, b"", True)
    end.endpoint.send_data(third, b"x" * (LOW_WATER + 1), False)
    end.feed(window(0, 100))
    assert sent(end) == []
    end.endpoint.release()
    assert sent(end) == [(1, 5, True), (3, 0, True), (5, 16384, False), (5, 1, False)]
    assert [event[:2] for event in told(end.events())] == [
        ("DRAINED", 1),
        ("DRAINED", 3),
        ("DRAINED", 5),
        ("DRAINED", 5),
    ]


def test_a_reset_throws_away_what_waits_and_later_calls_do_nothing() -> None:
    end = End()
    end.feed(hello([(INITIAL_WINDOW_SIZE, 0)]))
    (stream,) = opened(end, 1)
    end.endpoint.send_data(stream, b"hello", True)
    _ = end.written
    end.endpoint.reset(stream, CANCEL)
    assert [(item.stream_id, item.error_code) for item in end.frames] == [(1, CANCEL)]
    assert (end.endpoint.pending, stream.is_closed) == (0, True)
    end.endpoint.reset(stream, CANCEL)
    end.endpoint.send_head(stream, OK, True)
    end.endpoint.send_data(stream, b"x", True)
    end.endpoint.send_trailers(stream, OK)
    end.feed(window(0, 10))
    assert end.written == b""


def test_a_client_that_resets_gets_nothing_more() -> None:
    end = End()
    end.feed(hello([(INITIAL_WINDOW_SIZE, 0)]))
    (stream,) = opened(end, 1)
    end.endpoint.send_data(stream, b"hello", True)
    assert told(end.feed(frame(3, 0, 1, b"\0\0\0\x08"))) == [("RESET", 1, CANCEL)]
    assert end.endpoint.pending == 0


def test_window_is_given_back_as_data_is_taken_in_halves() -> None:
    end = End(Terms(stream_window=100_000, connection_window=160_000)).begin()
    end.feed(headers(1, POST, False), *[data(1, b"x" * 16000)] * 5)
    stream = end.endpoint.streams[1]
    end.endpoint.take(stream, 40_000)
    assert end.written == b""
    end.endpoint.take(stream, 40_000)
    updates = [(item.stream_id, item.window_increment) for item in end.frames]
    assert updates == [(0, 80_000), (1, 80_000)]
    assert (stream.receive_window, end.endpoint.receive_window) == (100_000, 160_000)


def test_a_stream_that_has_ended_needs_no_window_and_the_connection_does() -> None:
    end = End(Terms(connection_window=65535)).begin()
    end.feed(headers(1, POST, False), *[data(1, b"x" * 11_000)] * 3, data(1, b"", True))
    end.endpoint.take(end.endpoint.streams[1], 33_000)
    assert [(item.stream_id, item.window_increment) for item in end.frames] == [(0, 33_000)]


def test_the_first_goaway_lets_streams_in_and_the_second_does_not() -> None:
    end = End().begin()
    end.feed(headers(1, GET))
    end.endpoint.announce_end()
    assert told(end.feed(headers(3, GET))) == [("REQUEST", 3, "ends")]
    end.endpoint.end()
    assert end.feed(headers(5, GET)) == []
    assert [item.last_stream_id for item in end.frames] == [MAX_STREAM, 3]
    end.endpoint.send_head(end.endpoint.streams[1], OK, True)
    assert len(end.frames) == 1


def test_a_failure_says_why_once_and_nothing_more() -> None:
    end = End().begin()
    (stream,) = opened(end, 1)
    failure = ConnectionFailure(ENHANCE_YOUR_CALM, "too much")
    end.endpoint.fail(failure)
    end.endpoint.fail(failure)
    (goaway,) = end.frames
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (1, ENHANCE_YOUR_CALM, b"too much")
    end.endpoint.send_head(stream, OK, True)
    assert end.written == b""


def test_a_client_opens_as_many_streams_as_the_server_takes() -> None:
    end = End(is_server=False)
    end.feed(settings_frame([(MAX_CONCURRENT_STREAMS, 2), (INITIAL_WINDOW_SIZE, 7)]))
    one, other = end.endpoint.open(), end.endpoint.open()
    assert one is not None
    assert other is not None
    assert (one.id, other.id, one.send_window) == (1, 3, 7)
    assert end.endpoint.open() is None
    end.endpoint.reset(one, CANCEL)
    third = end.endpoint.open()
    assert third is not None
    assert third.id == 5


def test_a_client_that_knows_no_settings_yet_opens_as_many_as_it_would_take_itself() -> None:
    end = End(Terms(streams=1), is_server=False)
    assert end.endpoint.open() is not None
    assert end.endpoint.open() is None


def test_streams_end_with_their_numbers() -> None:
    end = End(is_server=False).begin()
    end.endpoint.next_stream = MAX_STREAM
    assert end.endpoint.open() is not None
    assert end.endpoint.open() is None


def test_what_is_remembered_of_resets_is_bounded() -> None:
    end = End(Terms(streams=10_000)).begin()
    for number in range(1, 2 * REMEMBERED + 11, 2):
        end.feed(headers(number, GET), now=float(number))
        end.endpoint.reset(end.endpoint.streams[number], CANCEL)
    assert len(end.endpoint._reset_by_us) == REMEMBERED


def test_a_request_is_sent_by_a_client_as_a_server_reads_it() -> None:
    client, server = End(is_server=False), End()
    stream = client.endpoint.open()
    assert stream is not None
    client.endpoint.send_head(stream, block(POST), False)
    client.endpoint.send_data(stream, b"hello", True)
    assert told(server.feed(client.written)) == [("SETTINGS", 0), ("REQUEST", 1), ("DATA", 1, b"hello", "ends")]
