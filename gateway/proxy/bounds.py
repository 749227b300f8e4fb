"""What one listener accepts at most: values, made from the settings."""

from __future__ import annotations

from typing import Final

from gateway.http2.terms import Terms

COMPRESSED: Final = 256
"""Responses that a listener compresses at a time: each takes some 300 KB. Others go as they are."""


class Places:
    """So many, and no more."""

    __slots__ = ("_most", "taken")

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken: int = 0

    def take(self) -> bool:
        """Takes a place, if there is one; returns whether."""
        if self.taken >= self._most:
            return False
        self.taken += 1
        return True

    def leave(self) -> None:
        """Gives a place back."""
        self.taken -= 1


class Limits:
    """What one listener accepts at most: bytes, counts, and bytes per second. See `docs/limits.md`.

    `lanes_in_flight` is `lane_in_flight` of all tags together.
    """

    __slots__ = (
        "body_rate",
        "connections",
        "connections_per_client",
        "head_bytes",
        "header_count",
        "in_flight",
        "inspected_bytes",
        "lane_in_flight",
        "lanes_in_flight",
        "pipelined_bytes",
        "target_bytes",
        "tunnels",
        "tunnels_per_client",
    )

    def __init__(
        self,
        *,
        head_bytes: int,
        header_count: int,
        target_bytes: int,
        pipelined_bytes: int,
        body_rate: int,
        connections: int,
        connections_per_client: int,
        in_flight: int,
        lane_in_flight: int,
        inspected_bytes: int,
        tunnels: int,
        tunnels_per_client: int,
    ) -> None:
        self.head_bytes = head_bytes
        self.header_count = header_count
        self.target_bytes = target_bytes
        self.pipelined_bytes = pipelined_bytes
        self.body_rate = body_rate
        self.connections = connections
        self.connections_per_client = connections_per_client
        self.in_flight = in_flight
        self.lane_in_flight = lane_in_flight
        # Several lanes may hang at a time. Who lets one have more, means it.
        self.lanes_in_flight: int = max(lane_in_flight, in_flight - max(1, in_flight // 4))
        self.inspected_bytes = inspected_bytes
        self.tunnels = tunnels
        self.tunnels_per_client = tunnels_per_client


class Http2:
    """How HTTP/2 is spoken with clients. Times are in seconds; 0: never.

    After `max_age`, give or take a tenth, a connection takes no new streams; a client that has been silent for `ping` while
    it has streams is asked whether it is there.
    """

    __slots__ = ("max_age", "ping", "terms")

    def __init__(self, terms: Terms, *, max_age: float, ping: float) -> None:
        self.terms = terms
        self.max_age = max_age
        self.ping = ping
