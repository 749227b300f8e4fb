"""What the admin API says of the state of lanes, as models: see `bodies`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class LaneStepBody(BaseModel):
    """When the share of a lane changes, and to what."""

    at: float
    percent: float


class LaneScheduleBody(BaseModel):
    """What the schedule of a lane leads to."""

    ends_with: float
    held: bool
    next: LaneStepBody | None
    steps: list[LaneStepBody]


class LaneVerdictBody(BaseModel):
    """What the guard found of one window."""

    at: float
    state: Literal["good", "worse", "undecided"]
    reason: str


class LaneGuardBody(BaseModel):
    """What is known of the guard of a lane."""

    then: str
    state: Literal["good", "worse", "undecided", "tripped"] | None
    windows: int
    outcome: Literal["closed", "shrunk", "held", "warned", "failed"] | None
    reason: str | None
    at: float | None
    past: list[LaneVerdictBody]


class InjectedBody(BaseModel):
    """Requests with the lane's tag that were held up, or failed, on purpose."""

    delay: int
    abort: int


class LaneFaultBody(BaseModel):
    """What a lane does to its own requests."""

    delay: float | None
    abort: int | None
    percent: float
    services: list[str]
    injected: InjectedBody


class MirrorResultsBody(BaseModel):
    """What came of copies with the lane's tag."""

    same: int
    different: int
    failed: int
    skipped: int
    dropped: int


class LaneMirrorBody(BaseModel):
    """What a lane copies of the baseline's requests."""

    percent: float
    methods: list[str]
    results: MirrorResultsBody


class LaneStateBody(BaseModel):
    """A lane, and whether it is open."""

    model_config = ConfigDict(extra="allow")

    group: str
    lane: str
    tag: str
    enabled: bool
    services: list[str]
    owner: str | None
    expires: str | None
    percent: float | None
    schedule: LaneScheduleBody | None
    guard: LaneGuardBody | None
    fault: LaneFaultBody | None
    mirror: LaneMirrorBody | None
    hits: int
    last_hit: float | None


class LaneStatesBody(BaseModel):
    """Every lane, in order."""

    lanes: list[LaneStateBody]
