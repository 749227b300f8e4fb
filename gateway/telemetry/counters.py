"""What a process counts: plain integers in plain dicts, because a prometheus child costs ten times as much.

`admin.collector` turns them into samples on scrape. However many names somebody makes up, there is a bound to the series:
names of services and tags have one in `names`, the others one here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Final

from gateway.telemetry.histogram import BUCKETS, Histogram
from gateway.telemetry.names import MOST, OTHER, Names

OVERHEAD_BUCKETS: Final[tuple[float, ...]] = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1,
)  # fmt: skip
"""Upper bounds of the histogram of this program's own time, in seconds."""


# What `Traffic` counts, by attribute: so it is passed on by processes that end, and added up. `admin.metrics` says what each is.
_TOTALS: Final = (
    "started",
    "ambiguous",
    "inferred",
    "unsigned",
    "unknown_rules",
    "log_lines",
    "log_dropped",
    "records_kept",
    "records_skipped",
    "spans_dropped",
    "internal_errors",
    "handshakes_failed",
    "http2_started",
)
_BY_PAIR: Final = ("fallbacks", "lost", "upstream_errors", "ejections", "excused", "calls", "faults", "mirrored")
"""Tables by service, tag and why."""
_TABLES: Final = (
    *_BY_PAIR,
    "retries",
    "retries_denied",
    "refused",
    "replies",
    "mesh_requests",
    "http2_failures",
    "rejected",
    "questions",
    "compressed",
)
_GAUGES: Final = ("in_flight", "tunnels", "connections")
"""What goes on: of a process that has ended there is nothing."""


MOST_STATUSES: Final = 64
"""Statuses of one service and tag that are counted by themselves. The rest is counted by class: 5 is any other 5xx."""
MOST_LANES: Final = 2048
"""Lanes that are counted by themselves."""


def _class_of(status: int) -> int:
    return status // 100 if status >= 100 else status


def _status_in(statuses: dict[int, int], status: int) -> int:
    """What a status is counted under among others."""
    return status if status in statuses or len(statuses) < MOST_STATUSES else _class_of(status)


def code_of(status: int) -> str:
    """How a status, or the class of some, is written: `503`, `5xx`."""
    return str(status) if status >= 100 else f"{status}xx"


class Series:
    """The exchanges of one service and tag: how many ended with which status, how long they took, and how large they were.

    `failed_calls` are gRPC calls that failed, though not by an HTTP status.
    """

    __slots__ = ("durations", "failed_calls", "received", "sent", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.failed_calls: int = 0
        self.durations = Histogram()
        self.received: int = 0
        self.sent: int = 0

    @property
    def errors(self) -> int:
        """How many ended with 5xx, or, as gRPC calls, with a status that says the same."""
        return self.failed_calls + sum(n for status, n in self.statuses.items() if status == 5 or 500 <= status < 600)

    def add(
        self, statuses: dict[int, int], counts: list[int], total: float, received: int, sent: int, failed_calls: int
    ) -> None:
        """Adds what was counted elsewhere."""
        self.failed_calls += failed_calls
        for status, count in statuses.items():
            key = _status_in(self.statuses, status)
            self.statuses[key] = self.statuses.get(key, 0) + count
        self.durations.add(counts, total)
        self.received += received
        self.sent += sent

    def dump(self) -> tuple[dict[int, int], list[int], float, int, int, int]:
        """Everything as built-in types, for another one to `add`."""
        durations = self.durations
        return dict(self.statuses), list(durations.counts), durations.total, self.received, self.sent, self.failed_calls


# A counter per metric: on the hot path a counter is an attribute, and no lookup by name.
class Traffic:
    """Counters of the data plane of one process. Keys are label values in the order the attribute's comment gives.

    `knows` says of a service and a tag of it (or of a service, with an empty one) whether they are known to somebody.
    """

    __slots__ = (*_TOTALS, *_GAUGES, *_TABLES, "decisions", "exchanges", "names", "overhead")

    def __init__(self, knows: Callable[[str, str], bool] | None = None) -> None:
        self.names = Names(knows or (lambda _, __: False))
        # Nested, not keyed by tuples: a tuple would be built and hashed for every request.
        self.exchanges: dict[str, dict[str, Series]] = {}  # service, tag
        self.decisions: dict[str, dict[str, int]] = {}  # lane group, lane
        self.fallbacks: dict[tuple[str, str, str], int] = {}  # service, tag, reason
        self.lost: dict[tuple[str, str, str], int] = {}  # service, tag, why
        self.upstream_errors: dict[tuple[str, str, str], int] = {}  # service, tag, kind
        self.ejections: dict[tuple[str, str, str], int] = {}  # service, tag, cause
        self.excused: dict[tuple[str, str, str], int] = {}  # service, tag, whose failure it was
        self.faults: dict[tuple[str, str, str], int] = {}  # service, tag, what was injected
        self.mirrored: dict[tuple[str, str, str], int] = {}  # service, tag, result
        self.calls: dict[tuple[str, str, str], int] = {}  # service, tag, status of gRPC
        self.retries: dict[tuple[str, str], int] = {}  # service, reason
        self.retries_denied: dict[str, int] = {}  # service
        self.refused: dict[str, int] = {}  # code of a request that was never routed
        self.replies: dict[tuple[str, int], int] = {}  # route, status of a response that needed no service
        self.rejected: dict[str, int] = {}  # why a carrier was not accepted
        self.questions: dict[tuple[str, str], int] = {}  # who was asked, answer
        self.compressed: dict[tuple[str, str], int] = {}  # coding, before or after: bytes
        self.http2_failures: dict[str, int] = {}  # the limit that was passed, or the error's name
        self.mesh_requests: dict[str, int] = {}  # how the caller came: only if there is a mesh
        self.overhead = Histogram(OVERHEAD_BUCKETS)
        self.started: int = 0
        self.ambiguous: int = 0
        self.inferred: int = 0
        self.unsigned: int = 0
        self.unknown_rules: int = 0
        self.log_lines: int = 0
        self.log_dropped: int = 0
        self.records_kept: int = 0
        self.records_skipped: int = 0
        self.spans_dropped: int = 0
        self.internal_errors: int = 0  # of this program, set off by what somebody sent
        self.http2_started: int = 0
        self.handshakes_failed: int = 0  # of mutual TLS
        self.in_flight: int = 0
        self.tunnels: int = 0
        self.connections: int = 0

    def count_exchange(
        self, service: str, tag: str, status: int, seconds: float, overhead: float, *, received: int, sent: int
    ) -> None:
        """Counts one finished exchange: how long it took, and this program's own share, negative if there is none.

        `received` and `sent` are bytes of the request and of the response, heads included.
        """
        by_tag = self.exchanges.get(service)
        series = None if by_tag is None else by_tag.get(tag)
        if series is None:
            series = self._series(service, tag)
        statuses = series.statuses
        count = statuses.get(status, 0)
        if not count:
            status = _status_in(statuses, status)
            count = statuses.get(status, 0)
        statuses[status] = count + 1
        series.received += received
        series.sent += sent
        durations = series.durations
        durations.counts[bisect_left(BUCKETS, seconds)] += 1
        durations.total += seconds
        if overhead >= 0.0:
            own = self.overhead
            own.counts[bisect_left(OVERHEAD_BUCKETS, overhead)] += 1
            own.total += overhead

    def ended(self, service: str, tag: str) -> int:
        """How many exchanges of a service and a tag have ended."""
        by_tag = self.exchanges.get(service)
        series = None if by_tag is None else by_tag.get(tag)
        return 0 if series is None else sum(series.statuses.values())

    def count_lane(self, group: str, lane: str, count: int = 1) -> None:
        """Counts a request put on a lane by a rule."""
        by_lane = self.decisions.get(group)
        if by_lane is None or lane not in by_lane:
            if sum(map(len, self.decisions.values())) >= MOST_LANES:
                group = lane = OTHER
            by_lane = self.decisions.setdefault(group, {})
        by_lane[lane] = by_lane.get(lane, 0) + count

    def count_fallback(self, service: str, tag: str, reason: str) -> None:
        """Counts one request that another pool than the wanted one served."""
        self._count(self.fallbacks, service, tag, reason)

    def count_lost(self, service: str, tag: str, why: str) -> bool:
        """Counts one call that left the lane of the request it belongs to. Returns whether it is the first of its kind."""
        return self._count(self.lost, service, tag, why) == 1

    def count_rejected(self, why: str, count: int = 1) -> bool:
        """Counts one request with a carrier that was not accepted. Returns whether it is the first of its kind."""
        self.rejected[why] = counted = self.rejected.get(why, 0) + count
        return counted == 1

    def count_upstream_error(self, service: str, tag: str, kind: str) -> None:
        """Counts one failure of an upstream connection or response."""
        self._count(self.upstream_errors, service, tag, kind)

    def count_ejection(self, service: str, tag: str, cause: str) -> None:
        """Counts one instance that gets no traffic for a while."""
        self._count(self.ejections, service, tag, cause)

    def count_excused(self, service: str, tag: str, whose: str) -> None:
        """Counts one failure that was not held against the instance that responded with it."""
        self._count(self.excused, service, tag, whose)

    def count_fault(self, service: str, tag: str, kind: str) -> None:
        """Counts one request into which its lane injected a fault."""
        self._count(self.faults, service, tag, kind)

    def count_mirrored(self, service: str, tag: str, result: str) -> None:
        """Counts one request of which a lane was to get a copy."""
        self._count(self.mirrored, service, tag, result)

    def count_call(self, service: str, tag: str, status: str, is_failed: bool) -> None:
        """Counts one gRPC call that ended with a status. `is_failed`: it failed, and its HTTP status does not say so."""
        self._count(self.calls, service, tag, status)
        if is_failed:
            self._series(service, tag).failed_calls += 1

    def count_retry(self, service: str, reason: str, count: int = 1) -> None:
        """Counts one more attempt at the same request."""
        key = (service, reason)
        if key not in self.retries:
            key = (self._pair(service, "")[0], reason)
        self.retries[key] = self.retries.get(key, 0) + count

    def count_retry_denied(self, service: str, count: int = 1) -> None:
        """Counts one request that the retry budget did not allow another attempt."""
        if service not in self.retries_denied:
            service = self._pair(service, "")[0]
        self.retries_denied[service] = self.retries_denied.get(service, 0) + count

    def count_refused(self, code: str, count: int = 1) -> None:
        """Counts one request that was refused with an error before it had a route."""
        self.refused[code] = self.refused.get(code, 0) + count

    def count_http2_failure(self, reason: str, count: int = 1) -> None:
        """Counts a connection of HTTP/2 that ended by a fault of the client, or a stream that was refused because of a limit."""
        self.http2_failures[reason] = self.http2_failures.get(reason, 0) + count

    def count_question(self, by: str, answer: str, count: int = 1) -> None:
        """Counts a question whether a request may pass."""
        self.questions[by, answer] = self.questions.get((by, answer), 0) + count

    def count_compressed(self, coding: str, side: str, size: int) -> None:
        """Counts bytes of responses, before or after they were compressed."""
        self.compressed[coding, side] = self.compressed.get((coding, side), 0) + size

    def count_reply(self, route: str, status: int, count: int = 1) -> None:
        """Counts a request that its route replied to without a service."""
        key = (route, status)
        if key not in self.replies and len(self.replies) >= MOST:
            key = (OTHER, _class_of(status))
        self.replies[key] = self.replies.get(key, 0) + count

    def _series(self, service: str, tag: str) -> Series:
        """The series of a service and a tag, made when first needed."""
        service, tag = self._pair(service, tag)
        by_tag = self.exchanges.setdefault(service, {})
        series = by_tag.get(tag)
        if series is None:
            series = by_tag[tag] = Series()
        return series

    def _count(self, table: dict[tuple[str, str, str], int], service: str, tag: str, why: str, count: int = 1) -> int:
        key = (service, tag, why)
        if key not in table:
            key = (*self._pair(service, tag), why)
        table[key] = counted = table.get(key, 0) + count
        return counted

    def _pair(self, service: str, tag: str) -> tuple[str, str]:
        """What a service and a tag are counted under, of which nothing was counted yet."""
        pair = self.names.admit(service, tag)
        for gone in self.names.outgrown():
            self._fold(*gone)
        return pair

    def _fold(self, service: str, tag: str) -> None:
        """Counts what was counted under a pair under another one."""
        by_tag = self.exchanges.get(service, {})
        series = by_tag.pop(tag, None)
        if series is not None:
            by_tag.setdefault(OTHER, Series()).add(*series.dump())
        for name in _BY_PAIR:
            table = getattr(self, name)
            for key in [key for key in table if key[0] == service and key[1] == tag]:
                other = (service, OTHER, key[2])
                table[other] = table.get(other, 0) + table.pop(key)

    def dump(self) -> dict[str, Any]:
        """Everything counted as built-in types, for another process to `add`."""
        return {
            "exchanges": {
                service: {tag: series.dump() for tag, series in by_tag.items()}
                for service, by_tag in self.exchanges.items()
            },
            "decisions": {group: dict(by_lane) for group, by_lane in self.decisions.items()},
            "tables": {name: dict(getattr(self, name)) for name in _TABLES},
            "overhead": (list(self.overhead.counts), self.overhead.total),
            "numbers": {name: getattr(self, name) for name in _TOTALS},
            "gauges": {name: getattr(self, name) for name in _GAUGES},
        }

    def add(self, dump: dict[str, Any], alive: bool = True) -> None:
        """Adds another process's dump; of one that is not alive only what was counted, not what was in progress."""
        for service, by_tag in dump["exchanges"].items():
            for tag, counted in by_tag.items():
                self._series(service, tag).add(*counted)
        for group, by_lane in dump["decisions"].items():
            for lane, count in by_lane.items():
                self.count_lane(group, lane, count)
        tables = dump["tables"]
        for name in _BY_PAIR:
            for (service, tag, why), count in tables[name].items():
                self._count(getattr(self, name), service, tag, why, count)
        for (service, reason), count in tables["retries"].items():
            self.count_retry(service, reason, count)
        for service, count in tables["retries_denied"].items():
            self.count_retry_denied(service, count)
        for code, count in tables["refused"].items():
            self.count_refused(code, count)
        for reason, count in tables["http2_failures"].items():
            self.count_http2_failure(reason, count)
        for (by, answer), count in tables["questions"].items():
            self.count_question(by, answer, count)
        for (coding, side), size in tables["compressed"].items():
            self.count_compressed(coding, side, size)
        for why, count in tables["rejected"].items():
            self.count_rejected(why, count)
        for (route, status), count in tables["replies"].items():
            self.count_reply(route, status, count)
        for kind, count in tables["mesh_requests"].items():
            self.mesh_requests[kind] = self.mesh_requests.get(kind, 0) + count
        self.overhead.add(*dump["overhead"])
        for name, count in dump["numbers"].items():
            setattr(self, name, getattr(self, name) + count)
        if alive:
            for name, count in dump["gauges"].items():
                setattr(self, name, getattr(self, name) + count)

    def forget_service(self, service: str) -> None:
        """Drops the series of a service that is not routed to any more."""
        self.names.forget(service)
        self.exchanges.pop(service, None)
        self.fallbacks = {key: count for key, count in self.fallbacks.items() if key[0] != service}
        self.lost = {key: count for key, count in self.lost.items() if key[0] != service}
        self.upstream_errors = {key: count for key, count in self.upstream_errors.items() if key[0] != service}
        self.ejections = {key: count for key, count in self.ejections.items() if key[0] != service}
        self.excused = {key: count for key, count in self.excused.items() if key[0] != service}
        self.faults = {key: count for key, count in self.faults.items() if key[0] != service}
        self.mirrored = {key: count for key, count in self.mirrored.items() if key[0] != service}
        self.calls = {key: count for key, count in self.calls.items() if key[0] != service}
        self.retries = {key: count for key, count in self.retries.items() if key[0] != service}
        self.retries_denied.pop(service, None)

    def retain_lanes(self, lanes: set[tuple[str, str]]) -> None:
        """Drops the series of lanes (group, lane) that do not exist any more."""
        self.decisions = {
            group: kept
            for group, by_lane in self.decisions.items()
            if (kept := {lane: count for lane, count in by_lane.items() if (group, lane) in lanes})
        }
