"""Says hop by hop how a probe's tag travelled, from what the programs on its way recorded.

Where an application passes its request's trace on, the chain of the trace shows its calls. Where it does not, they are
found by the sidecar that made them and the time: they left the instance while the probe was in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.app.doctor.finding import FAILED, OK, WARNING, Finding
from gateway.app.escapes import REASONS, REMEDIES
from gateway.live.chains import SLACK
from gateway.printable import printable
from gateway.shapes import COUNT, NUMBER, TEXT, Maybe
from gateway.tags import BASE

CHECK: Final = "propagation"
MOST_HOPS: Final = 50
"""Hops that are followed: services may call each other in a circle."""
CARRIERS: Final[Mapping[str, str]] = {
    "rule": "given by a rule",
    "route": "given by the route",
    "debug": "asked for by the debug header",
    "header": "carried by the tag header",
    "baggage": "carried by `baggage`",
    "trace": "known by the trace id",
    "instance": "that of the calling instance",
    "in_flight": "that of all requests in flight",
    "ambiguous": "unclear: requests with different tags share the id",
}
"""What each `tag_source` says of a tag."""
TAG_HEADER: Final = "x-gray-tag"
"""As it is called by default: the gateway does not say."""
RECORD: Final[dict[str, Any]] = {
    "listener": TEXT,
    "time": NUMBER,
    "duration_us": NUMBER,
    "reporter": {"name": TEXT, "address": TEXT},
    "service": Maybe(TEXT),
    "instance": Maybe(TEXT),
    "tag": TEXT,
    "tag_source": TEXT,
    "pool": TEXT,
    "fallback": Maybe(TEXT),
    "lost": Maybe(TEXT),
    "status": Maybe(COUNT),
    "cause": Maybe(TEXT),
}
HOP: Final[dict[str, Any]] = {**RECORD, "calls?": Maybe([lambda: HOP]), "arrival?": Maybe({})}
Record = Mapping[str, Any]


class Walk:
    """One walk along what is known so far. `sidecars` are the addresses of instances that are known to have one.

    `findings` are those of the hops, in the order of the calls. `missing` says what has not been delivered; it is empty if the
    walk came to the end.
    """

    def __init__(self, sidecars: Collection[str]) -> None:
        self._sidecars = sidecars
        self._hops = 0
        self.findings: list[Finding] = []
        self.missing: list[Finding] = []

    def follow(self, chain: Sequence[Record], records: Sequence[Record]) -> None:
        """Walks from the entry.

        `chain` has the hops of the probe's trace, `records` what had a tag, or lost one, and went on without the trace meanwhile.
        """
        entries = [hop for hop in chain if hop["listener"] == "entry"]
        if not entries:
            hint = (
                "name as --server the gateway to which all deliver their records (`records.collector`); with much traffic, "
                "records are skipped (`records.marked_rate`)"
            )
            self.missing.append(Finding(CHECK, "the entry", FAILED, "has no record of the probe", hint))
        for hop in entries[:1]:
            if hop["tag"] == BASE:
                hint = "give the URL and headers (-H) of a request that an open lane takes; `gateway explain` says why it was not"
                message = "the gateway gave the probe no tag: no open lane takes it"
                self.findings.append(Finding(CHECK, _edge(hop), FAILED, message, hint))
            else:
                self._walk(hop, "", records)

    def _walk(self, hop: Record, expected: str, records: Sequence[Record]) -> None:
        self._hops += 1
        if self._hops > MOST_HOPS:
            return
        self.findings.append(self._judge(hop, expected))
        tag = hop["tag"] if hop["tag"] != BASE else expected
        if self.findings[-1].state == FAILED:
            return  # what follows from it is no news
        calls = [*(hop.get("calls") or ())]
        traced = {call["service"] for call in calls}
        # Of one that passes the trace on here and there, only what is lost is surely of this kind.
        calls += [
            call
            for call in self._by_time(hop, tag, records)
            if not traced or (call["lost"] and call["service"] not in traced)
        ]
        if not calls and not self._is_received(hop, records):
            self._miss(hop)
        for call in calls:
            self._walk(call, tag, records)

    def _judge(self, hop: Record, expected: str) -> Finding:
        """Of one call; `expected` is the tag of the request that led to it, empty at the entry."""
        lost = hop["lost"] or ("no_id" if expected and hop["tag"] == BASE else "")
        if lost:
            reason = REASONS.get(lost, lost).replace("they carry", "the call carries").replace("their", "its")
            message = f"tag {printable(expected)} is lost: {reason}"
            hint = REMEDIES.get(lost, "see the log of its sidecar").format(header=TAG_HEADER)
            return Finding(CHECK, _edge(hop), FAILED, message, hint)
        how = CARRIERS.get(hop["tag_source"], hop["tag_source"])
        message = f"tag {printable(str(hop['tag']))}, {how}; "
        pool = printable(str(hop["pool"]))
        message += f"served by {pool}" + (f" ({printable(hop['fallback'])})" if hop["fallback"] else "")
        if expected and hop["tag"] != expected:
            return Finding(CHECK, _edge(hop), FAILED, message, f"the request that led to it has tag {expected}")
        if hop["status"] is None or hop["status"] >= 500:
            hint = f"the probe cannot show what would come after it: {printable(hop['cause'] or 'see the service')}"
            return Finding(CHECK, _edge(hop), WARNING, f"{message}; status {hop['status']}", hint)
        return Finding(CHECK, _edge(hop), OK, message)

    def _by_time(self, hop: Record, tag: str, records: Sequence[Record]) -> list[Record]:
        """The calls of the hop's instance that left it during the hop, if they have no trace; those of one kind once.

        With other traffic, some may be another request's: each is taken for the probe's only if it has its tag, or lost one.
        """
        began, ended = _span(hop)
        found: dict[str, Record] = {}
        # Those that are surely within its time come first: of calls just before and after it, only the clocks might say so.
        for record in sorted(records, key=lambda record: (_distance(record, hop), float(record["time"]))):
            is_its = record["listener"] == "outbound" and record["reporter"]["address"] == hop["instance"]
            if is_its and began <= record["time"] <= ended and (record["lost"] or record["tag"] == tag):
                found.setdefault(str(record["service"]), record)
        return sorted(found.values(), key=lambda record: float(record["time"]))

    def _is_received(self, hop: Record, records: Sequence[Record]) -> bool:
        """Whether its receiver's sidecar has told of it. Calls are told of before, so there were none."""
        if hop.get("arrival"):
            return True
        began, ended = _span(hop)
        return any(
            record["listener"] == "inbound"
            and record["reporter"]["address"] == hop["instance"]
            and began <= record["time"] <= ended
            for record in records
        )

    def _miss(self, hop: Record) -> None:
        address = printable(str(hop["instance"]))
        if hop["instance"] in self._sidecars:
            message = f"the sidecar at {address} has delivered no record of it"
            hint = (
                "set its `records.collector` to the gateway of --server, and its `records.token` to the gateway's; see "
                "`deliveries` in its status"
            )
            self.missing.append(Finding(CHECK, _callee(hop), FAILED, message, hint))
        else:
            message = f"{address} has delivered no record of it: what it calls cannot be seen"
            hint = "if it has a sidecar, set its `records.collector`; without one, its calls leave the lane"
            self.missing.append(Finding(CHECK, _callee(hop), FAILED, message, hint))


def _span(hop: Record) -> tuple[float, float]:
    """When a hop began and ended, in seconds since the epoch, as another program's clock may have it."""
    return hop["time"] - SLACK, hop["time"] + hop["duration_us"] / 1e6 + SLACK


def _distance(record: Record, hop: Record) -> float:
    """Seconds by which a record lies outside the time of a hop, 0 within it."""
    time, began = float(record["time"]), float(hop["time"])
    return max(began - time, time - began - float(hop["duration_us"]) / 1e6, 0.0)


def unresolved(walk: Walk) -> Iterator[Finding]:
    """What is to be said once nothing more is waited for."""
    yield from walk.findings
    yield from walk.missing


def _callee(hop: Record) -> str:
    return printable(str(hop["service"] or "(no service)"))


def _edge(hop: Record) -> str:
    return f"{printable(str(hop['reporter']['name']))} → {_callee(hop)}"
