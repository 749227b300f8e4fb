"""Frames (RFC 9113 §4, §6): their types and flags, and the bytes of those that are sent. Reading them is `endpoint`'s."""

from __future__ import annotations

from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client begins with (§3.4)."""

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

HEAD_SIZE: Final = 9
MIN_FRAME: Final = 16384
"""Bytes of a payload that every endpoint accepts (§4.2), and the most that this program does."""
MAX_FRAME: Final = 65536
"""Bytes of the longest payload that is sent, to a peer that accepts more: larger frames are hardly cheaper."""
MAX_WINDOW: Final = 0x7FFFFFFF
MAX_STREAM: Final = 0x7FFFFFFF

HEAD: Final = Struct(">HBBBL")
"""Length (its upper 16 bits, its lower 8), type, flags, stream."""


def head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before a payload."""
    return HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream)


def settings_frame(pairs: list[tuple[int, int]]) -> bytes:
    """SETTINGS, with a number and a value for each setting."""
    payload = b"".join([number.to_bytes(2, "big") + value.to_bytes(4, "big") for number, value in pairs])
    return head(len(payload), SETTINGS, 0, 0) + payload


SETTINGS_ACK: Final = head(0, SETTINGS, ACK, 0)


def ping_frame(payload: bytes, flags: int = 0) -> bytes:
    """PING, with eight bytes."""
    return head(8, PING, flags, 0) + payload


def goaway_frame(last: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY: `last` is the last stream that is, or might be, processed."""
    return head(8 + len(debug), GOAWAY, 0, 0) + last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug


def window_update_frame(stream: int, size: int) -> bytes:
    """WINDOW_UPDATE: so many more bytes may come, on a stream, or (0) on the connection."""
    return head(4, WINDOW_UPDATE, 0, stream) + size.to_bytes(4, "big")


def rst_stream_frame(stream: int, code: int) -> bytes:
    """RST_STREAM."""
    return head(4, RST_STREAM, 0, stream) + code.to_bytes(4, "big")


def headers_frames(stream: int, block: bytes, ends: bool, most: int) -> bytes:
    """HEADERS, and CONTINUATION for what is beyond `most` bytes. `ends`: nothing follows on the stream."""
    size = len(block)
    flags = END_STREAM if ends else 0
    if size <= most:
        return head(size, HEADERS, flags | END_HEADERS, stream) + block
    parts = [head(most, HEADERS, flags, stream), block[:most]]
    at = most
    while at < size:
        piece = block[at : at + most]
        at += len(piece)
        parts.append(head(len(piece), CONTINUATION, END_HEADERS if at == size else 0, stream))
        parts.append(piece)
    return b"".join(parts)
