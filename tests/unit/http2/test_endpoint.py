"""What comes in on a connection: messages on streams, in whatever pieces, and each fault with the error that it is (RFC 9113)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.http2.endpoint import BULK
from gateway.http2.errors import (
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
)
from gateway.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    MIN_FRAME,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    settings_frame,
)
from gateway.http2.terms import Terms
from tests.support.http2 import GET, POST, End, block, data, frame, headers, hello, told


def test_a_request_with_a_body_and_trailers() -> None:
    end = End()
    found = end.feed(hello() + headers(1, POST, False) + data(1, b"hello") + headers(1, [(b"a", b"b")]))
    assert told(found) == [
        ("SETTINGS", 0),
        ("REQUEST", 1),
        ("DATA", 1, b"hello"),
        ("TRAILERS", 1, b"\r\na: b", "ends"),
    ]
    assert found[1].request is not None
    assert found[1].request.text(False).startswith(b"POST /A/x HTTP/1.1\r\nhost: shop.example\r\n")


def test_pieces_make_no_difference() -> None:
    whole = hello() + headers(1, POST, False) + data(1, b"hello", True) + headers(3, GET)
    expected = told(End().feed(whole))
    assert told(End().feed(*[whole[at : at + 1] for at in range(len(whole))])) == expected
    for at in range(len(whole)):
        assert told(End().feed(whole[:at], whole[at:])) == expected


def test_a_block_may_come_in_several_frames_and_with_padding_and_a_priority() -> None:
    whole = block(GET)
    priority = b"\0\0\0\0\x10"
    begin = frame(HEADERS, PADDED | HAS_PRIORITY | END_STREAM, 1, b"\3" + priority + whole[:5] + b"\0\0\0")
    rest = frame(CONTINUATION, 0, 1, whole[5:7]) + frame(CONTINUATION, END_HEADERS, 1, whole[7:])
    assert told(End().begin().feed(begin + rest)) == [("REQUEST", 1, "ends")]


def test_padding_is_no_data_and_given_back() -> None:
    end = End().begin()
    found = end.feed(headers(1, POST, False) + frame(DATA, PADDED, 1, b"\x04data\0\0\0\0"))
    assert told(found)[1:] == [("DATA", 1, b"data")]
    assert end.endpoint._returned == 5


A, B, C = (letter * BULK for letter in (b"a", b"b", b"c"))
UPLOADS = headers(1, POST, False) + headers(3, POST, False)


@pytest.mark.parametrize(
    ("sent", "pieces"),
    [
        (data(1, A) + data(1, B + b"b") + data(1, C), [("DATA", 1, A + B + b"b" + C)]),
        (data(1, A) + data(3, B) + data(1, C), [("DATA", 1, A), ("DATA", 3, B), ("DATA", 1, C)]),
        (data(1, A) + data(1, B, True), [("DATA", 1, A), ("DATA", 1, B, "ends")]),
        (data(1, A) + data(1, b"x" * (BULK - 1)) + data(1, B), [("DATA", 1, A), ("DATA", 1, b"x" * (BULK - 1)), ("DATA", 1, B)]),
        (frame(DATA, PADDED, 1, b"\1" + A + b"\0") * 2, [("DATA", 1, A)] * 2),
        (data(1, A) + data(1, b"x" * (MIN_FRAME + 1)), [("DATA", 1, A), ("FAILED", 0, FRAME_SIZE_ERROR)]),
    ],
    ids=["of one stream", "of two", "the last one", "a small one", "padding", "one that is too long"],
)  # fmt: skip
def test_large_frames_of_data_behind_one_another_are_one_piece(sent: bytes, pieces: list[Any]) -> None:
    end = End().begin()
    assert told(end.feed(UPLOADS + sent))[2:] == pieces
    taken = sum(len(piece[2]) for piece in pieces if piece[0] == "DATA")
    assert end.endpoint.receive_window + taken >= end.endpoint.terms.connection_window - 4  # padding counts, too


def test_what_is_joined_is_the_same_wherever_packets_end() -> None:
    sent = data(1, A) + data(1, B) + data(1, C) + data(1, b"x", True)
    for at in (1, 8, 9, 10, BULK + 8, BULK + 9, BULK + 10, BULK + 17, BULK + 18, 2 * BULK + 20, len(sent) - 1):
        found = told(End().begin().feed(UPLOADS, sent[:at], sent[at:]))[2:]
        assert b"".join(piece[2] for piece in found) == A + B + C + b"x"
        assert found[-1][3:] == ("ends",)


def test_frames_of_other_types_are_ignored() -> None:
    assert told(End().begin().feed(frame(0x77, 0xFF, 0, b"x") + frame(0x78, 0, 9, b"y") + headers(1, GET))) == [
        ("REQUEST", 1, "ends")
    ]


OPEN = headers(1, POST, False)
DONE = headers(1, GET)
ON_CONNECTION = [
    pytest.param(data(0, b"x"), PROTOCOL_ERROR, id="DATA on no stream"),
    pytest.param(data(1, b"x"), PROTOCOL_ERROR, id="DATA on a stream that is idle"),
    pytest.param(frame(HEADERS, END_HEADERS, 0, block(GET)), PROTOCOL_ERROR, id="HEADERS on no stream"),
    pytest.param(headers(2, GET), PROTOCOL_ERROR, id="HEADERS on a stream of ours"),
    pytest.param(headers(5, GET) + headers(3, GET), STREAM_CLOSED, id="HEADERS on a stream before the last"),
    pytest.param(OPEN + frame(HEADERS, PADDED | END_HEADERS, 3, b"\x05abc"), PROTOCOL_ERROR, id="more padding than payload"),
    pytest.param(OPEN + frame(DATA, PADDED, 1, b""), PROTOCOL_ERROR, id="padding without a length"),
    pytest.param(frame(HEADERS, HAS_PRIORITY | END_HEADERS, 1, b"\0\0"), FRAME_SIZE_ERROR, id="half a priority"),
    pytest.param(frame(HEADERS, HAS_PRIORITY | END_HEADERS, 1, b"\0\0\0\1\0"), PROTOCOL_ERROR, id="HEADERS depends on itself"),
    pytest.param(frame(HEADERS, END_HEADERS, 1, b"\xff"), COMPRESSION_ERROR, id="half a field"),
    pytest.param(frame(CONTINUATION, END_HEADERS, 1, b""), PROTOCOL_ERROR, id="CONTINUATION of nothing"),
    pytest.param(frame(HEADERS, 0, 1, b"") + OPEN, PROTOCOL_ERROR, id="a block that is interrupted"),
    pytest.param(
        frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 3, b""), PROTOCOL_ERROR, id="CONTINUATION of another stream"
    ),
    pytest.param(frame(PRIORITY, 0, 0, b"\0\0\0\0\0"), PROTOCOL_ERROR, id="PRIORITY on no stream"),
    pytest.param(frame(PRIORITY, 0, 1, b"\0\0\0\0"), FRAME_SIZE_ERROR, id="a short PRIORITY"),
    pytest.param(frame(PRIORITY, 0, 1, b"\0\0\0\1\0"), PROTOCOL_ERROR, id="a stream that depends on itself"),
    pytest.param(frame(RST_STREAM, 0, 0, b"\0\0\0\0"), PROTOCOL_ERROR, id="RST_STREAM on no stream"),
    pytest.param(frame(RST_STREAM, 0, 1, b"\0\0\0\0"), PROTOCOL_ERROR, id="RST_STREAM on a stream that is idle"),
    pytest.param(OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0"), FRAME_SIZE_ERROR, id="a short RST_STREAM"),
    pytest.param(frame(SETTINGS, 0, 1, b""), PROTOCOL_ERROR, id="SETTINGS on a stream"),
    pytest.param(frame(SETTINGS, 0, 0, b"x"), FRAME_SIZE_ERROR, id="SETTINGS that are no settings"),
    pytest.param(frame(SETTINGS, 1, 0, b"\0\0\0\0\0\0"), FRAME_SIZE_ERROR, id="an acknowledgement with settings"),
    pytest.param(settings_frame([(4, 1 << 31)]), FLOW_CONTROL_ERROR, id="a window beyond all windows"),
    pytest.param(OPEN + frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\0\0") + settings_frame([(4, (1 << 31) - 1)]), FLOW_CONTROL_ERROR, id="a setting that makes one"),
    pytest.param(frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"), PROTOCOL_ERROR, id="a push"),
    pytest.param(frame(PING, 0, 1, b"12345678"), PROTOCOL_ERROR, id="PING on a stream"),
    pytest.param(frame(PING, 0, 0, b"1234567"), FRAME_SIZE_ERROR, id="a short PING"),
    pytest.param(frame(GOAWAY, 0, 1, b"\0" * 8), PROTOCOL_ERROR, id="GOAWAY on a stream"),
    pytest.param(frame(GOAWAY, 0, 0, b"\0" * 7), FRAME_SIZE_ERROR, id="a short GOAWAY"),
    pytest.param(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), PROTOCOL_ERROR, id="no more window"),
    pytest.param(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0"), FRAME_SIZE_ERROR, id="a short WINDOW_UPDATE"),
    pytest.param(frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), FLOW_CONTROL_ERROR, id="too much window"),
    pytest.param(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1"), PROTOCOL_ERROR, id="window of a stream that is idle"),
    pytest.param(frame(0x77, 0, 0, b"x" * 16385), FRAME_SIZE_ERROR, id="a frame that is too long"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "code"), ON_CONNECTION)
def test_faults_that_end_the_connection(sent: bytes, code: int) -> None:
    end = End().begin()
    last = end.feed(sent + headers(99, GET))[-1]
    assert told([last]) == [("FAILED", 0, code)]
    goaway = end.frames[-1]
    assert (type(goaway).__name__, goaway.error_code) == ("GoAwayFrame", code)
    assert end.feed(headers(101, GET)) == []
    assert end.written == b""


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        PREFACE[:-1] + b"x",
        PREFACE + headers(1, GET),
        PREFACE + SETTINGS_ACK,
    ],
    ids=["HTTP/1.1", "almost", "no settings", "an acknowledgement first"],
)
def test_a_connection_begins_with_the_preface_and_settings(first: bytes) -> None:
    assert told(End().feed(first))[-1] == ("FAILED", 0, PROTOCOL_ERROR)


ON_STREAM: list[Any] = [
    pytest.param(DONE + data(1, b"x"), STREAM_CLOSED, id="DATA after the end"),
    pytest.param(DONE + headers(1, GET), STREAM_CLOSED, id="HEADERS after the end"),
    pytest.param(OPEN + frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\0"), PROTOCOL_ERROR, id="no more window"),
    pytest.param(OPEN + frame(WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"), FLOW_CONTROL_ERROR, id="too much window"),
    pytest.param(OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\0"), FRAME_SIZE_ERROR, id="a short PRIORITY"),
    pytest.param(OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\1\0"), PROTOCOL_ERROR, id="a stream that depends on itself"),
    pytest.param(headers(1, [*POST, (b"content-length", b"3")], False) + data(1, b"1234"), PROTOCOL_ERROR, id="more data than its length"),
    pytest.param(headers(1, [*POST, (b"content-length", b"3")], False) + data(1, b"12", True), PROTOCOL_ERROR, id="less data than its length"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "code"), ON_STREAM)
def test_faults_that_end_a_stream(sent: bytes, code: int) -> None:
    end = End().begin()
    found = end.feed(sent + headers(3, GET))
    resets = [event for event in found if event.is_ours]
    assert [(event.stream.id if event.stream else 0, event.code) for event in resets] == [(1, code)]
    assert told(found)[-1] == ("REQUEST", 3, "ends")
    assert [(item.stream_id, item.error_code) for item in end.frames] == [(1, code)]


def test_more_data_than_the_streams_window() -> None:
    end = End(Terms(stream_window=65535)).begin()
    found = end.feed(OPEN + data(1, b"x" * 16384) * 3, data(1, b"x" * 16384))
    assert (found[-1].is_ours, found[-1].code) == (True, FLOW_CONTROL_ERROR)


def test_more_data_than_the_connections_window() -> None:
    end = End(Terms(connection_window=65535)).begin()
    assert told(end.feed(OPEN + data(1, b"x" * 16384) * 4))[-1] == ("FAILED", 0, FLOW_CONTROL_ERROR)


MALFORMED: list[Any] = [
    pytest.param(headers(1, [*GET, (b"connection", b"close")]), id="a head"),
    pytest.param(headers(1, [*POST, (b"content-length", b"5")]), id="a body that is missing"),
    pytest.param(OPEN + headers(1, [(b":path", b"/")]), id="trailers"),
    pytest.param(OPEN + headers(1, [(b"a", b"b")], False), id="trailers without an end"),
    pytest.param(headers(1, [*POST, (b"content-length", b"5")], False) + data(1, b"123") + headers(1, []), id="trailers too soon"),
]  # fmt: skip


@pytest.mark.parametrize("sent", MALFORMED)
def test_what_is_no_message_is_for_the_owner_to_answer(sent: bytes) -> None:
    end = End().begin()
    found = end.feed(sent + headers(3, GET))
    kinds = [event[:2] for event in told(found)]
    assert ("MALFORMED", 1) in kinds
    assert kinds[-1] == ("REQUEST", 3)
    assert end.written == b""
    assert 1 in end.endpoint.streams


def test_a_list_that_is_too_large_is_told_apart() -> None:
    end = End(Terms(list_bytes=300)).begin()
    found = end.feed(headers(1, [*GET, (b"a", b"x" * 300)]) + headers(3, GET))
    assert [(event.kind, event.code) for event in found] == [(6, 1), (1, 0)]


def test_one_stream_more_than_there_may_be_is_refused() -> None:
    end = End(Terms(streams=2)).begin()
    found = end.feed(headers(1, GET) + headers(3, POST, False) + headers(5, GET))
    assert told(found)[-1] == ("REFUSED", 0, b"streams")
    assert [(item.stream_id, item.error_code) for item in end.frames] == [(5, REFUSED_STREAM)]
    end.endpoint.reset(end.endpoint.streams[1], 0)
    assert told(end.feed(headers(7, GET))) == [("REQUEST", 7, "ends")]


def test_what_comes_on_a_stream_that_was_reset_by_us_is_read_and_ignored() -> None:
    """The peer did not know. Its header blocks still change the table, and its data uses window."""
    end = End().begin()
    end.feed(headers(1, POST, False))
    end.endpoint.reset(end.endpoint.streams[1], 0)
    assert end.feed(data(1, b"x" * 100) + headers(1, [(b"a", b"b")]) + frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1")) == []
    assert end.endpoint._returned == 100
    assert told(end.feed(headers(3, GET))) == [("REQUEST", 3, "ends")]


def test_what_comes_on_a_stream_that_has_ended_is_a_fault() -> None:
    end = End().begin()
    end.feed(headers(1, GET))
    end.endpoint.send_head(end.endpoint.streams[1], b"\x88", True)
    _ = end.written
    assert end.feed(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1") + frame(RST_STREAM, 0, 1, b"\0\0\0\0")) == []
    assert end.feed(data(1, b"x")) == []
    assert [(item.stream_id, item.error_code) for item in end.frames] == [(1, STREAM_CLOSED)]
    end.feed(headers(3, GET))
    end.endpoint.send_head(end.endpoint.streams[3], b"\x88", True)
    assert told(end.feed(headers(3, GET))) == [("FAILED", 0, STREAM_CLOSED)]


def test_a_head_without_an_end_is_bounded_in_frames_and_bytes() -> None:
    """CVE-2024-27316."""
    begin = frame(HEADERS, 0, 1, b"")
    for flood in [frame(CONTINUATION, 0, 1, b"") * 100, frame(CONTINUATION, 0, 1, b"x" * 10_000) * 15]:
        end = End(Terms(list_bytes=65536, continuations=16)).begin()
        found = end.feed(begin + flood)
        assert told(found) == [("FAILED", 0, ENHANCE_YOUR_CALM)]
        assert found[0].failure is not None
        assert found[0].failure.attack == "continuations"
        assert sum(map(len, end.endpoint._block)) <= 2 * 65536 + 10_000


# --- the client's side


def test_a_response_with_interim_ones_and_trailers() -> None:
    end = End(is_server=False).begin()
    stream = end.endpoint.open()
    assert stream is not None
    end.endpoint.send_head(stream, block(GET), True)
    found = end.feed(
        headers(1, [(b":status", b"103"), (b"link", b"</a>")], False)
        + headers(1, [(b":status", b"200")], False)
        + data(1, b"hello")
        + headers(1, [(b"grpc-status", b"0")])
    )
    assert told(found) == [
        ("RESPONSE", 1),
        ("RESPONSE", 1),
        ("DATA", 1, b"hello"),
        ("TRAILERS", 1, b"\r\ngrpc-status: 0", "ends"),
    ]
    assert [event.response.status for event in found if event.response] == [103, 200]
    assert end.endpoint.streams == {}


@pytest.mark.parametrize(
    ("is_head", "fields", "ends", "is_fine"),
    [
        (False, [(b":status", b"200"), (b"content-length", b"5")], True, False),
        (True, [(b":status", b"200"), (b"content-length", b"5")], True, True),
        (False, [(b":status", b"304"), (b"content-length", b"5")], True, True),
        (False, [(b":status", b"100")], True, False),
        (False, [(b":status", b"200")], True, True),
    ],
    ids=["no body", "to HEAD", "304", "an interim response that ends", "without a length"],
)
def test_whether_a_response_may_end_with_its_head(is_head: bool, fields: list[Any], ends: bool, is_fine: bool) -> None:
    end = End(is_server=False).begin()
    stream = end.endpoint.open()
    assert stream is not None
    stream.is_head_response = is_head
    end.endpoint.send_head(stream, block(GET), True)
    (event,) = told(end.feed(headers(1, fields, ends)))
    assert event[0] == ("RESPONSE" if is_fine else "MALFORMED")


def test_a_server_opens_no_streams_and_pushes_nothing() -> None:
    end = End(is_server=False).begin()
    assert told(end.feed(headers(2, [(b":status", b"200")]))) == [("FAILED", 0, PROTOCOL_ERROR)]


def test_data_before_a_response_is_none() -> None:
    end = End(is_server=False).begin()
    stream = end.endpoint.open()
    assert stream is not None
    end.endpoint.send_head(stream, block(GET), True)
    assert told(end.feed(data(1, b"x"))) == [("FAILED", 0, PROTOCOL_ERROR)]


def test_streams_that_the_server_does_not_process_may_be_sent_elsewhere() -> None:
    end = End(is_server=False).begin()
    for _ in range(2):
        stream = end.endpoint.open()
        assert stream is not None
        end.endpoint.send_head(stream, block(GET), True)
    found = end.feed(frame(GOAWAY, 0, 0, b"\0\0\0\1\0\0\0\0"))
    assert told(found) == [("RESET", 3, REFUSED_STREAM), ("GOAWAY", 0)]
    assert end.endpoint.open() is None
    assert list(end.endpoint.streams) == [1]


def test_what_an_owner_leaves_for_later_is_read_before_what_comes_in_the_meantime() -> None:
    end = End().begin()
    whole = headers(1, GET) + headers(3, GET) + headers(5, POST, False) + data(5, b"x" * 50) + headers(7, GET)
    for cut in range(1, len(whole)):
        end = End().begin()
        found = []
        end.endpoint.feed(whole[:cut], 0.0)
        found += [event for event in [end.endpoint.next_event()] if event is not None]
        end.endpoint.feed(whole[cut : cut + 20], 0.0)
        found += [event for event in [end.endpoint.next_event()] if event is not None]
        end.endpoint.feed(whole[cut + 20 :], 0.0)
        found += end.events()
        assert told(found) == [
            ("REQUEST", 1, "ends"),
            ("REQUEST", 3, "ends"),
            ("REQUEST", 5),
            ("DATA", 5, b"x" * 50),
            ("REQUEST", 7, "ends"),
        ]
