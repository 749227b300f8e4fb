"""The snapshot: the immutable value a process routes by. Replaced whole by one assignment; a request keeps its own."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.routing.routes import RouteTable
from gateway.routing.services import ServiceView
from gateway.rules.match import CompiledRules


class Snapshot:
    """Compiled rules, routes and service views that belong together. `revision` counts configurations, from 1."""

    __slots__ = ("_spellings", "revision", "routes", "rules", "services")

    def __init__(
        self, revision: int, rules: CompiledRules, routes: RouteTable, services: Mapping[str, ServiceView]
    ) -> None:
        self.revision = revision
        self.rules = rules
        self.routes = routes
        self.services: dict[str, ServiceView] = dict(services)
        self._spellings: dict[str, str] | None = None

    def spelled(self, name: str) -> str:
        """The one service with instances whose name in lower case is `name`; empty if there is none, or several."""
        spellings = self._spellings
        if spellings is None:
            spellings = self._spellings = {}
            for service, view in self.services.items():
                if view.instances:
                    folded = service.lower()
                    spellings[folded] = "" if folded in spellings else service
        return spellings.get(name, "")

    def with_service(self, view: ServiceView) -> Snapshot:
        """This snapshot with one service's view replaced; all others are shared, not copied."""
        return Snapshot(self.revision, self.rules, self.routes, {**self.services, view.name: view})

    def without_service(self, service: str) -> Snapshot:
        """This snapshot without one service."""
        services = {name: view for name, view in self.services.items() if name != service}
        return Snapshot(self.revision, self.rules, self.routes, services)
