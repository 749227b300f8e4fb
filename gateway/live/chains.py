"""The path that one request took through services, put together from what gateways and sidecars recorded of its trace.

A hop is a call as its sender saw it: the entry gateway's, or a sidecar's outbound one. What the other end's sidecar saw of
the same call (inbound) is its `arrival`. Which hop led to which follows from addresses: a sidecar calls out for the
instance that it registered. If that instance was called several times in one trace, times decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.live.store import Stored
from gateway.tags import BASE

MOST: Final = 200
"""Records of one trace that are joined, the latest: who gives every request the same trace id has none."""
SLACK: Final = 0.05
"""Seconds by which clocks of different machines may differ before a call seems to lie outside the one that it belongs to."""


@dataclass(slots=True, eq=False)
class Hop:
    """One call, the calls that it led to, and what its receiver saw of it."""

    stored: Stored
    calls: list[Hop] = field(default_factory=list)
    arrival: Stored | None = None
    parent: Hop | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the tag was lost before this call: its sender noticed, or the call that led here had one."""
        if self.stored.record.lost:
            return True
        return self.parent is not None and self.stored.record.tag == BASE != self.parent.stored.record.tag

    @property
    def label(self) -> str:
        """`A gray`, `B` if the baseline serves it, or what the route replied itself."""
        record = self.stored.record
        name = record.service or "(no service)"
        return name if record.pool == BASE else f"{name} {record.pool}"

    def path(self) -> str:
        """`A gray → B → C gray`; several calls of one service stand in brackets."""
        if not self.calls:
            return self.label
        paths = [call.path() for call in self.calls]
        return f"{self.label} → {paths[0] if len(paths) == 1 else '[' + ', '.join(paths) + ']'}"

    def as_dict(self) -> dict[str, object]:
        """As plain values, for JSON."""
        arrival = self.arrival
        return {
            **self.stored.as_dict(),
            "label": self.label,
            "tag_lost": self.is_lost,
            "arrival": None if arrival is None else arrival.as_dict(),
            "calls": [call.as_dict() for call in self.calls],
        }


def chain_of(found: Iterable[Stored]) -> list[Hop]:
    """The hops of one trace that no other hop led to, each with those that it led to; usually there is one.

    There are more if a record is missing: it was not kept, or its sidecar delivers none.
    """
    records = sorted(found, key=lambda stored: stored.record.time)[-MOST:]
    hops = [Hop(stored) for stored in records if stored.record.listener != "inbound"]
    for arrival in (stored for stored in records if stored.record.listener == "inbound"):
        heard = [hop for hop in hops if hop.arrival is None and _is_received_by(hop, arrival)]
        if heard:
            min(heard, key=lambda hop: abs(hop.stored.record.time - arrival.record.time)).arrival = arrival
    for hop in hops:
        if hop.stored.record.listener != "entry":
            hop.parent = _parent_of(hop, hops)
            if hop.parent is not None:
                hop.parent.calls.append(hop)
    return [hop for hop in hops if hop.parent is None]


def beside(found: Iterable[Stored], trace_id: str) -> list[Stored]:
    """What went on without the trace while it lasted: the requests of other programs that had a tag or had lost one.

    Those of an application that does not pass the trace on are among them. The latest `MOST`, the oldest first; none if there
    is no record of the trace.
    """
    records = list(found)
    own = [stored.record for stored in records if stored.record.trace_id == trace_id]
    if not own:
        return []
    began = min(record.time for record in own) - SLACK
    ended = max(record.time + record.duration_us / 1e6 for record in own) + SLACK
    others = [
        stored
        for stored in records
        if began <= stored.record.time <= ended
        and stored.record.trace_id != trace_id
        and stored.record.listener != "entry"
        and (stored.record.tag != BASE or stored.record.lost)
    ]
    return sorted(others, key=lambda stored: stored.record.time)[-MOST:]


def _is_received_by(hop: Hop, stored: Stored) -> bool:
    """Whether a call went to the instance whose sidecar made a record."""
    record, reporter = hop.stored.record, stored.reporter
    return record.instance == reporter.address and bool(record.instance) and reporter.role == "sidecar"


def _parent_of(hop: Hop, hops: list[Hop]) -> Hop | None:
    candidates = [item for item in hops if _is_received_by(item, hop.stored) and not _leads_to(hop, item)]
    began = _began(hop)
    for slack in (0.0, SLACK):
        around = [item for item in candidates if _began(item) - slack <= began <= _ended(item) + slack]
        if around:
            return max(around, key=_began)
    return min(candidates, key=lambda item: abs(began - _began(item)), default=None)


def _leads_to(hop: Hop, other: Hop | None) -> bool:
    while other is not None:
        if other is hop:
            return True
        other = other.parent
    return False


def _began(hop: Hop) -> float:
    return hop.stored.record.time


def _ended(hop: Hop) -> float:
    return hop.stored.record.time + hop.stored.record.duration_us / 1e6
