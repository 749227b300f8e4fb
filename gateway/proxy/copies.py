"""Copies of requests for mirrors: what an exchange hands over, and the bounded place where that is kept until it is sent.

The original pays for a few references, and for nothing if there is no mirror; whoever sends the copies is in `live.mirrors`.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from gateway.grpc.status import NO_STATUS
from gateway.proxy.request_body import RequestBody
from gateway.routing.verdict import Forward
from gateway.rules.mirrored import MirroredLane
from gateway.telemetry.counters import Traffic

MOST: Final = 64
"""Copies that are kept or under way at a time: one more is dropped."""
MAX_BODY: Final = 65_536
"""Bytes of a request body; a request with more is not copied."""
MAX_RESPONSE: Final = 262_144
"""Bytes of a response that are kept; of one with more, only the head is compared."""


class Copy:
    """One request on its way to a lane, and the response that the original got (`response`, as it came).

    `head` and `body` are those that went to the baseline; None: the body has not come whole, or is too long. `is_framed`: it
    is in chunks. `is_cut`: the response had more bytes than are kept. `ended_at` is when the original was over, in seconds of
    `monotonic`; `grpc_status` the code of a gRPC call, else NO_STATUS.
    """

    __slots__ = (
        "_size",
        "body",
        "ended_at",
        "grpc_status",
        "head",
        "is_cut",
        "is_framed",
        "lane",
        "response",
        "service",
    )

    def __init__(self, lane: MirroredLane, service: str, head: bytes) -> None:
        self.lane = lane
        self.service = service
        self.head = head
        self.body: bytes | None = None
        self.is_framed: bool = False
        self.response: list[bytes] = []
        self.is_cut: bool = False
        self.grpc_status: int = NO_STATUS
        self.ended_at: float = 0.0
        self._size: int = 0

    def begin(self) -> None:
        """A response begins: what there was is of an attempt that failed."""
        self.response = []
        self.is_cut = False
        self._size = 0

    def take(self, data: bytes) -> None:
        """Takes what came of the response."""
        if self.is_cut:
            return
        room = MAX_RESPONSE - self._size
        self.is_cut = len(data) > room
        self._size += len(data)
        self.response.append(data[:room] if self.is_cut else data)

    def take_body(self, body: RequestBody) -> None:
        """Takes the request's body, if it has come whole, and is still here: for the last time before it is forgotten."""
        if body.is_done and body.can_replay and body.held <= MAX_BODY:
            self.body = body.kept
            self.is_framed = body.is_framed and body.is_chunked


class Copies:
    """Those of one process: `waiting` are to be sent, `held` counts them and all others that are not done with."""

    __slots__ = ("_traffic", "held", "is_wanted", "waiting")

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self.held: int = 0
        self.waiting: list[Copy] = []
        self.is_wanted = asyncio.Event()

    def begin(self, forward: Forward) -> Copy | None:
        """A copy of a request that is sent now; None if there are too many already."""
        lane = forward.copied_to
        assert lane is not None
        service = forward.decision.service
        if self.held >= MOST:
            self.count(service, lane.tag, "dropped")
            return None
        self.held += 1
        return Copy(lane, service, forward.head)

    def end(self, copy: Copy, is_whole: bool) -> None:
        """The original is over; if it got a whole response from the baseline, and its body is known, the copy is sent."""
        if is_whole and copy.body is not None:
            copy.ended_at = monotonic()
            self.waiting.append(copy)
            self.is_wanted.set()
        else:
            self.done(copy, "skipped")

    def done(self, copy: Copy, result: str) -> None:
        """Nothing is left to do for a copy."""
        self.held -= 1
        self.count(copy.service, copy.lane.tag, result)

    def count(self, service: str, tag: str, result: str) -> None:
        """Counts what became of one request that was chosen."""
        self._traffic.count_mirrored(service, tag, result)
