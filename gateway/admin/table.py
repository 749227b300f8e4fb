"""Every endpoint of the admin API, in one place. `docs/admin-api.md` describes them; a test compares the two."""

from __future__ import annotations

from typing import Any, Final

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.admin import bodies, lane_bodies, live_bodies, rule_bodies
from gateway.admin.drains import DrainsApi
from gateway.admin.endpoints import ANY, LANE, SMALL, Endpoint
from gateway.admin.groups import MAX_SEGMENT_BODY, GroupsApi
from gateway.admin.live import LiveApi
from gateway.admin.rules import MAX_DRAFT, MAX_LANE, MERGE_PATCH, RulesApi
from gateway.admin.views import MAX_EXPLAIN, Views
from gateway.live.delivery import MAX_BODY
from gateway.web.openapi import Parameter

_GROUPS: Final = "/api/v1/groups"
_GROUP: Final = _GROUPS + "/{group}"
_LANES: Final = _GROUP + "/lanes"
_SEGMENTS: Final = "/api/v1/segments"
_SEGMENT: Final = _SEGMENTS + "/{segment}"
_LANE: Final = _LANES + "/{lane}"
_REVISION: Final = "/api/v1/history/{revision:[0-9]{1,15}}"
_REQUEST: Final = "/api/v1/requests/{id:[0-9]{1,16}}"

_TEXT: Final = {"type": "string"}
_DRY: Final = Parameter(
    "dry_run", {"type": "string", "enum": ["true", "false"]}, "true: say what would change, change nothing"
)
_AUTHOR: Final = Parameter("X-Author", {"type": "string", "pattern": "^[ -~]*$"}, "kept in the history", "header")
_IF_MATCH: Final = Parameter(
    "If-Match", {"type": "string", "pattern": "^[ -~]*$"}, "change it only if it still has this ETag", "header"
)
_CHANGE: Final = (_DRY, _AUTHOR)
_CHANGE_LANE: Final = (*_CHANGE, _IF_MATCH)
_FILTERS: Final = (
    Parameter("lane", _TEXT, "`gray`, or `demo/gray` for the lane of one group"),
    Parameter("service", _TEXT, "the service that the request went to"),
    Parameter("status", {"type": "string", "pattern": "^[1-5]([0-9][0-9]|xx)$"}, "`404`, or `4xx`"),
    Parameter("path", _TEXT, "how the path begins"),
    Parameter("fallback", {"type": "string", "enum": ["true", "false"]}, "whether it fell back to the baseline"),
    Parameter("since", {"type": "string", "pattern": "^[0-9]{1,10}$"}, "seconds since 1970, or a time in ISO 8601"),
    Parameter("trace", {"type": "string", "pattern": "^[0-9a-f]{32}$"}, "a trace id"),
)
_LIMIT: Final = Parameter(
    "limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "how many at most, up to `records.size`"
)
_AFTER: Final = Parameter(
    "Last-Event-ID", {"type": "string", "pattern": "^[0-9]{1,16}$"}, "go on after this record", "header"
)
_SECONDS: Final = Parameter(
    "seconds", {"type": "integer", "minimum": 1, "maximum": 86400}, "of the last so many seconds"
)
_PLAIN: Final = "text/plain"

VIEWS: Final[tuple[Endpoint[Views], ...]] = (
    Endpoint("GET", "/livez", Views.livez, "Whether the process runs", is_free=True, gives=_PLAIN),
    Endpoint(
        "GET", "/readyz", Views.readyz, "Whether it should get traffic, and if not, why", is_free=True, gives=_PLAIN
    ),
    Endpoint(
        "GET", "/metrics", Views.metrics, "Metrics in Prometheus' text format", is_free=True, gives=CONTENT_TYPE_LATEST
    ),
    Endpoint("GET", "/api/v1/openapi.json", Views.openapi, "This API in OpenAPI 3.1"),
    Endpoint("GET", "/api/v1/status", Views.status, "The role: revision, reloads, registries", gives=bodies.StatusBody),
    Endpoint("GET", "/api/v1/services", Views.services, "Services and their instances", gives=bodies.ServicesBody),
    Endpoint(
        "GET",
        "/api/v1/lanes",
        Views.lanes,
        "Lanes, in the order in which they are tried",
        gives=lane_bodies.LaneStatesBody,
    ),
    Endpoint(
        "GET",
        "/api/v1/mirrors",
        Views.mirrors,
        "The latest differences between the responses of the baseline and of lanes that mirror it",
        gives=live_bodies.MirrorsBody,
    ),
    Endpoint(
        "GET",
        "/api/v1/trends",
        Views.trends,
        "Requests, errors and durations of the last ten minutes, by tag",
        gives=live_bodies.TrendsBody,
        parameters=(Parameter("services", _TEXT, "only requests to these services, separated by commas"),),
    ),
    Endpoint(
        "GET",
        "/api/v1/findings",
        Views.findings,
        "What `gateway doctor` finds of this program that is not as it has to be",
        gives=live_bodies.FindingsBody,
    ),
    Endpoint(
        "POST",
        "/api/v1/explain",
        Views.explain,
        "The decision for a request",
        limit=MAX_EXPLAIN,
        types=ANY,
        takes=bodies.ExplainBody,
        gives=bodies.ExplanationBody,
    ),
)
"""What every role has."""

LIVE: Final[tuple[Endpoint[LiveApi], ...]] = (
    Endpoint(
        "GET",
        "/api/v1/requests",
        LiveApi.list_requests,
        "The latest requests",
        gives=bodies.RecordsBody,
        parameters=(*_FILTERS, _LIMIT),
    ),
    Endpoint(
        "GET",
        "/api/v1/requests/stream",
        LiveApi.stream,
        "Requests as they come, as server-sent events",
        gives="text/event-stream",
        parameters=(*_FILTERS, _AFTER),
    ),
    Endpoint(
        "GET",
        _REQUEST + "/explain",
        LiveApi.explain,
        "Why a request went where it went",
        gives=bodies.RecordExplanationBody,
    ),
    Endpoint(
        "GET",
        "/api/v1/chains/{trace_id:[0-9a-f]{32}}",
        LiveApi.chain,
        "The path of a request through services",
        gives=bodies.ChainBody,
    ),
    Endpoint(
        "GET",
        "/api/v1/chains/{trace_id:[0-9a-f]{32}}/beside",
        LiveApi.beside_chain,
        "Requests of a lane that went on without the trace while it lasted",
        gives=bodies.BesideBody,
    ),
    Endpoint("GET", _REQUEST + "/test", LiveApi.rule_test, "A request as a rule test", gives=live_bodies.RuleTestBody),
    Endpoint(
        "GET",
        "/api/v1/topology",
        LiveApi.topology,
        "Which services called which of late",
        gives=live_bodies.TopologyBody,
        parameters=(
            Parameter("lane", _TEXT, "only the requests of this lane, and what they led to"),
            _SECONDS,
        ),
    ),
    Endpoint(
        "GET",
        "/api/v1/lost-tags",
        LiveApi.lost_tags,
        "Which calls lost the tag of their request of late",
        gives=live_bodies.LostTagsBody,
        parameters=(_SECONDS,),
    ),
    Endpoint(
        "POST",
        "/api/v1/records",
        LiveApi.take,
        "Takes the records of another program",
        takes_delivery_token=True,
        limit=MAX_BODY,
        takes=bodies.DeliveryBody,
        gives=bodies.TakenBody,
    ),
)
"""What goes on now: of every role."""

_INSTANCE: Final = "/api/v1/services/{service}/instances/{address}"

DRAINS: Final[tuple[Endpoint[DrainsApi], ...]] = (
    Endpoint(
        "POST",
        _INSTANCE + "/drain",
        DrainsApi.drain,
        "Takes an instance out of traffic",
        limit=SMALL,
        takes=live_bodies.ReasonBody,
        gives=live_bodies.DrainsBody,
        parameters=(_AUTHOR,),
    ),
    Endpoint(
        "POST",
        _INSTANCE + "/restore",
        DrainsApi.restore,
        "Brings it back",
        limit=SMALL,
        gives=live_bodies.DrainsBody,
        parameters=(_AUTHOR,),
    ),
)
"""What takes instances out of traffic: of every role."""

RULES: Final[tuple[Endpoint[RulesApi], ...]] = (
    Endpoint(
        "GET", _LANES, RulesApi.list_lanes, "The lanes of a group", limit=SMALL, gives=rule_bodies.ListedLanesBody
    ),
    Endpoint(
        "POST",
        _LANES,
        RulesApi.create,
        "Adds a lane",
        limit=MAX_LANE,
        types=LANE,
        takes=rule_bodies.LaneBody,
        gives=rule_bodies.ChangeBody,
        status=201,
        parameters=_CHANGE,
    ),
    Endpoint("GET", _LANE, RulesApi.get, "A lane", limit=SMALL, gives=rule_bodies.PlacedLaneBody),
    Endpoint(
        "PUT",
        _LANE,
        RulesApi.replace,
        "Puts another lane in its place",
        limit=MAX_LANE,
        types=LANE,
        takes=rule_bodies.LaneBody,
        gives=rule_bodies.ChangeBody,
        parameters=_CHANGE_LANE,
    ),
    Endpoint(
        "PATCH",
        _LANE,
        RulesApi.patch,
        "Changes some of its keys",
        limit=MAX_LANE,
        types=MERGE_PATCH,
        takes=rule_bodies.LaneBody,
        gives=rule_bodies.ChangeBody,
        parameters=_CHANGE_LANE,
    ),
    Endpoint(
        "DELETE",
        _LANE,
        RulesApi.delete,
        "Deletes it",
        limit=SMALL,
        gives=rule_bodies.ChangeBody,
        parameters=_CHANGE_LANE,
    ),
    Endpoint(
        "POST",
        _LANE + "/enable",
        RulesApi.enable,
        "Opens it",
        limit=SMALL,
        gives=rule_bodies.ChangeBody,
        parameters=_CHANGE_LANE,
    ),
    Endpoint(
        "POST",
        _LANE + "/disable",
        RulesApi.disable,
        "Closes it",
        limit=SMALL,
        gives=rule_bodies.ChangeBody,
        parameters=_CHANGE_LANE,
    ),
    Endpoint(
        "GET",
        "/api/v1/history",
        RulesApi.list_history,
        "The last revisions of the rules",
        limit=SMALL,
        gives=rule_bodies.RevisionsBody,
    ),
    Endpoint(
        "GET",
        _REVISION,
        RulesApi.get_revision,
        "A revision, with its files",
        limit=SMALL,
        gives=rule_bodies.WholeRevisionBody,
    ),
    Endpoint(
        "POST",
        _REVISION + "/rollback",
        RulesApi.roll_back,
        "Puts its files in place again",
        limit=SMALL,
        gives=rule_bodies.ChangeBody,
        parameters=_CHANGE,
    ),
    Endpoint(
        "POST",
        "/api/v1/whatif",
        RulesApi.what_if,
        "What a draft of rules would change",
        limit=MAX_DRAFT,
        takes=rule_bodies.DraftBody,
        gives=rule_bodies.ComparisonBody,
    ),
)
"""What changes rules: of an entry gateway."""

GROUPS: Final[tuple[Endpoint[GroupsApi], ...]] = (
    Endpoint("GET", _GROUPS, GroupsApi.list_groups, "Lane groups, without their lanes", gives=rule_bodies.GroupsBody),
    Endpoint(
        "POST",
        _GROUPS,
        GroupsApi.create_group,
        "Adds a group",
        limit=MAX_LANE,
        takes=rule_bodies.GroupBody,
        gives=rule_bodies.GroupChangeBody,
        status=201,
        parameters=_CHANGE,
    ),
    Endpoint("GET", _GROUP, GroupsApi.get_group, "A group, without its lanes", gives=rule_bodies.PlacedGroupBody),
    Endpoint(
        "PUT",
        _GROUP,
        GroupsApi.replace_group,
        "Has a group say something else; its lanes stay",
        limit=MAX_LANE,
        takes=rule_bodies.GroupBody,
        gives=rule_bodies.GroupChangeBody,
        parameters=_CHANGE_LANE,
    ),
    Endpoint(
        "DELETE",
        _GROUP,
        GroupsApi.delete_group,
        "Deletes a group with its lanes",
        limit=SMALL,
        gives=rule_bodies.PlainChangeBody,
        parameters=_CHANGE_LANE,
    ),
    Endpoint(
        "GET", _SEGMENTS, GroupsApi.list_segments, "Segments, without their values", gives=rule_bodies.SegmentsBody
    ),
    Endpoint("GET", _SEGMENT, GroupsApi.get_segment, "What the file of a segment says", gives=rule_bodies.SegmentBody),
    Endpoint(
        "PUT",
        _SEGMENT,
        GroupsApi.put_segment,
        "Has the file of a segment say something else",
        limit=MAX_SEGMENT_BODY,
        takes=rule_bodies.SegmentTextBody,
        gives=rule_bodies.PlainChangeBody,
        parameters=_CHANGE_LANE,
    ),
)
"""What changes groups and segments: of an entry gateway."""

ENDPOINTS: Final[tuple[Endpoint[Any], ...]] = (*VIEWS, *LIVE, *DRAINS, *RULES, *GROUPS)
