"""A service as routing sees it: its instances in pools, one pool a tag, and the choice among them.

`ServiceView` is immutable but for the turn of each pool's round robin, which is kept in a `Turns` table beside the
views so that a new view (an instance came or went) does not start every pool from its first instance again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.routing.instance import BASE, Instance

ABSENT: Final = "absent"
"""Fallback reason: no instance of the service carries the tag."""
ALL_UNHEALTHY: Final = "all_unhealthy"
"""Fallback reason: instances carry the tag, but none is healthy, enabled and of weight above 0."""
NOT_IN_GROUP: Final = "not_in_group"
"""Fallback reason: the lane's group does not hold this service."""
CONNECT_ERROR: Final = "connect_error"
"""Fallback reason: no instance with the tag accepted a connection for this request."""

MAX_SHARE: Final = 100
"""The largest weight ratio within a pool that is kept exactly; beyond it the heavy instances count as this much."""


class Turn:
    """Whose turn it is in one pool; the only mutable part of picking."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count: int = 0


class Turns:
    """The turns of every pool of this process, by service and tag."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], Turn] = {}

    def of(self, service: str, tag: str) -> Turn:
        """The turn of a pool, made when first asked for."""
        key = (service, tag)
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = Turn()
        return turn

    def forget(self, service: str) -> None:
        """Drops the turns of a service that is not routed to any more."""
        for key in [key for key in self._turns if key[0] == service]:
            del self._turns[key]


class Pool:
    """The instances of one service that carry one tag. `order` is the round robin, as long as the weights need."""

    __slots__ = ("_turn", "order", "service", "size", "tag", "usable")

    def __init__(self, service: str, tag: str, instances: Sequence[Instance], turn: Turn) -> None:
        self.service = service
        self.tag = tag
        self.size: int = len(instances)
        self.usable: tuple[Instance, ...] = tuple(instance for instance in instances if instance.is_usable)
        self.order: tuple[Instance, ...] = _spread(self.usable)
        self._turn = turn

    def pick(self) -> Instance | None:
        """The next instance by weighted round robin, or None where no instance is usable."""
        order = self.order
        if not order:
            return None
        turn = self._turn
        count = turn.count
        turn.count = count + 1
        return order[count % len(order)]

    def pick_other(self, tried: list[Instance]) -> Instance | None:
        """The next usable instance that is not among `tried`, or None."""
        for _ in range(len(self.order)):
            instance = self.pick()
            if instance is not None and instance not in tried:
                return instance
        return None


class ServiceView:
    """One service's pools. `instances` is everything the registry gave, in canonical order.

    Instances with a tag in `rejoining` belong to the baseline too.
    """

    __slots__ = ("base", "instances", "name", "pools")

    def __init__(
        self, name: str, instances: Sequence[Instance], turns: Turns, rejoining: frozenset[str] = frozenset()
    ) -> None:
        self.name = name
        self.instances: tuple[Instance, ...] = tuple(instances)
        by_tag: dict[str, list[Instance]] = {}
        for instance in instances:
            by_tag.setdefault(instance.tag, []).append(instance)
            if instance.tag in rejoining:
                by_tag.setdefault(BASE, []).append(instance)
        self.pools: dict[str, Pool] = {
            tag: Pool(name, tag, members, turns.of(name, tag)) for tag, members in by_tag.items()
        }
        self.base: Pool = self.pools.get(BASE) or Pool(name, BASE, (), turns.of(name, BASE))


def _spread(instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """The instances in an order in which each appears in proportion to its weight, evenly spread.

    Smooth weighted round robin (as nginx does it, upstream_round_robin), run once here instead of at every pick.
    """
    if len({instance.weight for instance in instances}) <= 1:
        return instances
    lightest = min(instance.weight for instance in instances)
    shares = [min(MAX_SHARE, max(1, round(instance.weight / lightest))) for instance in instances]
    total = sum(shares)
    current = [0] * len(instances)
    order: list[Instance] = []
    for _ in range(total):
        for index, share in enumerate(shares):
            current[index] += share
        best = max(range(len(instances)), key=current.__getitem__)
        current[best] -= total
        order.append(instances[best])
    return tuple(order)
