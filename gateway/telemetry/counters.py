"""What a process counts: plain integers in plain dicts, because a prometheus child costs ten times as much.

`metrics.Collector` turns them into samples on scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

BUCKETS: Final[tuple[float, ...]] = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the duration histogram, in seconds."""
OVERHEAD_BUCKETS: Final[tuple[float, ...]] = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1,
)  # fmt: skip
"""Upper bounds of the histogram of this program's own time, in seconds."""


_TOTALS: Final = ("started", "ambiguous", "log_lines", "log_dropped", "internal_errors")
_GAUGES: Final = ("in_flight", "tunnels", "connections")


class Histogram:
    """Counts per bucket (not cumulative; the last is beyond all bounds) and the sum of what was observed."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = BUCKETS) -> None:
        self.bounds = bounds
        self.counts: list[int] = [0] * (len(bounds) + 1)
        self.total: float = 0.0

    def add(self, counts: list[int], total: float) -> None:
        """Adds another process's observations."""
        self.total += total
        for index, count in enumerate(counts):
            self.counts[index] += count


class Series:
    """The exchanges of one service and tag: how many ended with which status, how long they took, and how large they were."""

    __slots__ = ("durations", "received", "sent", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.durations = Histogram()
        self.received: int = 0
        self.sent: int = 0


class Traffic:
    """Counters of the data plane of one process. Keys are label values in the order the attribute's comment gives."""

    __slots__ = (
        "ambiguous",
        "connections",
        "decisions",
        "ejections",
        "exchanges",
        "fallbacks",
        "in_flight",
        "internal_errors",
        "log_dropped",
        "log_lines",
        "overhead",
        "refused",
        "replies",
        "retries",
        "retries_denied",
        "started",
        "tunnels",
        "upstream_errors",
    )

    def __init__(self) -> None:
        # Nested, not keyed by tuples: a tuple would be built and hashed for every request.
        self.exchanges: dict[str, dict[str, Series]] = {}  # service, tag
        self.decisions: dict[str, dict[str, int]] = {}  # lane group, lane
        self.fallbacks: dict[tuple[str, str, str], int] = {}  # service, tag, reason
        self.upstream_errors: dict[tuple[str, str, str], int] = {}  # service, tag, kind
        self.ejections: dict[tuple[str, str, str], int] = {}  # service, tag, cause
        self.retries: dict[tuple[str, str], int] = {}  # service, reason
        self.retries_denied: dict[str, int] = {}  # service
        self.refused: dict[str, int] = {}  # code of a request that was never routed
        self.replies: dict[tuple[str, int], int] = {}  # route, status of an answer that needed no service
        self.overhead = Histogram(OVERHEAD_BUCKETS)
        self.started: int = 0
        self.ambiguous: int = 0
        self.log_lines: int = 0
        self.log_dropped: int = 0
        self.internal_errors: int = 0  # of this program, set off by what somebody sent
        self.in_flight: int = 0
        self.tunnels: int = 0
        self.connections: int = 0

    def count_exchange(
        self, service: str, tag: str, status: int, seconds: float, overhead: float, received: int, sent: int
    ) -> None:
        """Counts one finished exchange: how long it took, and this program's own share, negative where there is none.

        `received` and `sent` are bytes of the request and of the answer, heads included.
        """
        by_tag = self.exchanges.get(service)
        if by_tag is None:
            by_tag = self.exchanges[service] = {}
        series = by_tag.get(tag)
        if series is None:
            series = by_tag[tag] = Series()
        statuses = series.statuses
        statuses[status] = statuses.get(status, 0) + 1
        series.received += received
        series.sent += sent
        durations = series.durations
        durations.counts[bisect_left(BUCKETS, seconds)] += 1
        durations.total += seconds
        if overhead >= 0.0:
            own = self.overhead
            own.counts[bisect_left(OVERHEAD_BUCKETS, overhead)] += 1
            own.total += overhead

    def count_lane(self, group: str, lane: str) -> None:
        """Counts one request put on a lane by a rule."""
        by_lane = self.decisions.get(group)
        if by_lane is None:
            by_lane = self.decisions[group] = {}
        by_lane[lane] = by_lane.get(lane, 0) + 1

    def count_fallback(self, service: str, tag: str, reason: str) -> None:
        """Counts one request that another pool than the wanted one served."""
        key = (service, tag, reason)
        self.fallbacks[key] = self.fallbacks.get(key, 0) + 1

    def count_upstream_error(self, service: str, tag: str, kind: str) -> None:
        """Counts one failure of an upstream connection or answer."""
        key = (service, tag, kind)
        self.upstream_errors[key] = self.upstream_errors.get(key, 0) + 1

    def count_ejection(self, service: str, tag: str, cause: str) -> None:
        """Counts one instance that gets no traffic for a while."""
        key = (service, tag, cause)
        self.ejections[key] = self.ejections.get(key, 0) + 1

    def count_retry(self, service: str, reason: str) -> None:
        """Counts one more attempt at the same request."""
        key = (service, reason)
        self.retries[key] = self.retries.get(key, 0) + 1

    def count_retry_denied(self, service: str) -> None:
        """Counts one request that the retry budget did not allow another attempt."""
        self.retries_denied[service] = self.retries_denied.get(service, 0) + 1

    def count_refused(self, code: str) -> None:
        """Counts one request that was answered with an error before it had a route."""
        self.refused[code] = self.refused.get(code, 0) + 1

    def count_reply(self, route: str, status: int) -> None:
        """Counts one request that its route answered without a service."""
        key = (route, status)
        self.replies[key] = self.replies.get(key, 0) + 1

    def dump(self) -> dict[str, Any]:
        """Everything counted as built-in types, for another process to `add`."""
        return {
            "exchanges": {
                service: {
                    tag: (
                        dict(series.statuses),
                        list(series.durations.counts),
                        series.durations.total,
                        series.received,
                        series.sent,
                    )
                    for tag, series in by_tag.items()
                }
                for service, by_tag in self.exchanges.items()
            },
            "decisions": {group: dict(by_lane) for group, by_lane in self.decisions.items()},
            "tables": [dict(table) for table in self._tables()],
            "overhead": (list(self.overhead.counts), self.overhead.total),
            "numbers": {name: getattr(self, name) for name in _TOTALS},
            "gauges": {name: getattr(self, name) for name in _GAUGES},
        }

    def add(self, dump: dict[str, Any], alive: bool = True) -> None:
        """Adds another process's dump; of one that is not alive only what was counted, not what was going on."""
        for service, by_tag in dump["exchanges"].items():
            mine = self.exchanges.setdefault(service, {})
            for tag, (statuses, counts, total, received, sent) in by_tag.items():
                series = mine.get(tag)
                if series is None:
                    series = mine[tag] = Series()
                for status, count in statuses.items():
                    series.statuses[status] = series.statuses.get(status, 0) + count
                series.durations.add(counts, total)
                series.received += received
                series.sent += sent
        for group, by_lane in dump["decisions"].items():
            lanes = self.decisions.setdefault(group, {})
            for lane, count in by_lane.items():
                lanes[lane] = lanes.get(lane, 0) + count
        for table, other in zip(self._tables(), dump["tables"], strict=True):
            for key, count in other.items():
                table[key] = table.get(key, 0) + count
        self.overhead.add(*dump["overhead"])
        for name, count in dump["numbers"].items():
            setattr(self, name, getattr(self, name) + count)
        if alive:
            for name, count in dump["gauges"].items():
                setattr(self, name, getattr(self, name) + count)

    def _tables(self) -> list[dict[Any, int]]:
        """The plain tables of counts, in a fixed order."""
        return [
            self.fallbacks,
            self.upstream_errors,
            self.ejections,
            self.retries,
            self.retries_denied,
            self.refused,
            self.replies,
        ]

    def forget_service(self, service: str) -> None:
        """Drops the series of a service that is not routed to any more."""
        self.exchanges.pop(service, None)
        self.fallbacks = {key: count for key, count in self.fallbacks.items() if key[0] != service}
        self.upstream_errors = {key: count for key, count in self.upstream_errors.items() if key[0] != service}
        self.ejections = {key: count for key, count in self.ejections.items() if key[0] != service}
        self.retries = {key: count for key, count in self.retries.items() if key[0] != service}
        self.retries_denied.pop(service, None)

    def retain_lanes(self, lanes: set[tuple[str, str]]) -> None:
        """Drops the series of lanes (group, lane) that do not exist any more."""
        self.decisions = {
            group: kept
            for group, by_lane in self.decisions.items()
            if (kept := {lane: count for lane, count in by_lane.items() if (group, lane) in lanes})
        }
