"""A role for the admin API to show, without a role."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gateway.admin.observed import Observed
from gateway.control.reload import ReloadState
from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.registry.several import Registries
from gateway.routing.routes import RouteTable
from gateway.routing.snapshot import Snapshot
from gateway.rules.environment import MatchEnvironment
from gateway.rules.match import CompiledRules
from gateway.rules.ruleset import RuleSet


def observed(**values: Any) -> Observed:
    """A role that has just started, with these values instead."""
    plain: dict[str, Any] = {
        "traffic": {},
        "upstream_connections": {},
        "upstream_requests": {},
        "registries": Registries({}, lambda *_: None),
        "snapshot": Snapshot(1, CompiledRules.empty(), RouteTable(()), {}),
        "reload": ReloadState(1, 0.0, 1, 0, ()),
        "failures": {},
        "processes": {},
    }
    return Observed(**plain | values)


class ShownRole:
    """See RoleView and Explainer: `log` has what was asked of it, and each value can be set."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.reasons: list[str] = []
        self.reader = HeadReader("x-gray-tag")
        self.rules = RuleSet()
        self.around = MatchEnvironment(lambda: 0.0)
        self.decision: Any = "here"
        self.differing: list[dict[str, object]] = []
        self.explained: list[tuple[Request, str, bytes]] = []

    def not_ready(self) -> list[str]:
        self.log.append("not_ready")
        return self.reasons

    def status(self) -> dict[str, object]:
        self.log.append("status")
        return {"role": "test"}

    def mirrored(self) -> list[dict[str, object]]:
        return self.differing

    def services(self) -> list[dict[str, object]]:
        self.log.append("services")
        return [{"service": "a"}]

    def lanes(self) -> list[dict[str, object]]:
        self.log.append("lanes")
        return [{"lane": "gray"}]

    def trends(self, services: Collection[str]) -> dict[str, object]:
        self.log.append("trends")
        return {"services": list(services)}

    def findings(self) -> list[dict[str, object]]:
        self.log.append("findings")
        return [{"state": state} for state in ("ok", "skipped", "warning", "failed")]

    async def refresh(self) -> None:
        self.log.append("refresh")

    def observed(self) -> Observed:
        self.log.append("observed")
        return observed(failures={"a watch": 3})

    def explain(self, request: Request, client_ip: str, body: bytes) -> dict[str, object]:
        self.log.append("explain")
        self.explained.append((request, client_ip, body))
        return {"decision": self.decision}
