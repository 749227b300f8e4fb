"""Rates, errors and latencies by service and tag, from two looks at the metrics of a program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, str, str]
"""Listener, service, tag."""


@dataclass(slots=True)
class Counted:
    """What was counted of one service and tag since the program started; `buckets` are cumulative, by upper bound in seconds."""

    requests: float = 0.0
    errors: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rate:
    """What happened between two looks: requests per second, share of errors (0 to 1), 95th percentile in seconds.

    `in_flight` are the requests under way at instances at the second look.
    """

    listener: str
    service: str
    tag: str
    rate: float
    errors: float
    p95: float | None
    in_flight: int


class Picture:
    """A look at the metrics (`text`, as Prometheus reads them) and at the services that the admin API lists.

    Raises ValueError if the metrics cannot be read.
    """

    def __init__(self, text: str, services: Iterable[Mapping[str, Any]]) -> None:
        self._counted: dict[Key, Counted] = defaultdict(Counted)
        self._in_flight: dict[tuple[str, str], float] = defaultdict(float)
        pools = {
            item["address"]: (service["service"], pool["tag"])
            for service in services
            for pool in service["pools"]
            for item in pool["instances"]
        }
        for family in text_string_to_metric_families(text):
            for name, labels, value, *_ in family.samples:
                if name == "gateway_requests_total":
                    self._counted[_key(labels)].requests += value
                elif name == "gateway_failed_requests_total":
                    self._counted[_key(labels)].errors += value
                elif name == "gateway_request_duration_seconds_bucket":
                    self._counted[_key(labels)].buckets[float(labels["le"])] = value
                elif name == "gateway_upstream_requests_in_flight":
                    self._in_flight[pools.get(labels["address"], ("", ""))] += value

    def since(self, before: Picture, seconds: float) -> list[Rate]:
        """Each service and tag, the busiest first."""
        found = [self._rate(key, before._counted.get(key, Counted()), seconds) for key in self._counted]
        return sorted(found, key=lambda item: (-item.rate, item.listener, item.service, item.tag))

    def _rate(self, key: Key, old: Counted, seconds: float) -> Rate:
        now = self._counted[key]
        if old.requests > now.requests:
            old = Counted()  # the program has started anew, and its counters too
        requests = now.requests - old.requests
        buckets = {bound: count - old.buckets.get(bound, 0.0) for bound, count in now.buckets.items()}
        errors = (now.errors - old.errors) / requests if requests else 0.0
        in_flight = int(self._in_flight.get(key[1:], 0)) if key[0] != "inbound" else 0
        return Rate(*key, requests / seconds, errors, quantile(0.95, buckets), in_flight)


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """The quantile of a cumulative histogram, in proportion between the bounds of its bucket, as Prometheus has it.

    Beyond the last bound it is that bound; None if nothing was counted.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if not total:
        return None
    lower, below = 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= share * total and bound != float("inf"):
            return lower + (bound - lower) * (share * total - below) / (count - below)
        if bound != float("inf"):
            lower, below = bound, count
    return lower


def _key(labels: Mapping[str, str]) -> Key:
    return labels["listener"], labels["service"], labels["tag"]
