"""What a process counts: plain integers in plain dicts, because a prometheus child costs ten times as much.

`metrics.Collector` turns them into samples on scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

BUCKETS: Final[tuple[float, ...]] = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the duration histogram, in seconds."""


class Histogram:
    """Counts per bucket (not cumulative; the last is beyond all bounds) and the sum of what was observed."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts: list[int] = [0] * (len(BUCKETS) + 1)
        self.total: float = 0.0


class Series:
    """The exchanges of one service and tag: how many ended with which status, and how long they took."""

    __slots__ = ("durations", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.durations = Histogram()

    def count(self, status: int, seconds: float) -> None:
        """Counts one exchange."""
        statuses = self.statuses
        statuses[status] = statuses.get(status, 0) + 1
        durations = self.durations
        durations.counts[bisect_left(BUCKETS, seconds)] += 1
        durations.total += seconds


class Traffic:
    """Counters of the data plane of one process. Keys are label values in the order the attribute's comment gives."""

    __slots__ = (
        "connections",
        "decisions",
        "exchanges",
        "fallbacks",
        "in_flight",
        "refused",
        "retries",
        "upstream_errors",
    )

    def __init__(self) -> None:
        # Nested, not keyed by tuples: a tuple would be built and hashed for every request.
        self.exchanges: dict[str, dict[str, Series]] = {}  # service, tag
        self.decisions: dict[str, dict[str, int]] = {}  # lane group, lane
        self.fallbacks: dict[tuple[str, str, str], int] = {}  # service, tag, reason
        self.upstream_errors: dict[tuple[str, str, str], int] = {}  # service, tag, kind
        self.retries: dict[tuple[str, str], int] = {}  # service, reason
        self.refused: dict[str, int] = {}  # code of a request that was never routed
        self.in_flight: int = 0
        self.connections: int = 0

    def count_exchange(self, service: str, tag: str, status: int, seconds: float) -> None:
        """Counts one finished exchange."""
        by_tag = self.exchanges.get(service)
        if by_tag is None:
            by_tag = self.exchanges[service] = {}
        series = by_tag.get(tag)
        if series is None:
            series = by_tag[tag] = Series()
        series.count(status, seconds)

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

    def count_retry(self, service: str, reason: str) -> None:
        """Counts one more attempt at the same request."""
        key = (service, reason)
        self.retries[key] = self.retries.get(key, 0) + 1

    def count_refused(self, code: str) -> None:
        """Counts one request that was answered with an error before it had a route."""
        self.refused[code] = self.refused.get(code, 0) + 1

    def forget_service(self, service: str) -> None:
        """Drops the series of a service that is not routed to any more."""
        self.exchanges.pop(service, None)
        self.fallbacks = {key: count for key, count in self.fallbacks.items() if key[0] != service}
        self.upstream_errors = {key: count for key, count in self.upstream_errors.items() if key[0] != service}
        self.retries = {key: count for key, count in self.retries.items() if key[0] != service}

    def retain_lanes(self, lanes: set[tuple[str, str]]) -> None:
        """Drops the series of lanes (group, lane) that do not exist any more."""
        self.decisions = {
            group: kept
            for group, by_lane in self.decisions.items()
            if (kept := {lane: count for lane, count in by_lane.items() if (group, lane) in lanes})
        }
