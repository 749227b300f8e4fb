"""The ways in which a network may cut a message up."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

BYTEWISE_MAX = 600


def some_splits(data: bytes) -> Iterator[list[bytes]]:
    """Byte by byte, and a few others that depend on the data alone: a finding is found again."""
    step = 1 if len(data) <= BYTEWISE_MAX else 7
    yield [data[position : position + step] for position in range(0, len(data), step)]
    chance = random.Random(zlib.crc32(data))
    for count in (1, 1, 3):
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(count))
        yield [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


def every_split(data: bytes) -> Iterator[list[bytes]]:
    """Those, and the two halves at every byte."""
    yield from some_splits(data)
    for position in range(1, len(data)):
        yield [data[:position], data[position:]]
