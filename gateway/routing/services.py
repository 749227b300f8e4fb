"""A service as routing sees it: its instances in pools, one pool a tag, and the choice among them.

`ServiceView` is immutable but for the turn of each pool's round robin, which is kept in a `Turns` table beside the
views so that a new view (an instance came or went) does not start every pool from its first instance again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from gateway import failures
from gateway.instance import Instance
from gateway.routing.balancing import Members
from gateway.routing.choosing import Choice, Choosing
from gateway.routing.health import SOUND, Health
from gateway.tags import BASE, INVALID

ABSENT: Final = "absent"
"""Fallback reason: no instance of the service carries the tag."""
ALL_UNHEALTHY: Final = "all_unhealthy"
"""Fallback reason: instances carry the tag, but none is healthy, enabled and of weight above 0."""
NOT_IN_GROUP: Final = "not_in_group"
"""Fallback reason: the lane's group does not hold this service."""
CONNECT_ERROR: Final = "connect_error"
"""Fallback reason: no instance with the tag could be reached for this request: nothing listens, or its application is down."""
MISDIRECTED: Final[str] = failures.MISDIRECTED.code
"""Fallback reason: what the registry says is an instance with the tag refused the request as meant for somebody else."""
EJECTED: Final = "ejected"
"""Fallback reason: instances carry the tag and are called healthy, but all have failed here too often."""

MAX_SHARE: Final = 100
"""The largest weight ratio within a pool that is kept exactly; beyond it the heavy instances count as this much."""

GOLDEN: Final = 0.618034
"""Multiples of the golden ratio, less their whole part, are spread well over 0 to 1, however many there are."""


class Turn:
    """Whose turn it is in one pool; the only mutable part of picking. `members` are those of whom one was chosen last."""

    __slots__ = ("count", "members")

    def __init__(self) -> None:
        self.count: int = 0
        self.members: Members | None = None


class Turns:
    """The turns of every pool of this process, by service and tag."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: dict[str, dict[str, Turn]] = {}

    def of(self, service: str, tag: str) -> Turn:
        """The turn of a pool, made when first needed."""
        turns = self._turns.setdefault(service, {})
        turn = turns.get(tag)
        if turn is None:
            turn = turns[tag] = Turn()
        return turn

    def retain(self, service: str, tags: Collection[str]) -> None:
        """Drops the turns of a service's pools that are gone: lanes come and go. The baseline's stays."""
        turns = self._turns.get(service, {})
        for tag in [tag for tag in turns if tag != BASE and tag not in tags]:
            del turns[tag]

    def forget(self, service: str) -> None:
        """Drops the turns of a service that is not routed to any more."""
        self._turns.pop(service, None)


class Pool:
    """The instances of one service that carry one tag. `order` is the round robin, as long as the weights need.

    `lack` says why nobody can be picked, if so. `is_panicking`: all are unhealthy, and used.
    """

    __slots__ = (
        "_ejected",
        "_members",
        "_turn",
        "_weights",
        "is_panicking",
        "lack",
        "order",
        "service",
        "size",
        "tag",
        "usable",
    )

    def __init__(
        self, service: str, tag: str, instances: Sequence[Instance], turn: Turn, condition: Health = SOUND
    ) -> None:
        self.service = service
        self.tag = tag
        self.size: int = len(instances)
        # Who is somebody else is nobody here, whatever the registry says of it.
        members = [instance for instance in instances if instance.address not in condition.misdirected]
        usable = tuple(instance for instance in members if instance.is_usable)
        self.is_panicking: bool = False
        if not usable and condition.uses_unhealthy:
            usable = tuple(instance for instance in members if instance.enabled and instance.weight > 0)
            self.is_panicking = bool(usable)
        kept = tuple(instance for instance in usable if instance.address not in condition.ejected)
        if tag == BASE and not kept:
            kept = usable  # there is nobody else: better tried than refused
        # For callers with no alternative.
        self._ejected: tuple[Instance, ...] = () if kept else usable
        self.lack: str = EJECTED if usable else ALL_UNHEALTHY if members else MISDIRECTED
        self.usable: tuple[Instance, ...] = kept
        warming = condition.warming
        self._weights: list[float] = [instance.weight * warming.get(instance.address, 1.0) for instance in kept]
        self.order: tuple[Instance, ...] = _spread(kept, self._weights)
        self._members: Members | None = None
        self._turn = turn

    def pick(self) -> Instance | None:
        """The next instance by weighted round robin, or None if no instance is usable."""
        return self._next_of(self.order)

    def pick_by(self, choice: Choice, tried: Collection[Instance] = ()) -> Instance | None:
        """The usable instance that a choice falls on, none of those that were tried, or None."""
        turn = self.pick_other(tried) if tried else self.pick()
        if turn is None:
            return None
        members = self._members
        if members is None:
            members = self._members = self._turn.members = Members(self.usable, self._weights, self._turn.members)
        return choice.choose(self.service, self.tag, members, turn, tried)

    def pick_ejected(self) -> Instance | None:
        """The next instance of a pool that is ejected whole, for callers with no alternative; None for other pools."""
        return self._next_of(self._ejected)

    def _next_of(self, order: tuple[Instance, ...]) -> Instance | None:
        if not order:
            return None
        turn = self._turn
        count = turn.count
        turn.count = count + 1
        return order[count % len(order)]

    def pick_other(self, tried: Collection[Instance]) -> Instance | None:
        """The next usable instance that is not among `tried`, or None."""
        for _ in range(len(self.order)):
            instance = self.pick()
            if instance is not None and instance not in tried:
                return instance
        return None


class ServiceView:
    """One service's pools. `instances` is everything the registry gave, in canonical order.

    Instances with a tag in `rejoining` belong to the baseline too. `sole_tag` is the tag that all instances have, `base` if
    there is none. `choosing` says how an instance is chosen; None: by turns.
    """

    __slots__ = (
        "_others",
        "_rejoining",
        "_turns",
        "base",
        "choosing",
        "condition",
        "instances",
        "name",
        "pools",
        "sole_tag",
    )

    def __init__(
        self,
        name: str,
        instances: Sequence[Instance],
        turns: Turns,
        rejoining: frozenset[str] = frozenset(),
        condition: Health = SOUND,
        choosing: Choosing | None = None,
    ) -> None:
        self.name = name
        self.choosing = choosing
        self.condition = condition
        self.instances: tuple[Instance, ...] = tuple(instances)
        by_tag: dict[str, list[Instance]] = {}
        for instance in instances:
            by_tag.setdefault(instance.tag, []).append(instance)
            if instance.tag in rejoining:
                by_tag.setdefault(BASE, []).append(instance)
        self.pools: dict[str, Pool] = {
            tag: Pool(name, tag, members, turns.of(name, tag), condition) for tag, members in by_tag.items()
        }
        tags = list(by_tag)
        self.sole_tag: str = tags[0] if len(tags) == 1 and tags[0] != INVALID else BASE
        self._rejoining = rejoining
        self._turns = turns
        self._others: dict[frozenset[str], ServiceView] | None = None
        self.base: Pool = self.pools.get(BASE) or Pool(name, BASE, (), turns.of(name, BASE))

    def under(self, rejoining: frozenset[str]) -> ServiceView:
        """The same with other tags rejoining, made when first needed; who is next is who would be next here."""
        if rejoining == self._rejoining:
            return self
        others = self._others
        if others is None:
            others = self._others = {}
        view = others.get(rejoining)
        if view is None:
            view = others[rejoining] = ServiceView(
                self.name, self.instances, self._turns, rejoining, self.condition, self.choosing
            )
        return view

    def is_like(self, other: ServiceView) -> bool:
        """Whether another view of the service is made of the same."""
        return (
            self.instances is other.instances
            and self._rejoining == other._rejoining
            and self.condition == other.condition
            and self.choosing is other.choosing
        )


def _spread(instances: tuple[Instance, ...], weights: Sequence[float]) -> tuple[Instance, ...]:
    """The instances in an order in which each appears in proportion to its weight (all above 0), evenly spread.

    Who has a share of n comes n times a round, at equal distances, each beginning elsewhere, so that they do not fall together.
    """
    if len(set(weights)) <= 1:
        return instances
    lightest = min(weights)
    shares = [min(MAX_SHARE, max(1, round(weight / lightest))) for weight in weights]
    turns = sorted(
        ((turn + (0.5 + GOLDEN * index) % 1) / share, index)
        for index, share in enumerate(shares)
        for turn in range(share)
    )
    return tuple(instances[index] for _, index in turns)


NOBODY: Final = Pool("", BASE, (), Turn())
"""A pool to fall back to if there is none."""
