"""What the admin API takes and gives, as models: the schemas of its OpenAPI description.

What is given is made elsewhere, of plain values (`app/describe.py`, `as_dict` of what is shown). Tests hold the two together.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from gateway.admin.carrier_bodies import LostTagBody, SignatureBody
from gateway.admin.live_bodies import DrainBody


class AnyBody(BaseModel):
    """An object that only the documents describe."""

    model_config = ConfigDict(extra="allow")


class ReloadsBody(BaseModel):
    """How loads of the configuration went."""

    success: int
    failure: int


class WorkerBody(BaseModel):
    """A process that routes."""

    worker: int
    pid: int
    started_at: float
    serving: bool


class RemoteRulesBody(BaseModel):
    """A remote source of rules."""

    source: str
    file: str
    age: float | None
    problem: str | None


class RegistrationBody(BaseModel):
    """What is known of a sidecar's registration."""

    state: str
    age: float | None
    reason: str | None


class RegistryBody(BaseModel):
    """A registry; each kind has more to say."""

    model_config = ConfigDict(extra="allow")

    name: str
    kind: str
    services: int
    troubled: int
    registration: RegistrationBody | None = None


class ApplicationBody(BaseModel):
    """A sidecar's application."""

    address: str
    up: bool
    reason: str | None


class GatewayApiBody(BaseModel):
    """What is served of a Gateway object of a cluster."""

    gateway: str
    found: bool
    routes: int
    matches: int
    problem: str | None


class StatusBody(BaseModel):
    """A gateway or sidecar. What only the other role has is absent."""

    role: Literal["entry", "sidecar"]
    version: str
    started_at: float
    revision: int
    loaded_at: float
    last_reload_error: list[str] | None
    reloads: ReloadsBody
    runs_old_rules: bool
    rules: list[RemoteRulesBody]
    draining: bool
    drained: list[DrainBody]
    gateway_api: GatewayApiBody | None = None
    lost_tags: list[LostTagBody] = []
    signatures: list[SignatureBody] = []
    registered_beside: list[str] = []
    registries: list[RegistryBody]
    workers: list[WorkerBody] = []
    service: str = ""
    tag: str = ""
    application: ApplicationBody | None = None
    registered: bool = False
    registered_in: list[str] = []


class DrainedBody(BaseModel):
    """By whom, why and when an instance was taken out of traffic."""

    author: str
    reason: str
    at: float


class InstanceBody(BaseModel):
    """An instance."""

    address: str
    weight: float
    healthy: bool
    enabled: bool
    ejected: bool
    kept: bool
    drained: DrainedBody | None = None
    in_flight: int = 0
    metadata: dict[str, str]


class PoolBody(BaseModel):
    """The instances of a service with one tag."""

    tag: str
    size: int
    usable: int
    panicking: bool
    instances: list[InstanceBody]


class ServiceStateBody(BaseModel):
    """A service in one registry."""

    registry: str
    state: str
    age: float
    reason: str | None
    instances: int
    skipped: dict[str, int]
    left_out: dict[str, list[str]]
    all_called_healthy: bool
    errors: int


class ServiceBody(BaseModel):
    """A service."""

    service: str
    state: str
    age: float
    reason: str | None
    registries: list[ServiceStateBody]
    pools: list[PoolBody]


class ServicesBody(BaseModel):
    """Every service."""

    services: list[ServiceBody]


class ReporterBody(BaseModel):
    """Which program made a record."""

    name: str
    role: str
    tag: str
    address: str


class RecordBody(BaseModel):
    """One request."""

    id: int
    reporter: ReporterBody
    time: float
    listener: str
    method: str
    host: str | None
    path: str | None
    version: str
    params: dict[str, str]
    status: int
    cause: str | None
    grpc_status: str | None
    route: str | None
    service: str | None
    group: str | None
    lane: str | None
    tag: str
    tag_source: str
    pool: str
    fallback: str | None
    instance: str | None
    lost: str | None
    lost_tag: str | None
    signature: str | None
    fault: str | None
    mirror: bool
    duration_us: int
    upstream_us: int | None
    overhead_us: int | None
    attempts: int
    trace_id: str | None
    revision: int
    rules: str | None
    unknown_rules: str | None
    callee_failed: bool
    has_body: bool


class RecordsBody(BaseModel):
    """The latest requests, the newest first."""

    requests: list[RecordBody]
    last: int


class HopBody(RecordBody):
    """One call of a chain."""

    label: str
    tag_lost: bool
    arrival: RecordBody | None
    calls: list[HopBody]


class ChainBody(BaseModel):
    """The path of one trace."""

    trace_id: str
    path: list[str]
    hops: list[HopBody]


class BesideBody(BaseModel):
    """What went on without a trace while it lasted, the oldest first."""

    requests: list[RecordBody]


class ConditionBody(BaseModel):
    """A condition, and what it saw."""

    text: str
    value: str | None
    held: bool
    bucket: int | None
    share: list[str]
    kept: bool
    members: list[ConditionBody]


class EvidenceBody(BaseModel):
    """A lane, and whether it took the request."""

    group: str
    lane: str
    tag: str
    state: str
    match_mode: str
    conditions: list[ConditionBody]
    matched: bool
    winner: bool


class DecisionBody(BaseModel):
    """What was decided for a request."""

    route: str | None
    service: str | None
    group: str | None
    lane: str | None
    tag: str
    tag_source: str
    pool: str
    fallback: str | None
    instance: str | None
    chosen_by: str | None
    error: str | None
    detail: str | None
    lost: str | None
    lost_tag: str | None
    signature: str | None
    fault: str | None
    mirror: bool | None
    revision: int
    rules: str | None
    unknown_rules: str | None


class ExplainedRequestBody(BaseModel):
    """The request, as it was read."""

    method: str
    host: str
    path: str
    client_ip: str


class BackendBody(BaseModel):
    """Where a route sends a share of requests."""

    service: str | None
    tag: str | None
    weight: int
    problem: str | None


class RouteBody(BaseModel):
    """The route that a request took."""

    source: str
    host: str | None
    path: str
    exact: bool
    match: list[str]
    asked: list[str]
    """Who is asked whether its requests may pass."""
    compress: str | None
    """In which codings responses are compressed."""
    backends: list[BackendBody]
    patience: dict[str, float]


class ExplanationBody(BaseModel):
    """The decision for a request, and why."""

    request: ExplainedRequestBody
    route: RouteBody | None
    decision: DecisionBody
    lanes: list[EvidenceBody]
    pools: list[PoolBody]


class RecordExplanationBody(ExplanationBody):
    """The decision for a recorded request, and what has changed since."""

    id: int
    recorded: dict[str, JsonValue]
    agrees: bool
    missing: list[str]


class ExplainBody(BaseModel):
    """A request to explain."""

    model_config = ConfigDict(extra="forbid")

    url: str
    method: str = "GET"
    headers: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    client_ip: str = "127.0.0.1"
    body: str = ""


class DeliveryBody(BaseModel):
    """Records of another program."""

    model_config = ConfigDict(extra="forbid")

    reporter: dict[str, str]
    records: list[dict[str, JsonValue]] = Field(max_length=100)


class TakenBody(BaseModel):
    """How many records were taken."""

    taken: int


class NothingBody(BaseModel):
    """There is nothing to say."""
