"""Checks of what the registries say: whether they respond, and have the instances that routes and lanes need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from gateway import hop
from gateway.app.doctor.finding import FAILED, OK, SKIPPED, WARNING, Finding
from gateway.app.doctor.mesh import check_instances
from gateway.app.registries import make_registries
from gateway.instance import Instance
from gateway.registry.keeper import FRESH, ServiceState
from gateway.registry.several import Registries
from gateway.rules.compile import is_open
from gateway.rules.ruleset import RuleSet
from gateway.settings import EmbeddedRegistrySettings, NacosRegistrySettings, ServingSettings
from gateway.tags import BASE

TIMEOUT: Final = 5.0
"""Seconds that the registries have to say something of a service."""
HINTS: Final[Mapping[str, str]] = {
    "unreachable": "check the address, and that the registry runs and may be reached from here",
    "timeout": "the registry is slow or unreachable: check the network and its load",
    "auth": "check the user or token of the registry's settings",
    "warming": "the registry has just started, or is overloaded: try again with --wait 60s",
}
"""What to do, by the reason for which a registry gave no list."""


async def check_services(settings: ServingSettings, rules: RuleSet, now: float) -> list[Finding]:
    """What the registries say of every service of routes and of lanes. Asks them as a gateway does, and keeps nothing."""
    wanted = services_of(settings, rules)
    instances: dict[str, tuple[Instance, ...]] = {}
    registries = make_registries(_asked(settings), instances.__setitem__)
    try:
        for service in wanted:
            registries.watch(service)
        await asyncio.gather(*(_wait(registries, service) for service in wanted))
        states = registries.states()
    finally:
        await registries.close()
    known = {service: instances.get(service, ()) for service in wanted}
    return check_known(settings, rules, states, known, now)


def check_known(
    settings: ServingSettings,
    rules: RuleSet,
    states: Mapping[str, list[ServiceState]],
    known: Mapping[str, tuple[Instance, ...]],
    now: float,
) -> list[Finding]:
    """What there is to say of what the registries have said, by service. One that `states` lacks, nobody has looked up."""
    silent = {service for service in known if not any(state.state == FRESH for state in states.get(service, ()))}
    return [
        *_registries(states),
        *_services(settings, known, silent),
        *check_bypasses(known),
        *check_instances(settings, known),
        *check_lanes(rules, known, silent, now),
    ]


def services_of(settings: ServingSettings, rules: RuleSet) -> list[str]:
    """The services of routes and of lane groups, in order."""
    routed = [route.service for route in settings.served_routes if route.service is not None]
    named = [service for group in rules.groups for service in group.services]
    return sorted({*routed, *named})


def check_lanes(
    rules: RuleSet, known: Mapping[str, tuple[Instance, ...]], silent: set[str], now: float
) -> Iterator[Finding]:
    """Whether each open lane leads to an instance with its tag, in one of its services at least."""
    for group in rules.groups:
        services = [service for service in (group.services or known) if service in known and service not in silent]
        is_all = all(service in services for service in group.services)
        for lane in group.lanes:
            subject = f"{group.name}/{lane.name}"
            tagged = [name for name in services if any(item.tag == lane.tag and item.is_usable for item in known[name])]
            if not is_open(group, lane, now):
                yield Finding("lanes", subject, OK, "closed")
            elif tagged:
                yield Finding("lanes", subject, OK, f"open; tag {lane.tag} in {', '.join(tagged)}")
            elif not services or not is_all:
                yield Finding("lanes", subject, SKIPPED, "nothing is known of its services", "see `registries` above")
            else:
                message = f"open, but no service has a usable instance with the tag {lane.tag}"
                hint = "register one with this tag, or close the lane: the baseline serves its requests, if it is not strict"
                yield Finding("lanes", subject, WARNING, message, hint)


def check_bypasses(known: Mapping[str, tuple[Instance, ...]]) -> Iterator[Finding]:
    """Whether an instance without a sidecar is on the host of one with a sidecar: it may be the application behind that."""
    for service, instances in known.items():
        behind = {item.host: item.address for item in instances if hop.SIDECAR_KEY in item.metadata}
        for item in instances:
            if item.host in behind and hop.SIDECAR_KEY not in item.metadata:
                message = (
                    f"{service} is registered at {item.address} without a sidecar, and at {behind[item.host]} with one"
                )
                hint = "if both are one application, requests to the former bypass its sidecar: let only the sidecar register"
                yield Finding("bypass", service, WARNING, message, hint)


def _registries(states: Mapping[str, list[ServiceState]]) -> Iterator[Finding]:
    by_registry: dict[str, list[ServiceState]] = {}
    for found in states.values():
        for state in found:
            by_registry.setdefault(state.registry, []).append(state)
    for name, found in by_registry.items():
        troubled = [state for state in found if state.state != FRESH]
        if not troubled:
            yield Finding("registries", name, OK, f"responds; {len(found)} services looked up")
        for reason in sorted({state.reason for state in troubled}):
            services = ", ".join(sorted(state.service for state in troubled if state.reason == reason))
            hint = next((text for word, text in HINTS.items() if reason.startswith(word)), "see the registry's log")
            yield Finding("registries", name, FAILED, f"says nothing usable of {services}: {reason or 'waiting'}", hint)


def _services(
    settings: ServingSettings, known: Mapping[str, tuple[Instance, ...]], silent: set[str]
) -> Iterator[Finding]:
    routed = {route.service for route in settings.served_routes}
    for service, instances in known.items():
        usable = [item for item in instances if item.is_usable]
        tags = sorted({item.tag for item in usable} - {BASE})
        shown = f"{len(usable)} of {len(instances)} instances usable" + (f"; tags {', '.join(tags)}" if tags else "")
        if service in silent:
            yield Finding("services", service, SKIPPED, "nothing is known of it", "see `registries` above")
        elif not instances and service not in routed and not settings.remote_registries:
            yield Finding(
                "services", service, SKIPPED, "is not in the static list", "sidecars that call it have it in theirs"
            )
        elif any(item.tag == BASE for item in usable):
            yield Finding("services", service, OK, shown)
        else:
            state = FAILED if service in routed else WARNING
            hint = "check its name, and that a baseline instance (without a tag) is registered and healthy"
            yield Finding("services", service, state, f"no usable baseline instance ({shown})", hint)


async def _wait(registries: Registries, service: str) -> None:
    await registries.wait_known(service, TIMEOUT)


def _asked(settings: ServingSettings) -> ServingSettings:
    """The settings of somebody who only asks: nothing is written to `state`, and an embedded registry is asked over HTTP."""
    found = {
        name: NacosRegistrySettings(kind="nacos", address=item.listen)
        if isinstance(item, EmbeddedRegistrySettings)
        else item
        for name, item in settings.all_registries.items()
    }
    return settings.model_copy(update={"state": None, "registry": None, "registries": found})
