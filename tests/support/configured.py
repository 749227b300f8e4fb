"""Routes of the configuration, put in force in a proxy of the test's own process."""

from __future__ import annotations

from typing import Any

from gateway.app.build import make_guards, questions_of
from gateway.app.routes import make_routes
from gateway.permission.calls import Calls
from gateway.routing.snapshot import Snapshot
from gateway.rules.environment import no_claims
from gateway.settings.gateway import GatewaySettings
from tests.support.proxy import Proxy


def use(proxy: Proxy, *routes: dict[str, Any], calls: Calls | None = None, **settings: Any) -> None:
    """Routes by these, to service a. `calls` calls authorization services."""
    config = {"registry": {"kind": "static"}, "routes": [{"path": "/A", "service": "a", **route} for route in routes]}
    made = GatewaySettings.model_validate({**config, **settings})
    guards = make_guards(made)
    if guards is not None and calls is not None:
        guards.call_by(calls)
    old = proxy.router.snapshot
    table = make_routes(made, no_claims, questions=questions_of(guards))
    proxy.router.snapshot = Snapshot(2, old.rules, table, old.services)
