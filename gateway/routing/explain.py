"""Explain: the decision for a request with everything that led to it, without touching anything."""

from __future__ import annotations

import re
from typing import Any

from gateway.http.address import plain_ip
from gateway.http.content import read_content
from gateway.http.request import Request
from gateway.routing.describe import describe_pools, describe_route
from gateway.routing.entry import EntryRouter
from gateway.routing.peer import Peer
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.routing.verdict import NeedBody
from gateway.rules.context import MatchContext
from gateway.rules.environment import MatchEnvironment
from gateway.rules.explain import explain as explain_rules
from gateway.rules.ruleset import RuleSet


def explain(
    router: EntryRouter,
    rules: RuleSet,
    around: MatchEnvironment,
    request: Request,
    *,
    client_ip: str,
    body: bytes = b"",
) -> dict[str, Any]:
    """What `router` decides for `request` and why, as plain values for JSON or a table.

    `rules` are what the router's snapshot was compiled from, in this match environment; `client_ip` is the client's, `body` the
    request's. In the result `route` is the route with all that it asks for, `decision` the Decision, `lanes` the evidence of
    every lane in order, `pools` what the service has per tag. The instance is picked from copies of the pools: explaining takes
    nobody's turn.
    """
    live = router.snapshot
    turns = Turns()
    views = {
        name: ServiceView(name, view.instances, turns, live.rules.terms.rejoining(name), view.condition, view.choosing)
        for name, view in live.services.items()
    }
    observer = router.with_snapshot(Snapshot(live.revision, live.rules, live.routes, views, live.past))
    ip = plain_ip(client_ip) or client_ip
    peer = Peer(ip, router.is_trusted(ip))
    request.claims = not peer.is_trusted
    content: Any = None
    verdict = observer.route(request, peer, 0.0)
    if isinstance(verdict, NeedBody):
        content = read_content(request, body)
        verdict = observer.route(request, peer, 0.0, content)
    decision = verdict.decision
    route = live.routes.find(request.host, request.path, request)
    service = "" if route is None else route.service
    context = MatchContext(request, decision.client_ip, service=service, content=content)
    for name, _ in live.rules.issues:
        given = re.search(rf"\r\nSet-Cookie: {re.escape(name)}=([^;]*)", decision.response_fields.decode("ascii"))
        if given is not None:
            context.give_cookie(name, given[1])
    view = views.get(decision.service)
    return {
        "request": {
            "method": request.method,
            "host": request.host,
            "path": request.path,
            "client_ip": decision.client_ip,
        },
        "route": None if route is None else describe_route(route, views),
        "decision": decision.as_dict(),
        "lanes": [evidence.as_dict() for evidence in explain_rules(rules, context, around)],
        "pools": [] if view is None else describe_pools(view),
    }
