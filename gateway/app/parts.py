"""What the entry gateway and the sidecar are both put together with."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from gateway.errors import StartError
from gateway.health.ejection import Ejector
from gateway.http.head_reader import HeadReader
from gateway.proxy.access_log import AccessLog
from gateway.proxy.budget import RetryBudget
from gateway.proxy.context import Context, Limits, Timeouts
from gateway.proxy.origin import Origins
from gateway.registry.keeper import FRESH, PROTECTED, STALE, UNKNOWN, ServiceState
from gateway.registry.kinds import kind_of
from gateway.registry.registration import KnownRegistration
from gateway.registry.several import Registries
from gateway.routing.explain import describe_pools
from gateway.routing.router import Router
from gateway.routing.routes import Route, RouteResponse, RouteTable
from gateway.routing.snapshot import Snapshot
from gateway.rules.ruleset import RuleSet
from gateway.settings import (
    GatewaySettings,
    RouteSettings,
    ServingSettings,
    SidecarSettings,
)
from gateway.telemetry.counters import Traffic
from gateway.telemetry.linefile import LineFile

_log = logging.getLogger("gateway")


def make_context(
    settings: ServingSettings,
    router: Router,
    origins: Origins,
    traffic: Traffic,
    name: str,
    *,
    learn: Callable[[str], Awaitable[bool]] | None = None,
    log_file: LineFile | None = None,
    ejector: Ejector | None = None,
    scheme: str = "http",
) -> Context:
    """A listener's context from what serve and sidecar have in common."""
    timeouts, limits, retries = settings.timeouts, settings.limits, settings.retries
    return Context(
        router=router,
        origins=origins,
        traffic=traffic,
        tag_header=settings.carriers.header,
        timeouts=Timeouts(
            head=timeouts.head,
            body_idle=timeouts.body_idle,
            body_grace=timeouts.body_grace,
            connect=timeouts.connect,
            response=timeouts.response,
            keep_alive=timeouts.keep_alive,
            upstream_idle=timeouts.upstream_idle,
            tunnel_idle=timeouts.tunnel_idle,
        ),
        limits=Limits(
            head_bytes=limits.head_bytes,
            header_count=limits.header_count,
            target_bytes=limits.target_bytes,
            pipelined_bytes=limits.pipelined_bytes,
            body_rate=limits.body_rate,
            connections=limits.connections,
            connections_per_client=limits.connections_per_client,
            in_flight=limits.in_flight,
            inspected_bytes=limits.inspected_bytes,
            tunnels=limits.tunnels,
            tunnels_per_client=limits.tunnels_per_client,
        ),
        budget=RetryBudget(attempts=retries.attempts, share=retries.share, minimum=retries.minimum),
        learn=learn,
        log=make_log(settings, name, log_file),
        name=name,
        scheme=scheme,
        debug_header=debug_header(settings),
        ejector=ejector,
    )


def make_reader(settings: ServingSettings) -> HeadReader:
    """Reads requests to explain as the listener reads those that arrive."""
    limits = settings.limits
    return HeadReader(
        settings.carriers.header,
        target_bytes=limits.target_bytes,
        header_count=limits.header_count,
        debug_header=debug_header(settings),
    )


def debug_header(settings: ServingSettings) -> str:
    """The name of the debug header, empty where there is none."""
    debug = settings.debug if isinstance(settings, GatewaySettings) else None
    return "" if debug is None else debug.header


def make_log_file(settings: ServingSettings) -> LineFile | None:
    """The access log's file, None where it is off. Raises StartError where it cannot be opened."""
    if settings.access_log is None:
        return None
    try:
        return LineFile(settings.access_log.path)
    except OSError as error:
        path = settings.access_log.path
        raise StartError(f"cannot open the access log {path}: {error.strerror or error}") from error


def make_log(settings: ServingSettings, listener: str, file: LineFile | None) -> AccessLog | None:
    """One listener's access log, None where it is off."""
    log = settings.access_log
    if log is None or file is None:
        return None
    return AccessLog(file, listener, log.format, log.sample, log.headers, log.mask)


def make_routes(settings: GatewaySettings) -> RouteTable:
    """The route table that the settings describe."""
    return RouteTable([_make_route(route) for route in settings.routes])


def _make_route(route: RouteSettings) -> Route:
    respond = route.respond
    response = None if respond is None else RouteResponse(respond.status, respond.body.encode(), respond.headers)
    return Route(
        route.path,
        route.service or "",
        strip_prefix=route.strip_prefix,
        host=route.host or "",
        response=response,
        inspect_body=route.inspect_body,
        restore_prefix=route.restore_prefix,
    )


def warn_of_restart(old: GatewaySettings | SidecarSettings, new: GatewaySettings | SidecarSettings) -> None:
    """Says which changed settings only a restart applies: sockets and what is built once."""
    hot = {"routes", "rules", "registry", "registries", "services", "name", "jwt", "sticky"}
    hot |= {"ready_without_registry", "ready_with_old_rules"}
    changed = [
        name for name in type(old).model_fields if name not in hot and getattr(old, name) != getattr(new, name, None)
    ]
    before, after = old.all_registries, new.all_registries
    if list(before) != list(after) or any(
        item != after[name] and not (kind_of(item).reloads and item.kind == after[name].kind)
        for name, item in before.items()
    ):
        changed.append("registry")
    if "tls" in changed and _minimum_of(old) == _minimum_of(new):
        changed.remove("tls")  # certificates are replaced while running
    if changed:
        _log.warning("restart to apply: %s", ", ".join(changed))


def _minimum_of(settings: GatewaySettings | SidecarSettings) -> str:
    """The oldest TLS version of the listener, empty without TLS."""
    tls = settings.tls if isinstance(settings, GatewaySettings) else None
    return "" if tls is None else tls.minimum


def describe_services(
    registries: Registries, snapshot: Snapshot, ejected: Mapping[str, Collection[str]] | None = None
) -> list[dict[str, object]]:
    """Every watched service, its state in each registry and its pools, as plain values.

    `ejected` are addresses by service, where other processes than this one have found out about them.
    """
    return [
        _describe_service(service, states, snapshot, None if ejected is None else ejected.get(service, ()))
        for service, states in sorted(registries.states().items())
        if states
    ]


def _describe_service(
    service: str, states: Sequence[ServiceState], snapshot: Snapshot, ejected: Collection[str] | None
) -> dict[str, object]:
    view = snapshot.services.get(service)
    # The most troubled registry speaks for the service.
    worst = max(states, key=lambda state: _TROUBLE.index(state.state))
    return {
        "service": service,
        "state": worst.state,
        "age": round(worst.age, 3),
        "reason": worst.reason or None,
        "registries": [
            {
                "registry": state.registry,
                "state": state.state,
                "age": round(state.age, 3),
                "reason": state.reason or None,
                "instances": len(state.instances),
                "skipped": state.skipped,
                "left_out": {reason: list(names) for reason, names in state.left_out.items()},
                "all_called_healthy": state.is_forced,
                "errors": state.errors,
            }
            for state in states
        ],
        "pools": [] if view is None else describe_pools(view, ejected, _kept(states)),
    }


def _kept(states: Sequence[ServiceState]) -> frozenset[str]:
    """Addresses that no registry says there are now."""
    kept = frozenset[str]().union(*(state.kept for state in states))
    return kept - {item.address for state in states for item in state.instances if item.address not in state.kept}


def describe_registries(
    registries: Registries, registrations: Mapping[str, KnownRegistration] | None = None
) -> list[dict[str, object]]:
    """Every registry: what it is, where, how its services fare, and what is known of a registration there, as plain values."""
    known = registrations or {}
    return [
        {
            "name": name,
            **keeper.adapter.describe(),
            "services": len(states := keeper.states()),
            "troubled": sum(state.state != FRESH for state in states),
            **({"registration": known[name].describe()} if name in known else {}),
        }
        for name, keeper in registries.keepers.items()
    ]


_TROUBLE = (FRESH, PROTECTED, STALE, UNKNOWN)


def unanswered(registries: Registries) -> list[str]:
    """Services without instances of which a registry has said nothing yet, as reasons not to be ready."""
    reasons: list[str] = []
    for service, states in registries.states().items():
        silent = next((state for state in states if state.state == UNKNOWN), None)
        if silent is not None and not any(state.instances for state in states):
            reasons.append(f"service {service}: the registry has not answered yet ({silent.reason or 'waiting'})")
    return reasons


def describe_lanes(rules: RuleSet) -> list[dict[str, object]]:
    """Every lane in the order it is tried, as plain values."""
    return [
        {
            "group": group.name,
            "lane": lane.name,
            "tag": lane.tag,
            "enabled": group.enabled and lane.enabled,
            "services": list(group.services),
            "owner": lane.owner or None,
            "expires": None if lane.expires is None else lane.expires.isoformat(),
        }
        for group in rules.groups
        for lane in group.lanes
    ]
