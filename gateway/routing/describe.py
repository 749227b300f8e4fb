"""Routes and pools as plain values, for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.routing.routes import Route
from gateway.routing.services import ServiceView


def describe_route(route: Route, services: Mapping[str, ServiceView]) -> dict[str, object]:
    """A route as plain values: where it comes from, what a request must be like, and where it may go."""
    return {
        "source": route.source or "configuration",
        "host": route.host or None,
        "path": route.path,
        "exact": route.is_exact,
        "patience": {} if route.patience is None else dict(route.patience.told),
        "match": [] if route.test is None else route.test.describe(),
        "asked": [] if route.gate is None else [f"{item.by}: {item.about}" for item in route.gate.questions],
        "compress": None if route.compression is None else route.compression.describe(),
        "backends": [
            {
                "service": backend.service or None,
                "tag": backend.lane_of(services),
                "weight": backend.weight,
                "problem": backend.problem or None,
            }
            for backend in (() if route.split is None else route.split.backends)
        ],
    }


def describe_pools(
    view: ServiceView, ejected: Collection[str] | None = None, kept: Collection[str] = ()
) -> list[dict[str, object]]:
    """A service's pools as plain values: the baseline first, then by tag.

    `ejected`: by address, where others know better. `kept`: addresses that are used though no registry says so now.
    """
    out = view.condition.out if ejected is None else ejected
    pools = sorted(view.pools.values(), key=lambda pool: (pool is not view.base, pool.tag))
    return [
        {
            "tag": pool.tag,
            "size": pool.size,
            "usable": len(pool.usable),
            "panicking": pool.is_panicking,
            "instances": [
                {
                    "address": instance.address,
                    "weight": instance.weight,
                    "healthy": instance.healthy,
                    "enabled": instance.enabled,
                    "ejected": instance.address in out,
                    "kept": instance.address in kept,
                    "metadata": dict(instance.metadata),
                }
                for instance in view.instances
                if instance.tag == pool.tag
            ],
        }
        for pool in pools
    ]
