"""What one listener accepts at most: values, made from the settings."""

from __future__ import annotations

from gateway.http2.terms import Terms


class Limits:
    """What one listener accepts at most: bytes, counts, and bytes per second. See `docs/limits.md`."""

    __slots__ = (
        "body_rate",
        "connections",
        "connections_per_client",
        "head_bytes",
        "header_count",
        "in_flight",
        "inspected_bytes",
        "lane_in_flight",
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
