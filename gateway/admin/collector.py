"""Turns the program's plain counters into Prometheus samples on scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from gateway.admin.families import Family
from gateway.admin.metrics import METRICS
from gateway.admin.observed import Observed
from gateway.admin.processes import process_metrics
from gateway.telemetry.histogram import Histogram


class Collector:
    """A prometheus-client collector over what is `observed` at one moment."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The samples as they are now."""
        for family in METRICS:
            metric = _metric(family, self._observed)
            if metric is not None:
                yield metric
        yield from process_metrics(self._observed.processes)


_TYPES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


def _metric(family: Family, observed: Observed) -> Metric | None:
    samples = family.samples(observed)
    if samples is None:
        return None
    if family.type == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, value in samples:
            assert isinstance(value, Histogram)
            histogram.add_metric(labels, _cumulative(value), value.total)
        return histogram
    metric: CounterMetricFamily | GaugeMetricFamily = _TYPES[family.type](
        family.name, family.help, labels=family.labels
    )
    for labels, value in samples:
        assert not isinstance(value, Histogram)
        metric.add_metric(labels, value)
    return metric


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """Bucket bounds and how many observations were at or below each."""
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
