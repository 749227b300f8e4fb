"""What an endpoint announces and accepts, and what its peer has announced (RFC 9113 §6.5.2)."""

from __future__ import annotations

from typing import Final

from gateway.http2.blocks import BlockMemo
from gateway.http2.errors import FLOW_CONTROL_ERROR, PROTOCOL_ERROR, ConnectionFailure
from gateway.http2.frames import MAX_FRAME, MAX_WINDOW, MIN_FRAME

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6
ENABLE_CONNECT_PROTOCOL: Final = 0x8
NO_PRIORITIES: Final = 0x9

DEFAULT_WINDOW: Final = 65535


class Terms:
    """What the endpoints of one listener, or of one origin, accept. One object for all of them: `memo` is shared.

    `streams` at once; `stream_window` bytes of one that its reader has not taken, `connection_window` of all together;
    `list_bytes` of a header list; `continuations` frames of a header block beyond its first; `resets` and `control` steps as in
    `budget`; `pending` bytes that wait for the peer, of all streams together.
    """

    __slots__ = (
        "connection_window",
        "continuations",
        "control",
        "list_bytes",
        "memo",
        "pending",
        "resets",
        "stream_window",
        "streams",
    )

    def __init__(
        self,
        *,
        streams: int = 100,
        stream_window: int = 262_144,
        connection_window: int = 1_048_576,
        list_bytes: int = 65_536,
        continuations: int = 16,
        resets: int = 200,
        control: int = 1000,
        pending: int = 1_048_576,
    ) -> None:
        self.streams = streams
        self.stream_window: int = max(
            stream_window, DEFAULT_WINDOW
        )  # the peer may use the default until it knows better
        self.connection_window: int = max(connection_window, DEFAULT_WINDOW)
        self.list_bytes = list_bytes
        self.continuations = continuations
        self.resets = resets
        self.control = control
        self.pending = pending
        self.memo = BlockMemo()

    def announced(self, is_server: bool) -> list[tuple[int, int]]:
        """The settings that say so. Both sides have no dynamic table (`hpack`), and neither has pushes."""
        pairs = [
            (HEADER_TABLE_SIZE, 0),
            (INITIAL_WINDOW_SIZE, self.stream_window),
            (MAX_HEADER_LIST_SIZE, self.list_bytes),
        ]
        if is_server:
            return [*pairs, (MAX_CONCURRENT_STREAMS, self.streams), (ENABLE_CONNECT_PROTOCOL, 1), (NO_PRIORITIES, 1)]
        return [*pairs, (ENABLE_PUSH, 0)]


class PeerSettings:
    """What the peer has announced. `takes_connect`: it takes extended CONNECT (RFC 8441). `are_known`: it has said so."""

    __slots__ = ("are_known", "frame", "streams", "takes_connect", "window")

    def __init__(self) -> None:
        self.frame: int = MIN_FRAME
        self.streams: int = MAX_WINDOW
        self.takes_connect: bool = False
        self.window: int = DEFAULT_WINDOW
        self.are_known: bool = False

    def take(self, payload: bytes, is_server: bool) -> None:
        """Takes the payload of a SETTINGS frame. `is_server`: we are. Raises ConnectionFailure for values that there are not."""
        self.are_known = True
        for at in range(0, len(payload), 6):
            number = int.from_bytes(payload[at : at + 2], "big")
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            if number == INITIAL_WINDOW_SIZE:
                if value > MAX_WINDOW:
                    raise ConnectionFailure(FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is more than 2^31-1")
                self.window = value
            elif number == MAX_FRAME_SIZE:
                if not MIN_FRAME <= value < 1 << 24:
                    raise ConnectionFailure(PROTOCOL_ERROR, "MAX_FRAME_SIZE is not from 2^14 to 2^24-1")
                self.frame = min(value, MAX_FRAME)
            elif number == MAX_CONCURRENT_STREAMS:
                self.streams = value
            elif number == ENABLE_PUSH:
                if value > 1 or (value and not is_server):
                    raise ConnectionFailure(PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor, from a client, 1")
            elif number == ENABLE_CONNECT_PROTOCOL:
                if value > 1 or (self.takes_connect and not value):
                    raise ConnectionFailure(PROTOCOL_ERROR, "ENABLE_CONNECT_PROTOCOL is not 0 or 1, or is taken back")
                self.takes_connect = value == 1
