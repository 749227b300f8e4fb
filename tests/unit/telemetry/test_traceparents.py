"""New `traceparent` fields: well formed, as random as their source, and no two the same."""

from __future__ import annotations

import random

from gateway.telemetry.tracecontext import is_traceparent, trace_id_of
from gateway.telemetry.traceparents import MANY, TraceParents, value_of


def test_each_one_is_well_formed_and_new() -> None:
    made = TraceParents(random.Random(7))
    lines = [made.line(sampled=True) for _ in range(3 * MANY)]
    values = [value_of(line) for line in lines]
    assert all(line == b"traceparent: " + value + b"\r\n" for line, value in zip(lines, values, strict=True))
    assert all(map(is_traceparent, values))
    assert len({trace_id_of(value) for value in values}) == len({value[36:52] for value in values}) == 3 * MANY


def test_all_of_the_digits_are_the_sources() -> None:
    class Source(random.Random):
        def getrandbits(self, k: int, /) -> int:
            assert k == MANY * 192
            return 1 << (k - 1) | 1

    made = TraceParents(Source())
    assert made.value(sampled=True) == b"00-8" + b"0" * 31 + b"-" + b"0" * 16 + b"-01"
    rest = [made.value(sampled=False) for _ in range(MANY - 1)]
    assert rest[-1] == b"00-" + b"0" * 32 + b"-" + b"0" * 15 + b"1-00"
    assert made.value(sampled=True) == b"00-8" + b"0" * 31 + b"-" + b"0" * 16 + b"-01"
