"""Which services called which of late, with which tag, and how that went: put together from request records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.grpc.status import ERROR_NAMES
from gateway.live.chains import Hop, chain_of
from gateway.live.store import Stored

MOST_EDGES: Final = 500
"""Edges that are shown, those with the most requests."""


@dataclass(frozen=True, slots=True)
class Way:
    """Calls that belong together. `is_entry`: they come from an entry gateway, and not from a service's sidecar.

    `tag` is what the requests are marked with, `pool` the tag of the instances that served them; `is_lost`: the tag was there
    before this call, and is not any more.
    """

    source: str
    is_entry: bool
    target: str
    tag: str
    pool: str
    fallback: str
    is_lost: bool


@dataclass(slots=True)
class Calls:
    """How calls went: how many there were, how many failed (see `Series.errors`), and how long each took in microseconds."""

    count: int = 0
    errors: int = 0
    durations: list[int] = field(default_factory=list)


def topology(found: Iterable[Stored], began: float, now: float, lane: str = "") -> dict[str, Any]:
    """What gateways and sidecars saw between two moments, as plain values.

    `lane` (a name, or `GROUP/LANE`) asks for the requests that a lane took, with everything that they led to.
    """
    calls: dict[Way, Calls] = defaultdict(Calls)
    tags: dict[str, set[str]] = defaultdict(set)
    records = [stored for stored in found if stored.record.time >= began]
    for stored in records:
        if stored.reporter.role == "sidecar":
            tags[stored.reporter.name].add(stored.reporter.tag)
    for hop in _hops(records, lane):
        record, reporter = hop.stored.record, hop.stored.reporter
        is_entry = record.listener == "entry"
        if not record.service:
            continue  # the route replied by itself
        way = Way(reporter.name, is_entry, record.service, record.tag, record.pool, record.fallback, hop.is_lost)
        tags[record.service].add(record.pool)
        made = calls[way]
        made.count += 1
        made.errors += record.status >= 500 or record.grpc_status in ERROR_NAMES
        made.durations.append(record.duration_us)
    seconds = max(1.0, now - began)
    shown = sorted(calls.items(), key=lambda item: (-item[1].count, item[0].source, item[0].target, item[0].tag))[
        :MOST_EDGES
    ]
    gateways = dict.fromkeys(way.source for way, _ in shown if way.is_entry)
    services = dict.fromkeys(name for way, _ in shown for name in ([] if way.is_entry else [way.source]) + [way.target])
    return {
        "seconds": round(seconds, 1),
        "requests": sum(made.count for way, made in calls.items() if way.is_entry),
        "gateways": list(gateways),
        "services": [
            {"service": name, "tags": sorted(tags[name], key=lambda tag: (tag != "base", tag))} for name in services
        ],
        "edges": [_edge(way, made, seconds) for way, made in shown],
    }


def _hops(records: list[Stored], lane: str) -> Iterator[Hop]:
    """Every call that somebody made, in its chain if it has one."""
    by_trace: dict[str, list[Stored]] = defaultdict(list)
    for stored in records:
        by_trace[stored.record.trace_id].append(stored)
    for trace, together in by_trace.items():
        # What has no trace stands for itself.
        for some in [together] if trace else [[stored] for stored in together]:
            if not lane or any(lane in (item.record.lane, f"{item.record.group}/{item.record.lane}") for item in some):
                for hop in chain_of(some):
                    yield from _below(hop)


def _below(hop: Hop) -> Iterator[Hop]:
    yield hop
    for call in hop.calls:
        yield from _below(call)


def _edge(way: Way, made: Calls, seconds: float) -> dict[str, Any]:
    late = sorted(made.durations)[min(made.count - 1, int(0.95 * made.count))]
    return {
        "from": way.source,
        "is_entry": way.is_entry,
        "to": way.target,
        "tag": way.tag,
        "pool": way.pool,
        "fallback": way.fallback or None,
        "tag_lost": way.is_lost,
        "requests": made.count,
        "rate": round(made.count / seconds, 3),
        "errors": round(made.errors / made.count, 4),
        "p95": late / 1e6,
    }
