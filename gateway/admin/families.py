"""What a metric is, and how its samples are read from what a role lets see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.admin.observed import Observed
from gateway.control.reload import ReloadState
from gateway.registry.keeper import Keeper, ServiceState
from gateway.routing.services import Pool, ServiceView
from gateway.telemetry.counters import Series, Traffic
from gateway.telemetry.histogram import Histogram

Sample = tuple[tuple[str, ...], float | Histogram]
"""The labels' values, and the number."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric and its documentation: `help` is the meaning in `docs/metrics.md`, without the links."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    samples: Callable[[Observed], Iterable[Sample] | None]
    """None: this role has no such metric. The functions below make some."""


def of_listeners(read: Callable[[Traffic], Iterable[Sample]]) -> Callable[[Observed], Iterator[Sample]]:
    """Samples of each listener, labelled with its name."""

    def samples(observed: Observed) -> Iterator[Sample]:
        for listener, traffic in observed.traffic.items():
            for labels, value in read(traffic):
                yield (listener, *labels), value

    return samples


def number(read: Callable[[Traffic], float | Histogram]) -> Callable[[Observed], Iterator[Sample]]:
    """A number of each listener."""
    return of_listeners(lambda traffic: [((), read(traffic))])


def table(read: Callable[[Traffic], Mapping[Any, int]]) -> Callable[[Observed], Iterator[Sample]]:
    """A table of each listener, whose keys are the labels' values: a name, or several."""
    return of_listeners(
        lambda traffic: (
            (key if isinstance(key, tuple) else (key,), count) for key, count in read(traffic).items()
        )
    )  # fmt: skip


def of_exchanges(read: Callable[[Series], Iterable[Sample]]) -> Callable[[Observed], Iterator[Sample]]:
    """Samples of each service and tag of each listener."""
    return of_listeners(
        lambda traffic: (
            ((service, tag, *labels), value)
            for service, by_tag in traffic.exchanges.items()
            for tag, series in by_tag.items()
            for labels, value in read(series)
        )
    )


def of_pools(read: Callable[[ServiceView, Pool], Iterable[Sample]]) -> Callable[[Observed], Iterator[Sample]]:
    """Samples of each pool of each service."""

    def samples(observed: Observed) -> Iterator[Sample]:
        for view in observed.snapshot.services.values():
            for pool in view.pools.values():
                for labels, value in read(view, pool):
                    yield (view.name, pool.tag, *labels), value

    return samples


def of_registries(read: Callable[[Keeper], Iterable[Sample]]) -> Callable[[Observed], Iterable[Sample] | None]:
    """Samples of each registry."""

    def samples(observed: Observed) -> Iterable[Sample] | None:
        keepers = observed.registries.keepers
        return [((name, *labels), value) for name, keeper in keepers.items() for labels, value in read(keeper)]

    return samples


def of_registry_services(read: Callable[[ServiceState], Sample]) -> Callable[[Observed], Iterable[Sample] | None]:
    """A sample of each service in each registry."""
    return of_registries(lambda keeper: map(read, keeper.states()))


def registry_table(read: Callable[[Keeper], Mapping[str, int]]) -> Callable[[Observed], Iterable[Sample] | None]:
    """A table of each registry."""
    return of_registries(lambda keeper: [((reason,), count) for reason, count in read(keeper).items()])


def of_reload(read: Callable[[ReloadState], Iterable[Sample]]) -> Callable[[Observed], Iterable[Sample] | None]:
    """Samples of the last reload."""
    return lambda observed: read(observed.reload)


def of_application(observed: Observed) -> Iterable[Sample] | None:
    """On a sidecar: whether its application accepts requests."""
    is_up = observed.is_application_up
    return None if is_up is None else [((), is_up)]


def of_bypasses(observed: Observed) -> Iterable[Sample] | None:
    """How many connections went round a sidecar, where that is known."""
    return None if observed.bypasses is None else [((), observed.bypasses)]


def of_escapes(observed: Observed) -> Iterable[Sample] | None:
    """Calls that lost a tag, of a sidecar."""
    service = observed.service
    if service is None:
        return None
    return [
        ((service, callee, tag, why), count)
        for traffic in observed.traffic.values()
        for (callee, tag, why), count in traffic.lost.items()
    ]


def of_spans(observed: Observed) -> Iterable[Sample] | None:
    """What became of spans, by result."""
    if observed.spans is None:
        return None
    counts = {**observed.spans}
    counts["dropped"] += sum(traffic.spans_dropped for traffic in observed.traffic.values())
    return [((result,), count) for result, count in counts.items()]
