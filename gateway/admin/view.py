"""What a role lets the admin API see. A role implements this; nothing else of it is known here, and nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from gateway.admin.observed import Observed
from gateway.http.head_reader import HeadReader
from gateway.http.request import Request
from gateway.rules.environment import MatchEnvironment
from gateway.rules.ruleset import RuleSet


class RoleView(Protocol):
    """A running role as it is seen. Each method is quick, and gives plain values as they are at this moment."""

    def not_ready(self) -> list[str]:
        """Why the role should get no traffic now; empty: it is ready."""
        ...

    def status(self) -> Mapping[str, object]:
        """The role itself: its revision, how the last reload went, its registries."""
        ...

    def services(self) -> list[dict[str, object]]:
        """Every watched service with its instances."""
        ...

    def lanes(self) -> list[dict[str, object]]:
        """Every lane, in the order in which they are tried."""
        ...

    def mirrored(self) -> list[dict[str, object]]:
        """The latest copies for lanes that mirror whose response was different, the newest first."""
        ...

    def trends(self, services: Collection[str]) -> Mapping[str, object]:
        """Requests of late by tag, to some services or to all."""
        ...

    def findings(self) -> list[dict[str, object]]:
        """What `gateway doctor` finds of the role and of what that knows, without asking other programs."""
        ...

    async def refresh(self) -> None:
        """Fetches from other processes what `observed` returns, if there are any: the only method that waits."""
        ...

    def observed(self) -> Observed:
        """What the metrics are made of."""
        ...


class Explainer(Protocol):
    """What a role that matches lanes explains of a request."""

    @property
    def reader(self) -> HeadReader:
        """Reads requests to explain as the listener reads those that arrive."""
        ...

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        ...

    @property
    def around(self) -> MatchEnvironment:
        """What conditions look at beside the request."""
        ...

    def explain(self, request: Request, client_ip: str, body: bytes) -> dict[str, object]:
        """The decision for a request from an address, with its reasons. May be called in another thread."""
        ...
