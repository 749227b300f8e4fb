"""The snapshot: the immutable value a process routes by. Replaced whole by one assignment; a request keeps its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.routing.decision import Decision
from gateway.routing.past import PastTerms
from gateway.routing.routes import RouteTable
from gateway.routing.services import ServiceView
from gateway.rules.match import CompiledRules
from gateway.rules.terms import Terms

NO_PAST: Final = PastTerms()
"""Of rules that are the first ones."""


class Snapshot:
    """Compiled rules, routes and service views that belong together. `revision` counts configurations, from 1.

    `past` are terms of rules before these, which it shares with other snapshots.
    """

    __slots__ = ("_spellings", "past", "revision", "routes", "rules", "services")

    def __init__(
        self,
        revision: int,
        rules: CompiledRules,
        routes: RouteTable,
        services: Mapping[str, ServiceView],
        past: PastTerms = NO_PAST,
    ) -> None:
        self.past = past
        self.revision = revision
        self.rules = rules
        self.routes = routes
        self.services: dict[str, ServiceView] = dict(services)
        self._spellings: dict[str, str] | None = None

    def settle_terms(self, decision: Decision, now: float) -> Terms:
        """The terms by which a marked request is decided: those that it came with, or those in force if there are none."""
        terms = self.rules.terms
        named = decision.rules
        if named and named != terms.digest:
            past = self.past.find(named, now)
            if past is None:
                decision.unknown_rules = named
            else:
                terms = past
        decision.rules = terms.digest
        return terms

    def view_under(self, service: str, terms: Terms) -> ServiceView | None:
        """A service as it is by some terms: which lanes are closed decides who is in the baseline."""
        view = self.services.get(service)
        if view is None or terms is self.rules.terms:
            return view
        return view.under(terms.rejoining(service))

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
        return Snapshot(self.revision, self.rules, self.routes, {**self.services, view.name: view}, self.past)

    def without_service(self, service: str) -> Snapshot:
        """This snapshot without one service."""
        services = {name: view for name, view in self.services.items() if name != service}
        return Snapshot(self.revision, self.rules, self.routes, services, self.past)
