"""Frames as they are written: another library reads the same."""

from __future__ import annotations

from typing import Any

from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from gateway.http2.frames import (
    ACK,
    SETTINGS_ACK,
    goaway_frame,
    headers_frames,
    ping_frame,
    rst_stream_frame,
    settings_frame,
    window_update_frame,
)


def read(data: bytes) -> list[Any]:
    """The frames that they are."""
    frames = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        frames.append(frame)
        data = data[9 + length :]
    return frames


def test_each_is_what_it_says() -> None:
    assert [frame.serialize() for frame in read(SETTINGS_ACK)] == [SettingsFrame(0, flags=["ACK"]).serialize()]
    assert settings_frame([(4, 70000), (3, 9)]) == SettingsFrame(0, settings={4: 70000, 3: 9}).serialize()
    assert ping_frame(b"12345678") == PingFrame(0, opaque_data=b"12345678").serialize()
    assert ping_frame(b"12345678", ACK) == PingFrame(0, opaque_data=b"12345678", flags=["ACK"]).serialize()
    assert (
        goaway_frame(7, 11, b"why")
        == GoAwayFrame(0, last_stream_id=7, error_code=11, additional_data=b"why").serialize()
    )
    assert window_update_frame(5, 1 << 30) == WindowUpdateFrame(5, window_increment=1 << 30).serialize()
    assert rst_stream_frame(9, 8) == RstStreamFrame(9, error_code=8).serialize()


def test_a_block_that_is_longer_than_a_frame_is_continued() -> None:
    block = bytes(range(250))
    assert (
        headers_frames(3, block, True, 250) == HeadersFrame(3, block, flags=["END_STREAM", "END_HEADERS"]).serialize()
    )
    frames = read(headers_frames(3, block, True, 100))
    assert [(type(frame), frame.data, sorted(frame.flags)) for frame in frames] == [
        (HeadersFrame, block[:100], ["END_STREAM"]),
        (ContinuationFrame, block[100:200], []),
        (ContinuationFrame, block[200:], ["END_HEADERS"]),
    ]
