"""What a registry knows, as JSON, for the process that takes its place (`app.takeover`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from gateway.registry.embedded.store import Change, Lease, ServiceKey, Store

_LEASE: Final = frozenset(field.name for field in fields(Lease)) - {"renewed_at", "owner"}
"""Connections are not handed over: who registered over one registers over a new one, and until then lives by its heartbeats."""


def dump(store: Store) -> dict[str, Any]:
    """Everything that `restore` makes again."""
    return {
        "instances": [
            [asdict(key), {name: value for name, value in asdict(lease).items() if name in _LEASE}]
            for key in store.services()
            for lease in store.instances(key)
        ],
        "changes": [
            [asdict(key), list(place), [change.weight, change.enabled, dict(change.metadata)]]
            for (key, place), change in store.changes().items()
        ],
        "configs": [[asdict(key), config.content, config.kind] for key, config in store.configs().items()],
    }


def restore(store: Store, state: Mapping[str, Any], now: float) -> None:
    """Makes a registry know what was dumped, and nothing else. Everybody counts as heard of `now`."""
    leases = [(ServiceKey(**key), _lease(values)) for key, values in state.get("instances", ())]
    kept = {(key, lease.host, lease.port, lease.cluster) for key, lease in leases}
    for key in store.services():
        for lease in store.instances(key):
            if (key, lease.host, lease.port, lease.cluster) not in kept:
                store.deregister(key, lease.host, lease.port, lease.cluster)
    for key, lease in leases:
        store.register(key, lease, now)
    for key, (host, port, cluster), values in state.get("changes", ()):
        if store.instance(ServiceKey(**key), host, port, cluster) is not None:
            store.update(ServiceKey(**key), (host, port, cluster), Change(*values))
    configs = {ServiceKey(**key): (content, kind) for key, content, kind in state.get("configs", ())}
    for key in list(store.configs()):
        if key not in configs:
            store.remove_config(key)
    for key, (content, kind) in configs.items():
        known = store.config(key)
        if known is None or (known.content, known.kind) != (content, kind):
            store.publish(key, content, kind)


def _lease(values: Mapping[str, Any]) -> Lease:
    # Of another version, it may know less of an instance, or more.
    return Lease(**{name: value for name, value in values.items() if name in _LEASE})
