"""Indices from a value to the rows it keeps, as bit sets: one lookup for all rows that check the same kind of thing.

A row *needs* a hit where its condition must hold, and *dies* of one where it must not. `narrow` takes the rows still alive
and returns those that are left. Hot: called for every request; built once, by `compile`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from ipaddress import IPv6Address, ip_address
from typing import Final

from gateway.rules.numbers import place_of

_IPV6: Final = 1 << 32
"""Where IPv6 addresses begin on the line of all addresses."""


class Lookup:
    """Narrows the rows alive by one value."""

    def narrow(self, alive: int, value: str) -> int:
        """The rows of `alive` that the value leaves."""
        raise NotImplementedError


class Exact(Lookup):
    """equals, in, and their opposites: `table` holds what is left for a certain value, `default` for any other."""

    def __init__(self, default: int, table: dict[str, int]) -> None:
        self._default = default
        self._table = table

    def narrow(self, alive: int, value: str) -> int:
        """One lookup."""
        return alive & self._table.get(value, self._default)


class Prefixes(Lookup):
    """prefix: a lookup for each different length. `closes` puts a slash behind the value first, for whole segments."""

    def __init__(
        self, free: int, lengths: list[tuple[int, dict[str, int], dict[str, int]]], closes: bool = False
    ) -> None:
        self._free = free
        self._lengths = lengths
        self._closes = closes

    def narrow(self, alive: int, value: str) -> int:
        """As many lookups as there are lengths."""
        if self._closes and value[-1:] != "/":
            value += "/"
        hits = self._free
        deaths = 0
        for length, needs, kills in self._lengths:
            start = value[:length]
            hits |= needs.get(start, 0)
            deaths |= kills.get(start, 0)
        alive &= hits
        return alive & ~deaths if deaths else alive


class Suffixes(Lookup):
    """suffix: a lookup for each different length."""

    def __init__(self, free: int, lengths: list[tuple[int, dict[str, int], dict[str, int]]]) -> None:
        self._free = free
        self._lengths = lengths

    def narrow(self, alive: int, value: str) -> int:
        """As many lookups as there are lengths."""
        hits = self._free
        deaths = 0
        for length, needs, kills in self._lengths:
            end = value[-length:] if length else ""
            hits |= needs.get(end, 0)
            deaths |= kills.get(end, 0)
        alive &= hits
        return alive & ~deaths if deaths else alive


class Segments(Lookup):
    """segment: a lookup for each different segment."""

    def __init__(self, free: int, segments: list[tuple[frozenset[str], int, int]]) -> None:
        self._free = free
        self._segments = segments

    def narrow(self, alive: int, value: str) -> int:
        """As many lookups as there are segments."""
        hits = self._free
        deaths = 0
        for values, needs, kills in self._segments:
            if value in values:
                hits |= needs
                deaths |= kills
        alive &= hits
        return alive & ~deaths if deaths else alive


class Intervals(Lookup):
    """Base of what is decided by a place on a line: `left[n]` is what is left from `bounds[n - 1]` to below `bounds[n]`.

    Places are whole numbers of any size. `none` is left of a value that has no place.
    """

    def __init__(self, none: int, bounds: list[int], left: list[int]) -> None:
        self._none = none
        self._bounds = bounds
        self._left = left

    def at(self, place: int) -> int:
        """What is left at a place."""
        return self._left[bisect_right(self._bounds, place)]


class Numbers(Intervals):
    """gt, gte, lt, lte and range."""

    def narrow(self, alive: int, value: str) -> int:
        """One search."""
        place = place_of(value)
        return alive & (self._none if place is None else self.at(place))


class Addresses(Intervals):
    """client_ip. IPv4 in IPv6 (`::ffff:10.0.0.1`, RFC 4291 §2.5.5.2) is IPv4."""

    def narrow(self, alive: int, value: str) -> int:
        """One search."""
        try:
            address = ip_address(value)
        except ValueError:
            return alive & self._none
        if isinstance(address, IPv6Address):
            mapped = address.ipv4_mapped
            place = int(address) + _IPV6 if mapped is None else int(mapped)
        else:
            place = int(address)
        return alive & self.at(place)


class Buckets(Intervals):
    """percent: the value's bucket, for one salt."""

    def __init__(self, none: int, bounds: list[int], left: list[int], salt: str) -> None:
        super().__init__(none, bounds, left)
        self._salt: bytes = salt.encode() + b"\0"

    def narrow(self, alive: int, value: str) -> int:
        """One hash and one search."""
        digest = hashlib.sha256(self._salt + value.encode("utf-8", "surrogatepass")).digest()
        return alive & self.at(int.from_bytes(digest[:8], "big") % 10_000)
