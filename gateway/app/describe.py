"""What is known, as plain values for the admin API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.control.drains import Drains
from gateway.live.hits import LaneHits
from gateway.registry.keeper import FRESH, PROTECTED, STALE, UNKNOWN, ServiceState
from gateway.registry.registration import KnownRegistration
from gateway.registry.several import Registries
from gateway.routing.describe import describe_pools
from gateway.routing.snapshot import Snapshot
from gateway.rules.ruleset import RuleSet
from gateway.telemetry.counters import Traffic

if TYPE_CHECKING:
    from gateway.rules.model import Lane


def describe_services(
    registries: Registries,
    snapshot: Snapshot,
    drains: Drains,
    requests: Mapping[str, int],
    ejected: Mapping[str, Collection[str]] | None = None,
) -> list[dict[str, object]]:
    """Every watched service, its state in each registry and its pools, as plain values.

    `requests` are those under way at each address. `ejected` are addresses by service, if other processes than this one have
    found out about them.
    """
    found = [
        _describe_service(service, states, snapshot, None if ejected is None else ejected.get(service, ()))
        for service, states in sorted(registries.states().items())
        if states
    ]
    for service in found:
        drains.note(service["service"], service["pools"])
        for pool in service["pools"]:
            for item in pool["instances"]:
                item["in_flight"] = requests.get(item["address"], 0)
    return found


def _describe_service(
    service: str, states: Sequence[ServiceState], snapshot: Snapshot, ejected: Collection[str] | None
) -> dict[str, Any]:
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


def unheard_of(registries: Registries, attached: Collection[str] = (), *, was_ready: bool = False) -> list[str]:
    """Services without instances of which a registry has said nothing yet, as reasons not to be ready.

    `attached` are those that only attached routes lead to: whoever writes such a route must not take the gateway out of traffic.
    They are waited for until it was ready once, unless the registry has failed to say something.
    """
    reasons: list[str] = []
    for service, states in registries.states().items():
        silent = next((state for state in states if state.state == UNKNOWN), None)
        if silent is not None and not any(state.instances for state in states):
            if service in attached and (was_ready or silent.reason):
                continue
            reasons.append(f"service {service}: the registry has not responded yet ({silent.reason or 'waiting'})")
    return reasons


def describe_lanes(
    rules: RuleSet,
    hits: LaneHits,
    now: float,
    guard_of: Callable[[str, Lane], dict[str, Any] | None] = lambda *_: None,
    traffic: Traffic | None = None,
) -> list[dict[str, object]]:
    """Every lane in the order it is tried, as plain values, at a time in seconds since the epoch.

    `guard_of` says what is known of a lane's guard; `traffic` is what was counted of requests that the lanes have sent on.
    """
    injected, mirrored = ({}, {}) if traffic is None else (_by_tag(traffic.faults), _by_tag(traffic.mirrored))
    return [
        {
            "group": group.name,
            "lane": lane.name,
            "tag": lane.tag,
            "enabled": group.enabled and lane.enabled,
            "services": list(group.services),
            "owner": lane.owner or None,
            "expires": None if lane.expires is None else lane.expires.isoformat(),
            "percent": lane.share_at(now),
            "schedule": _schedule(lane, now),
            "guard": guard_of(group.name, lane),
            "fault": _fault(lane, injected.get(lane.tag, {})),
            "mirror": _mirror(lane, mirrored.get(lane.tag, {})),
            "hits": hits.of(group.name, lane.name).count,
            "last_hit": hits.of(group.name, lane.name).last,
        }
        for group in rules.groups
        for lane in group.lanes
    ]


def _by_tag(counts: Mapping[tuple[str, str, str], int]) -> dict[str, dict[str, int]]:
    """What is counted by service, tag and word, by tag and word."""
    found: dict[str, dict[str, int]] = {}
    for (_, tag, word), count in counts.items():
        words = found.setdefault(tag, {})
        words[word] = words.get(word, 0) + count
    return found


def _schedule(lane: Lane, now: float) -> dict[str, object] | None:
    """When the share of a lane changes next, to what, and all steps that it has; None: it has no schedule."""
    schedule, percent = lane.schedule, lane.percent
    if schedule is None or percent is None:
        return None
    step = schedule.next_step(now, percent)
    held = schedule.hold is not None and schedule.hold < percent
    return {
        "ends_with": percent,
        "held": held,
        "next": None if step is None else {"at": step[0], "percent": step[1]},
        "steps": [{"at": at, "percent": share} for at, share in schedule.plan(percent)],
    }


def _fault(lane: Lane, injected: Mapping[str, int]) -> dict[str, object] | None:
    """What a lane does to its requests, and how often it did; None: it has no fault."""
    fault = lane.fault
    if fault is None:
        return None
    return {
        "delay": fault.delay,
        "abort": fault.abort,
        "percent": fault.percent,
        "services": list(fault.services),
        "injected": {kind: injected.get(kind, 0) for kind in ("delay", "abort")},
    }


def _mirror(lane: Lane, results: Mapping[str, int]) -> dict[str, object] | None:
    """What a lane copies, and what came of the copies; None: it has no mirror."""
    if lane.mirror is None:
        return None
    words = ("same", "different", "failed", "skipped", "dropped")
    return {
        "percent": lane.mirror.percent,
        "methods": list(lane.mirror.methods),
        "results": {word: results.get(word, 0) for word in words},
    }
