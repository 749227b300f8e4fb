"""What processes take of the machine, under the names that every Prometheus client uses (`process_…`).

With the label `process`: the sum over processes would fall when a worker is replaced, which Prometheus takes for a restart
of all of them, and a limit of descriptors is each process's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


def process_metrics(processes: Mapping[str, int]) -> Iterator[Metric]:
    """The metrics of some processes, given by what they are called and their ids. What /proc does not show is left out."""
    families: dict[str, Metric] = {}
    for name, pid in processes.items():
        for found in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
            family = families.get(found.name)
            if family is None:
                kind = CounterMetricFamily if found.type == "counter" else GaugeMetricFamily
                family = families[found.name] = kind(found.name, found.documentation, labels=["process"])
            family.add_metric([name], found.samples[0].value)  # type: ignore[attr-defined]
    yield from families.values()
