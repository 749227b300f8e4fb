"""Instances that come and go too often: they go at once, and come back a while later."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from gateway.instance import Instance

CHANGES: Final = 3
WINDOW: Final = 60.0
"""More changes than these within these seconds are flapping."""
HOLD: Final = 10.0
"""Seconds for which a flapping instance that is back gets no traffic."""


class Flaps:
    """Remembers when each instance of one service became usable or ceased to be. `count` is how often one was held."""

    def __init__(self) -> None:
        self._usable: dict[str, bool] = {}
        self._changes: dict[str, deque[float]] = {}
        self._held: dict[str, float] = {}
        self.count = 0

    def take(self, instances: tuple[Instance, ...], now: float) -> None:
        """Takes an accepted list, at a time in seconds."""
        usable = {instance.address: instance.is_usable for instance in instances}
        flapping: dict[str, float] = {}
        for address in {*usable, *self._usable}:
            is_usable = usable.get(address, False)
            if address not in self._usable or self._usable[address] == is_usable:
                continue
            changes = self._changes.setdefault(address, deque(maxlen=CHANGES + 1))
            changes.append(now)
            if is_usable and len(changes) > CHANGES and now - changes[0] <= WINDOW:
                flapping[address] = now + HOLD
        self._held.update(flapping)
        self.count += sum(item.address in flapping for item in self.damped(instances, now) if not item.healthy)
        # One that is gone is remembered as unusable, for as long as its changes matter.
        for address in [address for address, times in self._changes.items() if now - times[-1] > WINDOW]:
            del self._changes[address]
        self._usable = {**dict.fromkeys(self._changes, False), **usable}

    def damped(self, instances: tuple[Instance, ...], now: float) -> tuple[Instance, ...]:
        """The list with those that are held unhealthy; of a tag whose usable ones are all held, none is: there is nobody else."""
        self._held = {address: until for address, until in self._held.items() if until > now}
        if not self._held:
            return instances
        others = {item.tag for item in instances if item.is_usable and item.address not in self._held}
        return tuple(
            replace(item, healthy=False) if item.address in self._held and item.tag in others else item
            for item in instances
        )

    def next_release(self) -> float | None:
        """When the next one is let go; None if none is held."""
        return min(self._held.values(), default=None)
