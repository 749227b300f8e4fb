"""Which of an application's calls have failed of late: a request that it fails then may not be its own fault.

Somebody who calls an application and gets an error cannot see whose error it is. Its sidecar can: it has both the request and
the calls that were made for it. (Elsewhere this is a known weakness of ejecting by status: a broken service takes its healthy
callers out of traffic, https://github.com/hashicorp/consul/issues/11422.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

MOST: Final = 4096
"""Owners of whom it is known that a call failed, in each of two generations."""
GIVEN_UP: Final = 0.2
"""Seconds after which an application that does not wait any longer for a response has waited in vain. One that leaves earlier
most likely had reasons of its own."""
LOOK: Final = 0.1
"""Seconds for which a look at the calls that wait is good enough."""

ANYBODY: Final = b"any"
"""The owner of a call that carries nothing."""

Waiting = Mapping[bytes, list[Callable[[], bool]]]
"""Calls without a response, by owner: each tells whether it still has none."""


def owner_with(tag: str) -> bytes:
    """The owner of a call that carries a tag and no id: any request with that tag. No id begins like this."""
    return b"tag " + tag.encode()


class FailedCalls:
    """When a call failed last, by its owner: the request that it was made for, or all that it may have been made for.

    An owner is a request's id, or `owner_with` a tag, or ANYBODY. Times are `perf_counter`'s seconds. Nothing is noted, looked
    for or kept while nothing fails. `find_waiting` finds the calls that have waited for GIVEN_UP: an application's error may
    be here before the end of the call that it has given up.
    """

    __slots__ = ("_looked_at", "_old", "_waiting", "_young", "find_waiting")

    def __init__(self) -> None:
        self.find_waiting: Callable[[float], Waiting] | None = None
        self._young: dict[bytes, float] = {}
        self._old: dict[bytes, float] = {}
        self._waiting: Waiting = {}
        self._looked_at: float = -LOOK

    def note(self, owner: bytes, at: float) -> None:
        """A call failed."""
        if len(self._young) >= MOST and owner not in self._young:
            self._old = self._young
            self._young = {}
        self._young[owner] = at

    def has_one(self, ids: Sequence[bytes], tag: str, since: float, now: float) -> bool:
        """Whether a call of the request with these ids and this tag failed `since` then, or waits in vain."""
        owners = (*ids, owner_with(tag), ANYBODY)
        for owner in owners:
            if max(self._young.get(owner, 0.0), self._old.get(owner, 0.0)) >= since:
                return True
        if self.find_waiting is None:
            return False
        if now - self._looked_at >= LOOK:
            self._looked_at = now
            self._waiting = self.find_waiting(now)
        for owner in owners:
            calls = self._waiting.get(owner)
            while calls:
                if calls[-1]():
                    return True
                calls.pop()
        return False
