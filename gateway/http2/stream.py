"""One stream (RFC 9113 §5.1): which side has finished, how much may still be sent each way, and what waits to be sent.

The states of the RFC are `is_remote_done` and `is_local_done`: open has neither, half-closed has one; with both, or after a
reset, the stream is closed and its endpoint has forgotten it.
"""

from __future__ import annotations

from gateway.http2.heads import NO_LENGTH


class Stream:
    """`opened_at` is on the endpoint's clock. `send_window` may be negative (§6.9.2).

    `length_left` is what Content-Length still promises, or NO_LENGTH.

    `pending` waits for the peer to accept it, `pending_size` bytes in all; after it come `pending_trailers` (a block, empty:
    none) and, if `pending_ends`, the end.
    """

    __slots__ = (
        "has_head",
        "id",
        "is_closed",
        "is_head_response",
        "is_local_done",
        "is_remote_done",
        "length_left",
        "opened_at",
        "pending",
        "pending_ends",
        "pending_size",
        "pending_trailers",
        "receive_window",
        "returned",
        "send_window",
    )

    def __init__(self, number: int, send_window: int, receive_window: int, now: float) -> None:
        self.id = number
        self.opened_at = now
        self.send_window = send_window
        self.receive_window = receive_window
        self.returned: int = 0
        self.is_closed: bool = False
        self.is_remote_done: bool = False
        self.is_local_done: bool = False
        self.has_head: bool = False
        self.is_head_response: bool = False
        """The response is to HEAD: it has no body, whatever its length is said to be."""
        self.length_left: int = NO_LENGTH
        self.pending: list[bytes | memoryview] = []
        self.pending_size: int = 0
        self.pending_ends: bool = False
        self.pending_trailers: bytes = b""
