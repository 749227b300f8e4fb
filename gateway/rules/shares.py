"""Shares: which of the 10,000 buckets a `percent` condition takes.

Lanes of one group that split by the same key never hold the same bucket, and a lane that grows keeps what it had. Spans
that are written out (`percent: [0-5, 20-25]`) are held as they stand. A plain number grows upward from the lane's home,
around what lanes above it and written spans hold. The homes are spread by halving (0, 50, 25, 75, 12.5 %, …, in the
order in which the lanes stand), so that the first four lanes have a quarter each to grow in before one meets another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from gateway.rules.conditions import Condition
from gateway.rules.names import parse_spans

BUCKETS: Final = 10_000
"""A hundredth of a percent each."""

Spans = tuple[tuple[int, int], ...]
Key = tuple[str, str, bool]
"""What is split by: source, name, whether case is ignored."""


def bucket_of(salt: str, value: str) -> int:
    """The bucket, 0 to 9,999, that a value falls into: the same one everywhere and always, for the same salt."""
    digest = hashlib.sha256(f"{salt}\0{value}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def key_of(condition: Condition) -> Key:
    """What a percent condition splits by."""
    return condition.source, condition.name, condition.test.ignore_case


def show_spans(spans: Spans) -> list[str]:
    """Bucket spans as an operator writes them, in percent."""
    return [f"{low / 100:.15g}-{high / 100:.15g}" for low, high in spans]


def size_of(spans: Spans) -> int:
    """How many buckets spans hold."""
    return sum(high - low for low, high in spans)


def first_of(spans: Spans, count: int) -> Spans:
    """The first so many buckets of spans, in their order."""
    taken: list[tuple[int, int]] = []
    for low, high in spans:
        if count <= 0:
            break
        taken.append((low, min(high, low + count)))
        count -= high - low
    return tuple(taken)


class OverlapError(ValueError):
    """Two lanes of a group want the same buckets. `lane` is the one that stands later."""

    def __init__(self, lane: str, message: str) -> None:
        self.lane = lane
        super().__init__(message)


class GroupShares:
    """Who holds what in one group."""

    def __init__(self, lanes: Iterable[tuple[str, Iterable[Condition]]]) -> None:
        """`lanes`: names and the conditions (leaves) of all lanes, closed ones too, in order. Raises OverlapError."""
        self._spans: dict[tuple[Key, str], Spans] = {}
        claims: dict[Key, dict[str, list[Condition]]] = {}
        for lane, conditions in lanes:
            for condition in conditions:
                if condition.test.percent is not None:
                    claims.setdefault(key_of(condition), {}).setdefault(lane, []).append(condition)
        for key, claimants in claims.items():
            self._allocate(key, claimants)

    def spans_of(self, lane: str, condition: Condition) -> Spans:
        """The buckets that a lane's percent condition takes."""
        share = condition.test.percent
        assert share is not None
        if isinstance(share, list):
            return parse_spans(share) or ()
        return first_of(self._spans[(key_of(condition), lane)], round(share * 100))

    def _allocate(self, key: Key, claimants: dict[str, list[Condition]]) -> None:
        written: list[tuple[int, int, str]] = []
        wanted: dict[str, int] = {}
        for lane, conditions in claimants.items():
            for condition in conditions:
                share = condition.test.percent
                assert share is not None
                if isinstance(share, list):
                    written += [(low, high, lane) for low, high in parse_spans(share) or ()]
                else:
                    wanted[lane] = max(wanted.get(lane, 0), round(share * 100))
        owners = _hold(written, key, list(claimants))
        asked = BUCKETS - owners.count(0) + sum(wanted.values())
        if asked > BUCKETS:
            raise OverlapError(
                next(reversed(claimants)),
                f"the lanes {', '.join(claimants)} split by the same {_show_key(key)} and ask for {asked / 100:.15g} % "
                "together; lanes of a group share 100 %. Lanes that are to draw independently go into groups of their own",
            )
        for order, lane in enumerate(claimants):
            if lane in wanted:
                self._spans[(key, lane)] = _grow(owners, _home(order), wanted[lane])


def _show_key(key: Key) -> str:
    return f"{key[0]} {key[1]}".strip()


def _hold(written: list[tuple[int, int, str]], key: Key, order: list[str]) -> bytearray:
    """A byte for each bucket, not 0 where a written span holds it. Raises OverlapError."""
    written.sort()
    owners = bytearray(BUCKETS)
    for low, high, _ in written:
        owners[low:high] = b"\1" * (high - low)
    reach, holder = 0, ""
    for low, high, lane in written:
        if low < reach and lane != holder:
            span = show_spans(((low, min(high, reach)),))[0]
            first, second = sorted((holder, lane), key=order.index)
            raise OverlapError(
                second,
                f"the lanes {first} and {second} split by the same {_show_key(key)} and both hold {span}; "
                f"free are {', '.join(show_spans(_free(owners))) or 'none'}",
            )
        if high > reach:
            reach, holder = high, lane
    return owners


def _home(order: int) -> int:
    """Where the lane of this order begins to grow: halves, then quarters, then eighths."""
    home, step = 0.0, 0.5
    while order:
        home += step * (order & 1)
        order >>= 1
        step /= 2
    return int(home * BUCKETS)


def _grow(owners: bytearray, home: int, count: int) -> Spans:
    """Takes the first free buckets from a home upward, around the end; in the order in which they were taken."""
    spans: list[tuple[int, int]] = []
    at, end = home, BUCKETS
    while count:
        low = owners.find(b"\0", at, end)
        if low < 0:
            assert end == BUCKETS, "there are as many free buckets as wanted"
            at, end, home = 0, home, 0
            continue
        high = low
        while high < end and not owners[high] and count:
            owners[high] = 1
            high += 1
            count -= 1
        spans.append((low, high))
        at = high
    return tuple(spans)


def _free(owners: bytearray) -> Spans:
    spans: list[tuple[int, int]] = []
    low = owners.find(b"\0")
    while low >= 0:
        high = owners.find(b"\1", low)
        high = BUCKETS if high < 0 else high
        spans.append((low, high))
        low = owners.find(b"\0", high)
    return tuple(spans)
