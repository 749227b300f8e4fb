"""Balancing: which instance of a pool a request goes to, other than whose turn it is.

Both ways begin with the instance whose turn it is by weighted round robin: the one takes another if that is less busy, the other
if the request is bound to one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Final

from gateway.http.request import Request
from gateway.instance import Instance
from gateway.routing.ring import NUMBER, Ring, place_of
from gateway.rules.context import MatchContext
from gateway.rules.fields import Field

ROUND_ROBIN: Final = "round_robin"
LEAST_REQUEST: Final = "least_request"
CONSISTENT_HASH: Final = "consistent_hash"

Load = Callable[[str], int]
"""How many requests are under way at an address."""

UNBOUND: Final = -1
"""The place on the ring of a request that has nothing to be told by."""


_COUNTED: Final = 6
"""The power of two that says how many instances' loads a request looks at, on average, however many there are."""


class Members:
    """The instances of one pool that may be picked, with their weights, all above 0. `ring` is made when first needed.

    `before` are those that the pool had before, if it is not the first one. `pinned` are the instances by what cookies call
    them, None as long as nobody has asked (`choosing`).
    """

    __slots__ = ("_last", "_ring", "_under_way", "_valid_for", "instances", "pinned", "total", "weights")

    def __init__(self, instances: Sequence[Instance], weights: Sequence[float], before: Members | None = None) -> None:
        self.pinned: dict[str, Instance] | None = None
        self.instances: tuple[Instance, ...] = tuple(instances)
        self.weights: dict[str, float] = {
            instance.address: weight for instance, weight in zip(instances, weights, strict=True)
        }
        self.total: float = sum(weights)
        self._under_way: int = 0
        self._valid_for: int = 0
        self._ring: Ring | None = None
        self._last: Ring | None = None if before is None else before._ring or before._last

    @property
    def ring(self) -> Ring:
        """Where the instances are, for hashes."""
        ring = self._ring
        if ring is None:
            ring = self._ring = Ring(self.instances, self.weights, self.total, self._last)
            self._last = None
        return ring

    def under_way(self, load: Load) -> int:
        """How many requests are under way at all of them. Of many instances they are counted for every few requests only."""
        if self._valid_for:
            self._valid_for -= 1
            return self._under_way
        found = 0
        for instance in self.instances:
            found += load(instance.address)
        self._under_way = found
        self._valid_for = len(self.instances) >> _COUNTED
        return found


class Balancer:
    """How the requests for one service, or several, are divided among the instances of their pools."""

    __slots__ = ()

    def place_of(self, request: Request, client_ip: str) -> int:
        """Where a request is on the ring; UNBOUND: it has nothing that could say so, or there is no ring."""
        return UNBOUND

    def name_at(self, place: int) -> str:
        """What decides about a request at this place."""
        raise NotImplementedError

    def choose(self, members: Members, turn: Instance, place: int, tried: Collection[Instance]) -> Instance:
        """The instance of a request, none of those that were tried before. `turn` is whose turn it is, of the others."""
        raise NotImplementedError


class LeastRequest(Balancer):
    """The less busy one of two: whose turn it is, and another one at random (the power of two choices).

    In proportion to their weights: with nothing under way this is weighted round robin. `draw` returns numbers from 0 to 1.
    """

    __slots__ = ("_draw", "_load")

    def __init__(self, load: Load, draw: Callable[[], float]) -> None:
        self._load = load
        self._draw = draw

    def name_at(self, place: int) -> str:
        """See Balancer."""
        return LEAST_REQUEST

    def choose(self, members: Members, turn: Instance, place: int, tried: Collection[Instance]) -> Instance:
        """See Balancer."""
        instances = members.instances
        others = len(instances) - 1
        if others < 1:
            return turn
        other = instances[int(self._draw() * others)]
        if other is turn:
            other = instances[others]
        if other in tried:
            return turn
        # With this request the other one would be no busier than the first is without it.
        weights = members.weights
        mine = self._load(turn.address) / weights[turn.address]
        return other if (self._load(other.address) + 1) / weights[other.address] <= mine else turn


class ConsistentHash(Balancer):
    """Requests with the same value of `key` go to the same instance, whichever gateway sends them.

    If an instance comes or goes, only its share of the values moves. `most` is how much more than its share an instance may have
    under way (1.25: a quarter); then the next one on the ring takes the request. 0: whatever comes.
    """

    __slots__ = ("_key", "_load", "_most")

    def __init__(self, key: Field, load: Load, most: float = 0.0) -> None:
        self._key = key
        self._load = load
        self._most = most

    def place_of(self, request: Request, client_ip: str) -> int:
        """See Balancer."""
        value = self._key.read(MatchContext(request, client_ip))
        if not value:
            return UNBOUND
        return place_of(value)

    def name_at(self, place: int) -> str:
        """See Balancer."""
        return CONSISTENT_HASH if place != UNBOUND else ROUND_ROBIN

    def choose(self, members: Members, turn: Instance, place: int, tried: Collection[Instance]) -> Instance:
        """See Balancer."""
        if place == UNBOUND:
            return turn
        ring = members.ring
        places = ring.places
        start = ring.start(place)
        size = len(places)
        seen: set[int] = set()
        first: Instance | None = None
        per_weight = 0.0
        for step in range(size):
            at = start + step
            number = places[at if at < size else at - size] & NUMBER
            if number in seen:
                continue
            instance = ring.instances[number]
            if instance not in tried:
                if not self._most:
                    return instance
                load = self._load(instance.address)
                if not load:
                    return instance
                if first is None:
                    first = instance
                    per_weight = self._most * (members.under_way(self._load) + 1) / members.total
                if load < math.ceil(per_weight * members.weights[instance.address]):
                    return instance
            seen.add(number)
        return turn if first is None else first
