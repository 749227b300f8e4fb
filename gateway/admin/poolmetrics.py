"""The metrics of instances: how many there are, and what is open and under way at each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.admin.families import Family, Sample, of_pools
from gateway.admin.observed import Observed
from gateway.proxy.origins import STATES


def _connections(observed: Observed) -> Iterator[Sample]:
    for address, counts in observed.upstream_connections.items():
        for state, count in zip(STATES, counts, strict=True):
            yield (address, state), count


POOL_METRICS: Final = (
    Family(
        "gateway_endpoints",
        "gauge",
        ("service", "tag", "usable"),
        "known instances",
        of_pools(lambda _, pool: [(("true",), len(pool.usable)), (("false",), pool.size - len(pool.usable))]),
    ),
    Family(
        "gateway_drained_instances",
        "gauge",
        ("service",),
        "instances taken out of this gateway's or sidecar's traffic by a person",
        lambda observed: [((service,), count) for service, count in observed.drained.items()],
    ),
    Family(
        "gateway_pool_panicking",
        "gauge",
        ("service", "tag"),
        "1: all instances of the tag are unhealthy and are used anyway (when_all_unhealthy: use_all)",
        of_pools(lambda view, pool: [((), pool.is_panicking)] if view.condition.uses_unhealthy else []),
    ),
    Family(
        "gateway_upstream_connections",
        "gauge",
        ("address", "state"),
        "connections to instances",
        _connections,
    ),
    Family(
        "gateway_upstream_requests_in_flight",
        "gauge",
        ("address",),
        "requests under way at instances, those that wait for a connection included",
        lambda observed: [((address,), count) for address, count in observed.upstream_requests.items()],
    ),
)
