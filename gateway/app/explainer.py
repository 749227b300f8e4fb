"""The entry gateway as that which explains decisions."""

from __future__ import annotations

from gateway.app.entry_plane import EntryPlane
from gateway.app.parts import make_reader
from gateway.control.drains import Drains
from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.routing.explain import explain
from gateway.rules.environment import MatchEnvironment
from gateway.rules.ruleset import RuleSet
from gateway.settings.gateway import GatewaySettings


class EntryExplainer:
    """What an entry gateway would decide for a request."""

    def __init__(self, plane: EntryPlane, settings: GatewaySettings, drains: Drains) -> None:
        self._plane = plane
        self._drains = drains
        self._reader = make_reader(settings)

    @property
    def reader(self) -> HeadReader:
        """See Explainer."""
        return self._reader

    @property
    def rules(self) -> RuleSet:
        """See Explainer."""
        return self._plane.rules

    @property
    def around(self) -> MatchEnvironment:
        """See Explainer."""
        return self._plane.around

    def explain(self, request: Request, client_ip: str, body: bytes) -> dict[str, object]:
        """See Explainer."""
        plane = self._plane
        found = explain(plane.router, plane.rules, plane.around, request, client_ip=client_ip, body=body)
        self._drains.note(found["decision"]["service"] or "", found["pools"])
        return found
