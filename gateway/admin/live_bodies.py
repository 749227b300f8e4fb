"""What is given of live traffic beside records, as models: see `bodies`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CalledServiceBody(BaseModel):
    """A service, and the tags with which it was seen."""

    service: str
    tags: list[str]


class EdgeBody(BaseModel):
    """The calls of one service, or gateway, to another with one tag."""

    model_config = ConfigDict(populate_by_name=True)

    origin: str = Field(alias="from")
    is_entry: bool
    to: str
    tag: str
    pool: str
    fallback: str | None
    tag_lost: bool
    requests: int
    rate: float
    errors: float
    p95: float


class TopologyBody(BaseModel):
    """Which services called which of late."""

    seconds: float
    requests: int
    gateways: list[str]
    services: list[CalledServiceBody]
    edges: list[EdgeBody]


class RuleTestBody(BaseModel):
    """A recorded request as a rule test."""

    model_config = ConfigDict(extra="forbid")

    yaml: str
    passes: bool
    missing: list[str]


class ReasonBody(BaseModel):
    """Why an instance is taken out of traffic."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=1000)


class DrainBody(BaseModel):
    """An instance that gets no new requests."""

    service: str
    address: str
    author: str
    reason: str
    at: float


class DrainsBody(BaseModel):
    """All instances that get none."""

    drained: list[DrainBody]


class DifferenceBody(BaseModel):
    """What was different: `status`, a header's name, `body`, or a place in it."""

    what: str
    baseline: str
    lane: str


class MirroredBody(BaseModel):
    """A request whose copy got another response than the original."""

    time: float
    lane: str
    service: str
    tag: str
    instance: str
    method: str
    path: str
    differences: list[DifferenceBody]


class MirrorsBody(BaseModel):
    """Such requests, the latest first."""

    mirrored: list[MirroredBody]


class TrendBody(BaseModel):
    """The requests with one tag, step by step: per second, the share that failed, and the 95th percentile in seconds."""

    tag: str
    rate: list[float]
    errors: list[float | None]
    p95: list[float | None]


class TrendsBody(BaseModel):
    """Requests of late. `times` is when each step ended; `step` is how long one is, in seconds."""

    step: float
    times: list[float]
    tags: list[TrendBody]


class LostTagBody(BaseModel):
    """Calls of one service to another that lost the tag of their request, and why."""

    model_config = ConfigDict(populate_by_name=True)

    origin: str = Field(alias="from")
    to: str
    tag: str | None
    why: str
    count: int
    last: float
    trace_id: str | None


class LostTagsBody(BaseModel):
    """Such calls, the latest first."""

    lost: list[LostTagBody]


class FindingBody(BaseModel):
    """What is not as it has to be, and what to do."""

    check: str
    subject: str
    state: Literal["warning", "failed"]
    message: str
    hint: str


class FindingsBody(BaseModel):
    """Of so many checks. `left_out`: how many more findings there are."""

    checks: int
    findings: list[FindingBody]
    left_out: int
