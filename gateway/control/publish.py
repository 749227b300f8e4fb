"""Builds snapshots and publishes them to the routers: the one place where what a process routes by is replaced."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from gateway.health.ejection import Ejector
from gateway.health.status import Conditions
from gateway.instance import Instance
from gateway.proxy.origins import Origins
from gateway.routing.choosing import BY_TURNS, Choosers
from gateway.routing.past import PastTerms
from gateway.routing.routes import RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.match import CompiledRules
from gateway.settings import EjectionSettings, ServiceSettings
from gateway.tags import BASE
from gateway.telemetry.counters import Traffic
from gateway.tls.mesh import Secured

_log = logging.getLogger("gateway")


class Publisher:
    """Owns the current snapshot. `publish` hands each new one to the routers, by assignment.

    What hangs on services beside the snapshot (turns, connections, counters) is tidied here too, so that a service that
    is gone leaves nothing behind.
    """

    def __init__(
        self,
        publish: Callable[[Snapshot], None],
        origins: Origins,
        traffic: Traffic,
        ejection: EjectionSettings,
    ) -> None:
        self._publish = publish
        self._origins = origins
        self._traffic = traffic
        traffic.names.knows = self.knows
        self._turns = Turns()
        self._users: Counter[str] = Counter()
        self._conditions = Conditions(ejection, traffic, self._condition_changed)
        self._choosers = BY_TURNS
        self._lane_tags: frozenset[str] = frozenset()
        self._past = PastTerms()
        self.snapshot = Snapshot(0, CompiledRules.empty(), RouteTable(()), {}, self._past)

    @property
    def ejector(self) -> Ejector:
        """The parts that learn how instances respond."""
        return self._conditions.ejector

    def knows(self, service: str, tag: str) -> bool:
        """Whether a service, and (unless empty) a tag of it, are known to the registry or to the rules."""
        view = self.snapshot.services.get(service)
        return view is not None and (tag in ("", BASE) or tag in view.pools or tag in self._lane_tags)

    def knows_tag(self, tag: str) -> bool:
        """Whether a tag is known to the rules, or is some instance's."""
        return tag in self._lane_tags or any(tag in view.pools for view in self.snapshot.services.values())

    def configure(
        self,
        revision: int,
        rules: CompiledRules,
        routes: RouteTable,
        special: Mapping[str, ServiceSettings],
        secured: Secured,
        choosers: Choosers = BY_TURNS,
    ) -> None:
        """Publishes a new configuration with the services there are. `special` is what is special about some.

        `choosers` say how instances are chosen.
        """
        self._conditions.configure(special, secured)
        self._choosers = choosers
        services = self.snapshot.services
        views = {name: self._view(name, view.instances, rules) for name, view in services.items()}
        # Those that come out as they were are shared.
        changed = {name: view for name, view in views.items() if not view.is_like(services[name])}
        routes.go_on(self.snapshot.routes)
        before = self.snapshot
        if before.revision and before.rules.terms.digest != rules.terms.digest:
            self._past.keep(before.rules.terms, time.monotonic())
        self.snapshot = Snapshot(revision, rules, routes, {**services, **changed}, self._past)
        self._publish(self.snapshot)
        self._lane_tags = frozenset(lane.tag for lane in rules.lanes)
        self._traffic.retain_lanes({(lane.group, lane.name) for lane in rules.lanes})

    def route_by(self, routes: RouteTable) -> None:
        """Publishes other routes; everything else stays as it is."""
        snapshot = self.snapshot
        routes.go_on(snapshot.routes)
        self.snapshot = Snapshot(snapshot.revision, snapshot.rules, routes, snapshot.services, self._past)
        self._publish(self.snapshot)

    def service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        """Publishes what a registry says of one service now; the other services' views are shared, not rebuilt."""
        before = self.snapshot.services.get(service)
        view = self._view(service, instances, self.snapshot.rules)
        self._turns.retain(service, view.pools)
        self.snapshot = self.snapshot.with_service(view)
        self._publish(self.snapshot)
        _tell_of_panic(before, view)
        self._retire_origins(() if before is None else before.instances, instances)

    def _view(self, service: str, instances: tuple[Instance, ...], rules: CompiledRules) -> ServiceView:
        condition = self._conditions.of(service, instances)
        rejoining = rules.terms.rejoining(service)
        return ServiceView(service, instances, self._turns, rejoining, condition, self._choosers.of(service))

    def _condition_changed(self, service: str) -> None:
        view = self.snapshot.services.get(service)
        if view is not None:
            self.service_changed(service, view.instances)

    def service_removed(self, service: str) -> None:
        """Publishes that a service is not routed to any more."""
        before = self.snapshot.services.get(service)
        if before is not None:
            self.snapshot = self.snapshot.without_service(service)
            self._publish(self.snapshot)
            self._retire_origins(before.instances, ())
        self._conditions.forget(service)
        self._turns.forget(service)
        self._traffic.forget_service(service)

    def _retire_origins(self, before: Sequence[Instance], after: Sequence[Instance]) -> None:
        """Retires the origins of addresses that no service has any more, by counting how many have each."""
        if before is after:
            return
        old, new = ({instance.address for instance in instances} for instances in (before, after))
        self._users.update(new - old)
        for address in old - new:
            self._users[address] -= 1
            if not self._users[address]:
                del self._users[address]
                self._origins.retire(address)

    async def close(self) -> None:
        """Ends what runs beside requests."""
        await self._conditions.close()


def _tell_of_panic(before: ServiceView | None, after: ServiceView) -> None:
    """Says which pools have only unhealthy instances now, which are used all the same."""
    for tag, pool in after.pools.items():
        known = None if before is None else before.pools.get(tag)
        if pool.is_panicking and (known is None or not known.is_panicking):
            _log.warning(
                "service %s: all %d instances with tag %s are unhealthy; using them all",
                after.name,
                pool.size,
                tag,
            )
