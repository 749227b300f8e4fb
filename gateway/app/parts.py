"""What the entry gateway and the sidecar are both put together with."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.control.load import LoadedGateway, LoadedSidecar
from gateway.control.reload import Reloader
from gateway.proxy.context import Context, Router, Timeouts
from gateway.proxy.origin import Origins
from gateway.registry.keeper import Keeper, ServiceState
from gateway.registry.nacos import NacosAdapter
from gateway.routing.explain import describe_pools
from gateway.routing.snapshot import Snapshot
from gateway.settings import (
    GatewaySettings,
    NacosRegistrySettings,
    ServingSettings,
    SidecarSettings,
    StaticRegistrySettings,
)
from gateway.telemetry.counters import Traffic

_log = logging.getLogger("gateway")


def make_context(
    settings: ServingSettings,
    router: Router,
    origins: Origins,
    traffic: Traffic,
    learn: Callable[[str], object] | None = None,
) -> Context:
    """A listener's context from what serve and sidecar have in common."""
    timeouts = settings.timeouts
    return Context(
        router,
        origins,
        traffic,
        settings.carriers.header,
        Timeouts(
            timeouts.head,
            timeouts.body_idle,
            timeouts.connect,
            timeouts.answer,
            timeouts.keep_alive,
            timeouts.upstream_idle,
        ),
        settings.limits.head_bytes,
        settings.limits.header_count,
        learn,  # type: ignore[arg-type]
    )


def make_nacos(registry: NacosRegistrySettings) -> NacosAdapter:
    """The client of a Nacos server, or of the embedded registry in another process."""
    return NacosAdapter(str(registry.address), registry.namespace, registry.group, registry.interval)


def warn_of_restart(old: GatewaySettings | SidecarSettings, new: GatewaySettings | SidecarSettings) -> None:
    """Says which changed settings only a restart applies: sockets and what is built once."""
    hot = {"routes", "rules", "registry"}
    changed = [
        name for name in type(old).model_fields if name not in hot and getattr(old, name) != getattr(new, name, None)
    ]
    both_static = isinstance(old.registry, StaticRegistrySettings) and isinstance(new.registry, StaticRegistrySettings)
    if not both_static and old.registry != new.registry:
        changed.append("registry")
    if changed:
        _log.warning("restart to apply: %s", ", ".join(changed))


def describe_services(keeper: Keeper, snapshot: Snapshot) -> list[dict[str, object]]:
    """Every watched service, its state and pools, as plain values."""
    return [_describe_service(state, snapshot) for state in sorted(keeper.states(), key=lambda state: state.service)]


def _describe_service(state: ServiceState, snapshot: Snapshot) -> dict[str, object]:
    view = snapshot.services.get(state.service)
    return {
        "service": state.service,
        "state": state.state,
        "age": round(state.age, 3),
        "reason": state.reason or None,
        "pools": [] if view is None else describe_pools(view),
    }


def describe_lanes(reloader: Reloader[LoadedGateway] | Reloader[LoadedSidecar]) -> list[dict[str, object]]:
    """Every lane in the order it is tried, as plain values."""
    loaded = reloader.loaded
    if loaded is None:
        return []
    return [
        {
            "group": group.name,
            "lane": lane.name,
            "tag": lane.tag,
            "enabled": group.enabled and lane.enabled,
            "services": list(group.services),
        }
        for group in loaded.groups
        for lane in group.lanes
    ]
