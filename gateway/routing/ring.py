"""The ring of consistent hashing: which instance a hash belongs to, so that who comes or goes moves nobody else's."""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.instance import Instance

_PLACES: Final = 256
"""Places on the ring of an instance of ordinary weight, at most; at least half as many."""
_RING: Final = 32_768
"""Places on a whole ring, at most."""
_CUT: Final = 20
"""Bits of a digest of 64 that are left out, so that a place and a number are a small integer."""
_NUMBER_BITS: Final = 16
NUMBER: Final = (1 << _NUMBER_BITS) - 1
"""The bits of a place that are the number of its instance."""


class Ring:
    """Places in ascending order, each with the number of its instance in the lowest bits; `instances` are by number.

    An instance has as many places as its weight says, always the first ones of the same sequence. `before` is the ring before
    an instance came, went or changed its weight: most of that stays, and to sort everything anew would hold up the event loop.
    """

    __slots__ = ("_counts", "_numbers", "_scale", "instances", "places")

    def __init__(
        self, instances: Sequence[Instance], weights: Mapping[str, float], total: float, before: Ring | None = None
    ) -> None:
        # A power of two, so that it is the same for most sets of instances.
        room = min(_PLACES * len(instances), _RING)
        self._scale: float = 2.0 ** math.floor(math.log2(room / total))
        if before is not None and before._scale != self._scale:
            before = None
        members = instances[: NUMBER + 1]
        self._counts: dict[str, int] = {
            item.address: max(1, round(weights[item.address] * self._scale)) for item in members
        }
        self._numbers: dict[str, int] = {}
        self.places: list[int] = []
        if before is not None:
            self._keep(before)
        by_number: dict[int, Instance] = {}
        free = 0
        taken = set(self._numbers.values())
        for item in members:
            number = self._numbers.get(item.address)
            if number is None:
                while free in taken:
                    free += 1
                number = self._numbers[item.address] = free
                free += 1
                self.places += _places(item.address, number, self._counts[item.address])
            by_number[number] = item
        self.instances: dict[int, Instance] = by_number
        self.places.sort()

    def start(self, place: int) -> int:
        """The index in `places` of the first one at or after a place; it may be their end."""
        return bisect_left(self.places, place)

    def _keep(self, before: Ring) -> None:
        """Takes over the places of those that have as many as before."""
        gone: set[int] = set()
        for address, number in before._numbers.items():
            if self._counts.get(address) == before._counts[address]:
                self._numbers[address] = number
            else:
                gone.add(number)
        places = before.places
        self.places = [place for place in places if place & NUMBER not in gone] if gone else places.copy()


def place_of(value: str) -> int:
    """Where a value is."""
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> _CUT << _NUMBER_BITS


def _places(address: str, number: int, count: int) -> list[int]:
    # The beginning of what SHAKE makes of an address does not depend on how much is taken.
    stream = hashlib.shake_128(address.encode()).digest(8 * count)
    return [(item >> _CUT << _NUMBER_BITS) | number for item in struct.unpack(f">{count}Q", stream)]
