"""Slow start: an instance that is new gets a growing share of its weight, for caches and compilers to warm up.

New is who this process has not seen before. Who was there when it first learned of the service is not new, or every restart
of a gateway would throttle everybody; and if a pool has only new ones there is nobody to spare them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.instance import Instance

LEAST: Final = 0.1
"""Share of its weight that the newest instance gets."""
STEPS: Final = 10
"""In how many steps that grows."""
REMEMBERED: Final = 60.0
"""Seconds for which an instance that went is remembered: coming back, it is not new."""


class SlowStart:
    """The ages of one service's instances. Times are seconds on a steady clock."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, bytes], float] = {}  # by address and who is there
        self._gone: dict[tuple[str, bytes], float] = {}
        self._knows = False

    def shares(self, instances: Sequence[Instance], window: float, now: float) -> dict[str, float]:
        """The share of its weight for each address that is new: less than `window` seconds old. Notes who is there."""
        for key in [key for key, since in self._gone.items() if now - since > REMEMBERED]:
            del self._since[key], self._gone[key]
        there = {(instance.address, instance.identity) for instance in instances}
        for key in there:
            if key not in self._since:
                self._since[key] = now if self._knows else float("-inf")
            self._gone.pop(key, None)
        for key in self._since.keys() - there:
            self._gone.setdefault(key, now)
        self._knows = self._knows or bool(instances)
        shares: dict[str, float] = {}
        seasoned: set[str] = set()
        for instance in instances:
            age = now - self._since[instance.address, instance.identity]
            if age >= window:
                if instance.is_usable:
                    seasoned.add(instance.tag)
            else:
                # In whole steps: between two of them nothing changes.
                shares[instance.address] = max(LEAST, int(age / window * STEPS) / STEPS)
        return {
            instance.address: shares[instance.address]
            for instance in instances
            if instance.address in shares and instance.tag in seasoned
        }
