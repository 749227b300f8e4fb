"""Every endpoint of the admin API, in one place. `docs/admin-api.md` describes them; a test compares the two."""

from __future__ import annotations

from typing import Any, Final

from gateway.admin.drains import DrainsApi
from gateway.admin.endpoints import ANY, LANE, SMALL, Endpoint
from gateway.admin.live import LiveApi
from gateway.admin.rules import MAX_DRAFT, MAX_LANE, MERGE_PATCH, RulesApi
from gateway.admin.views import MAX_EXPLAIN, Views
from gateway.live.delivery import MAX_BODY

_LANES: Final = "/api/v1/groups/{group}/lanes"
_LANE: Final = _LANES + "/{lane}"
_REVISION: Final = "/api/v1/history/{revision:[0-9]{1,15}}"

VIEWS: Final[tuple[Endpoint[Views], ...]] = (
    Endpoint("GET", "/livez", Views.livez, "Whether the process runs", is_free=True),
    Endpoint("GET", "/readyz", Views.readyz, "Whether it should get traffic, and if not, why", is_free=True),
    Endpoint("GET", "/metrics", Views.metrics, "Metrics in Prometheus' text format", is_free=True),
    Endpoint("GET", "/api/v1/status", Views.status, "The role: revision, reloads, registries"),
    Endpoint("GET", "/api/v1/services", Views.services, "Services and their instances"),
    Endpoint("GET", "/api/v1/lanes", Views.lanes, "Lanes, in the order in which they are tried"),
    Endpoint("POST", "/api/v1/explain", Views.explain, "The decision for a request", limit=MAX_EXPLAIN, types=ANY),
)
"""What every role has."""

_REQUEST: Final = "/api/v1/requests/{id:[0-9]{1,16}}"

LIVE: Final[tuple[Endpoint[LiveApi], ...]] = (
    Endpoint("GET", "/api/v1/requests", LiveApi.list_requests, "The latest requests"),
    Endpoint("GET", "/api/v1/requests/stream", LiveApi.stream, "Requests as they come, as server-sent events"),
    Endpoint("GET", _REQUEST + "/explain", LiveApi.explain, "Why a request went where it went"),
    Endpoint("GET", _REQUEST + "/test", LiveApi.rule_test, "A request as a rule test"),
    Endpoint("GET", "/api/v1/chains/{trace_id:[0-9a-f]{32}}", LiveApi.chain, "The path of a request through services"),
    Endpoint("GET", "/api/v1/topology", LiveApi.topology, "Which services called which of late"),
    Endpoint(
        "POST",
        "/api/v1/records",
        LiveApi.take,
        "Takes the records of another program",
        takes_delivery_token=True,
        limit=MAX_BODY,
    ),
)
"""What goes on now: of every role."""

_INSTANCE: Final = "/api/v1/services/{service}/instances/{address}"

DRAINS: Final[tuple[Endpoint[DrainsApi], ...]] = (
    Endpoint("POST", _INSTANCE + "/drain", DrainsApi.drain, "Takes an instance out of traffic", limit=SMALL),
    Endpoint("POST", _INSTANCE + "/restore", DrainsApi.restore, "Brings it back", limit=SMALL),
)
"""What takes instances out of traffic: of every role."""

RULES: Final[tuple[Endpoint[RulesApi], ...]] = (
    Endpoint("GET", _LANES, RulesApi.list_lanes, "The lanes of a group", limit=SMALL),
    Endpoint("POST", _LANES, RulesApi.create, "Adds a lane", limit=MAX_LANE, types=LANE),
    Endpoint("GET", _LANE, RulesApi.get, "A lane", limit=SMALL),
    Endpoint("PUT", _LANE, RulesApi.replace, "Puts another lane in its place", limit=MAX_LANE, types=LANE),
    Endpoint("PATCH", _LANE, RulesApi.patch, "Changes some of its keys", limit=MAX_LANE, types=MERGE_PATCH),
    Endpoint("DELETE", _LANE, RulesApi.delete, "Deletes it", limit=SMALL),
    Endpoint("POST", _LANE + "/enable", RulesApi.enable, "Opens it", limit=SMALL),
    Endpoint("POST", _LANE + "/disable", RulesApi.disable, "Closes it", limit=SMALL),
    Endpoint("GET", "/api/v1/history", RulesApi.list_history, "The last revisions of the rules", limit=SMALL),
    Endpoint("GET", _REVISION, RulesApi.get_revision, "A revision, with its files", limit=SMALL),
    Endpoint("POST", _REVISION + "/rollback", RulesApi.roll_back, "Puts its files in place again", limit=SMALL),
    Endpoint("POST", "/api/v1/whatif", RulesApi.what_if, "What a draft of rules would change", limit=MAX_DRAFT),
)
"""What changes rules: of an entry gateway."""

ENDPOINTS: Final[tuple[Endpoint[Any], ...]] = (*VIEWS, *LIVE, *DRAINS, *RULES)
