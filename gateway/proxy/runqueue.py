"""Work that would hold the event loop, a little of it each turn, one connection after the other.

A request that came alone is served when it comes. What one peer piles up (requests behind requests, a body cut into a
million chunks) has a slice of each turn, which all such peers share, and the rest waits here: others are served first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

SLICE: Final = 0.002
"""Seconds of a turn of the event loop."""


class RunQueue:
    """Who has work left, of all connections of a process. `call_soon` is the event loop's, `clock` gives seconds."""

    __slots__ = ("_begun", "_clock", "_waiting", "call_soon")

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], Any], clock: Callable[[], float] = perf_counter
    ) -> None:
        self.call_soon = call_soon
        self._clock = clock
        self._begun: float = 0.0  # this turn's slice, 0 before anyone has needed it
        self._waiting: deque[Callable[[], None]] = deque()

    def has_time(self) -> bool:
        """Whether anything of this turn's slice is left."""
        now = self._clock()
        if self._begun:
            return now - self._begun < SLICE
        self._begun = now
        self.call_soon(self._run)
        return True

    def put(self, go_on: Callable[[], None]) -> None:
        """Has somebody go on in a later turn, after those that wait already."""
        self._waiting.append(go_on)
        self.has_time()  # so that there is a next turn

    def _run(self) -> None:
        """Begins a turn's slice, with those that wait."""
        self._begun = self._clock()
        waiting = self._waiting
        while waiting:
            waiting.popleft()()
            if not self.has_time():
                break
        if waiting:
            self.call_soon(self._run)
        else:
            self._begun = 0.0
