"""Which names have series of their own, where somebody outside may make names up: tags, and services that an application calls.

A series is kept and scraped for ever. What a registry or the rules know has one; of what nobody knows, the first few have,
and the rest is counted together as `_other`. So nobody can make series without end, and no lane or service is hidden by those
who try.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

OTHER: Final = "_other"
"""What names without their own series are counted under. A tag begins with a letter or a digit: it cannot be one."""
MOST: Final = 512
"""Pairs of a service and a tag that are unknown and counted by themselves: the first ones to come."""
LONGEST: Final = 255
"""Characters of a name that is counted by itself."""

Pair = tuple[str, str]
"""A service and a tag; the tag is empty if only the service counts."""


class Names:
    """`knows` says whether a service, and (unless empty) a tag of it, are known to a registry or to the rules."""

    __slots__ = ("_known", "_look_at", "_strangers", "knows")

    def __init__(self, knows: Callable[[str, str], bool]) -> None:
        self.knows = knows
        self._known: set[Pair] = set()
        self._strangers: set[Pair] = set()
        self._look_at: int = MOST

    def admit(self, service: str, tag: str) -> Pair:
        """What a service and a tag are counted under."""
        pair = (service, tag)
        if pair in self._known or pair in self._strangers:
            return pair
        if self.knows(service, tag):
            self._known.add(pair)
            return pair
        if len(self._strangers) < MOST and len(service) <= LONGEST and len(tag) <= LONGEST:
            self._strangers.add(pair)
            return pair
        return (service if self.knows(service, "") else OTHER), OTHER

    def outgrown(self) -> list[Pair]:
        """Pairs that were known once and are no more, such as tags of old releases; looked for when there are twice as many.

        They are forgotten: what was counted under them is to be counted under `_other`.
        """
        if len(self._known) < self._look_at:
            return []
        gone = [pair for pair in self._known if not self.knows(*pair)]
        self._known.difference_update(gone)
        self._look_at = max(MOST, 2 * len(self._known))
        return gone

    def forget(self, service: str) -> None:
        """Forgets a service: its pairs make room for others."""
        for pairs in (self._known, self._strangers):
            pairs.difference_update([pair for pair in pairs if pair[0] == service])
