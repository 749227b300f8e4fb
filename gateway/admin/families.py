"""What a metric is, and how its samples are read from what a role lets see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from gateway.admin.observed import Observed
from gateway.control.reload import ReloadState
from gateway.registry.keeper import Keeper, ServiceState
from gateway.routing.services import Pool, ServiceView
from gateway.telemetry.counters import Histogram, Series, Traffic

Sample = tuple[tuple[str, ...], float | Histogram]
"""The labels' values, and the number."""


class Scrape:
    """What there is to see at one moment. Counters of workers are added up once, however many metrics read them."""

    def __init__(self, observed: Observed) -> None:
        self.observed = observed

    @cached_property
    def traffic(self) -> Mapping[str, Traffic]:
        """Counters by listener."""
        return self.observed.traffic()


@dataclass(frozen=True, slots=True)
class Family:
    """A metric and its documentation: `help` is the meaning in `docs/metrics.md`, without the links."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    samples: Callable[[Scrape], Iterable[Sample] | None]
    """None: this role has no such metric. The functions below make some."""


def of_listeners(read: Callable[[Traffic], Iterable[Sample]]) -> Callable[[Scrape], Iterator[Sample]]:
    """Samples of each listener, labelled with its name."""

    def samples(scrape: Scrape) -> Iterator[Sample]:
        for listener, traffic in scrape.traffic.items():
            for labels, value in read(traffic):
                yield (listener, *labels), value

    return samples


def number(read: Callable[[Traffic], float | Histogram]) -> Callable[[Scrape], Iterator[Sample]]:
    """A number of each listener."""
    return of_listeners(lambda traffic: [((), read(traffic))])


def table(read: Callable[[Traffic], Mapping[Any, int]]) -> Callable[[Scrape], Iterator[Sample]]:
    """A table of each listener, whose keys are the labels' values: a name, or several."""
    return of_listeners(
        lambda traffic: (
            (key if isinstance(key, tuple) else (key,), count) for key, count in read(traffic).items()
        )
    )  # fmt: skip


def of_exchanges(read: Callable[[Series], Iterable[Sample]]) -> Callable[[Scrape], Iterator[Sample]]:
    """Samples of each service and tag of each listener."""
    return of_listeners(
        lambda traffic: (
            ((service, tag, *labels), value)
            for service, by_tag in traffic.exchanges.items()
            for tag, series in by_tag.items()
            for labels, value in read(series)
        )
    )


def of_pools(read: Callable[[ServiceView, Pool], Iterable[Sample]]) -> Callable[[Scrape], Iterator[Sample]]:
    """Samples of each pool of each service."""

    def samples(scrape: Scrape) -> Iterator[Sample]:
        for view in scrape.observed.snapshot().services.values():
            for pool in view.pools.values():
                for labels, value in read(view, pool):
                    yield (view.name, pool.tag, *labels), value

    return samples


def of_registries(read: Callable[[Keeper], Iterable[Sample]]) -> Callable[[Scrape], Iterable[Sample] | None]:
    """Samples of each registry."""

    def samples(scrape: Scrape) -> Iterable[Sample] | None:
        registries = scrape.observed.registries
        if registries is None:
            return None
        return [
            ((name, *labels), value) for name, keeper in registries.keepers.items() for labels, value in read(keeper)
        ]

    return samples


def of_registry_services(read: Callable[[ServiceState], Sample]) -> Callable[[Scrape], Iterable[Sample] | None]:
    """A sample of each service in each registry."""
    return of_registries(lambda keeper: map(read, keeper.states()))


def registry_table(read: Callable[[Keeper], Mapping[str, int]]) -> Callable[[Scrape], Iterable[Sample] | None]:
    """A table of each registry."""
    return of_registries(lambda keeper: [((reason,), count) for reason, count in read(keeper).items()])


def of_reload(read: Callable[[ReloadState], Iterable[Sample]]) -> Callable[[Scrape], Iterable[Sample] | None]:
    """Samples of the last reload."""

    def samples(scrape: Scrape) -> Iterable[Sample] | None:
        reload = scrape.observed.reload
        return None if reload is None else read(reload())

    return samples
