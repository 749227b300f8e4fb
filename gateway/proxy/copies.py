"""Copies of requests for mirrors: what an exchange hands over, and the bounded place where that is kept until it is sent.

The original pays for a few references, and for nothing if there is no mirror; whoever sends the copies is in `live.mirrors`.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.instance import Instance
from gateway.routing.verdict import Forward
from gateway.rules.mirrored import MirroredLane
from gateway.telemetry.counters import Traffic

MOST: Final = 64
"""Copies that are kept or under way at a time: one more is dropped."""
MAX_BODY: Final = 65_536
"""Bytes of a request body; a request with more is not copied."""
MAX_RESPONSE: Final = 262_144
"""Bytes of the original's response that are kept; of one with more, only the head is compared."""


class Copy:
    """One request on its way to a lane's instance, and the response that the original got (`response`, as it came).

    `head` and `body` are those that went to the baseline. `is_cut`: the response had more bytes than are kept.
    """

    __slots__ = ("_size", "body", "head", "instance", "is_cut", "is_framed", "lane", "response", "service")

    def __init__(
        self, lane: MirroredLane, instance: Instance, service: str, head: bytes, body: bytes, is_framed: bool
    ) -> None:
        self.lane = lane
        self.instance = instance
        self.service = service
        self.head = head
        self.body = body
        self.is_framed = is_framed
        self.response: list[bytes] = []
        self.is_cut: bool = False
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


class Copies:
    """Those of one process: `waiting` are to be sent, `held` counts them and all others that are not done with."""

    __slots__ = ("_traffic", "held", "is_wanted", "waiting")

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self.held: int = 0
        self.waiting: list[Copy] = []
        self.is_wanted = asyncio.Event()

    def begin(self, forward: Forward, body: bytes, is_framed: bool) -> Copy | None:
        """A copy of a request that is sent now; None if there are too many already."""
        choice = forward.copied_to
        assert choice is not None
        lane, instance = choice
        service = forward.decision.service
        if self.held >= MOST:
            self.count(service, lane.tag, "dropped")
            return None
        self.held += 1
        return Copy(lane, instance, service, forward.head, body, is_framed)

    def end(self, copy: Copy, is_whole: bool) -> None:
        """The original is over; if it got a whole response from the baseline, the copy is sent."""
        if is_whole:
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
