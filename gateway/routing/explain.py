"""Explain: the decision for a request with everything that led to it, without touching anything."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.http.request import Request
from gateway.routing.entry import EntryRouter
from gateway.routing.plan import Peer
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.explain import explain as explain_rules
from gateway.rules.model import LaneGroup


def explain(router: EntryRouter, groups: Sequence[LaneGroup], request: Request) -> dict[str, object]:
    """What `router` decides for `request` and why, as plain values for JSON or a table.

    `groups` are the rules that the router's snapshot was compiled from. In the result `decision` is the Decision,
    `lanes` the evidence of every lane in order, `pools` what the service has per tag. The instance is picked from
    copies of the pools: asking does not take anybody's turn.
    """
    live = router.snapshot
    turns = Turns()
    views = {name: ServiceView(name, view.instances, turns) for name, view in live.services.items()}
    observer = router.with_snapshot(Snapshot(live.revision, live.rules, live.routes, views))
    peer = Peer(request.client_ip, router.is_trusted(request.client_ip))
    decision = observer.route(request, peer, 0.0).decision
    view = views.get(decision.service)
    return {
        "request": {
            "method": request.method,
            "host": request.host,
            "path": request.path,
            "client_ip": request.client_ip,
        },
        "decision": decision.as_dict(),
        "lanes": [evidence.as_dict() for evidence in explain_rules(groups, request)],
        "pools": [] if view is None else describe_pools(view),
    }


def describe_pools(view: ServiceView) -> list[dict[str, object]]:
    """A service's pools as plain values: the baseline first, then by tag."""
    pools = sorted(view.pools.values(), key=lambda pool: (pool is not view.base, pool.tag))
    return [
        {
            "tag": pool.tag,
            "size": pool.size,
            "usable": len(pool.usable),
            "instances": [
                {
                    "address": instance.address,
                    "weight": instance.weight,
                    "healthy": instance.healthy,
                    "enabled": instance.enabled,
                    "metadata": dict(instance.metadata),
                }
                for instance in view.instances
                if instance.tag == pool.tag
            ],
        }
        for pool in pools
    ]
