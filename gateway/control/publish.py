"""Builds snapshots and publishes them to the routers: the one place where what a process routes by is replaced."""

from __future__ import annotations

from collections.abc import Callable

from gateway.proxy.origin import Origins
from gateway.routing.instance import Instance
from gateway.routing.routes import RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.match import CompiledRules
from gateway.telemetry.counters import Traffic


class Publisher:
    """Owns the current snapshot. `publish` hands each new one to the routers, by assignment.

    What hangs on services beside the snapshot (turns, connections, counters) is tidied here too, so that a service that
    is gone leaves nothing behind.
    """

    def __init__(
        self, publish: Callable[[Snapshot], None], origins: Origins, traffic: Traffic, keeps: tuple[Instance, ...] = ()
    ) -> None:
        self._publish = publish
        self._origins = origins
        self._traffic = traffic
        self._keeps = frozenset(instance.address for instance in keeps)
        self._turns = Turns()
        self.snapshot = Snapshot(0, CompiledRules.empty(), RouteTable(()), {})

    def configure(self, revision: int, rules: CompiledRules, routes: RouteTable) -> None:
        """Publishes a new configuration with the service views there are."""
        services = self.snapshot.services
        names = [name for name in services if rules.rejoining(name) != self.snapshot.rules.rejoining(name)]
        changed = {name: self._view(name, services[name].instances, rules) for name in names}
        self.snapshot = Snapshot(revision, rules, routes, {**services, **changed})
        self._publish(self.snapshot)
        self._traffic.retain_lanes({(lane.group, lane.name) for lane in rules.lanes})

    def service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        """Publishes what a registry says of one service now; the other services' views are shared, not rebuilt."""
        self.snapshot = self.snapshot.with_service(self._view(service, instances, self.snapshot.rules))
        self._publish(self.snapshot)
        self._retain_origins()

    def _view(self, service: str, instances: tuple[Instance, ...], rules: CompiledRules) -> ServiceView:
        return ServiceView(service, instances, self._turns, rules.rejoining(service))

    def service_removed(self, service: str) -> None:
        """Publishes that a service is not routed to any more."""
        if service in self.snapshot.services:
            self.snapshot = self.snapshot.without_service(service)
            self._publish(self.snapshot)
            self._retain_origins()
        self._turns.forget(service)
        self._traffic.forget_service(service)

    def _retain_origins(self) -> None:
        views = self.snapshot.services.values()
        self._origins.retain({instance.address for view in views for instance in view.instances} | self._keeps)
