"""What the part of the admin API that changes rules takes and gives, as models: see `bodies`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Lane = dict[str, JsonValue]
"""A lane as a file of rules has it: `gateway schema rules` describes it."""


class PlacedLaneBody(BaseModel):
    """A lane, and where it is."""

    group: str
    lane: Lane
    file: str
    line: int


class ListedLaneBody(PlacedLaneBody):
    """The same with its ETag."""

    etag: str


class ListedLanesBody(BaseModel):
    """The lanes of a group."""

    lanes: list[ListedLaneBody]


class LaneBody(BaseModel):
    """A lane as a file of rules has it, or some of its keys."""

    model_config = ConfigDict(extra="allow")


class RevisionBody(BaseModel):
    """A revision of the rules."""

    revision: int
    at: float
    author: str | None
    cause: str


class RevisionsBody(BaseModel):
    """The last revisions."""

    revisions: list[RevisionBody]


class WholeRevisionBody(RevisionBody):
    """A revision with its files."""

    files: dict[str, str]


class DraftBody(BaseModel):
    """A draft of rules, and requests to try."""

    model_config = ConfigDict(extra="forbid")

    rules: str
    requests: list[Any] = []
    last: int = Field(default=0, ge=0, le=1_000_000)


class LaneCountBody(BaseModel):
    """Requests of a lane before and after."""

    lane: str
    before: int
    after: int


class MoveBody(BaseModel):
    """Requests that would move."""

    model_config = ConfigDict(populate_by_name=True)

    origin: str = Field(alias="from")
    to: str
    requests: int
    examples: list[str]
    records: list[int]


class ComparisonBody(BaseModel):
    """What a draft would change."""

    requests: int
    unread: int
    moved: int
    lanes: list[LaneCountBody]
    moves: list[MoveBody]


class ReviewedFindingBody(BaseModel):
    """What the linter finds in the rules as they would be."""

    code: str
    severity: Literal["error", "warning", "info"]
    group: str
    lane: str
    field: str
    message: str
    hint: str
    is_new: bool


class FailedTestBody(BaseModel):
    """A rule test that would fail."""

    name: str
    file: str
    line: int
    expected: str
    lane: str


class TestedBody(BaseModel):
    """How the rule tests would fare."""

    passed: int
    failed: list[FailedTestBody]
    problem: str | None


class ReviewBody(BaseModel):
    """What a change would bring about."""

    lint: list[ReviewedFindingBody]
    tests: TestedBody
    what_if: ComparisonBody


class ChangeBody(BaseModel):
    """What a change did, or would do: `yaml` and `review` are of a dry run."""

    model_config = ConfigDict(extra="allow")

    revision: int
    dry_run: bool
    diff: str
    group: str = ""
    lane: Lane = {}
    yaml: str | None = None
    review: ReviewBody | None = None


class PlacedGroupBody(BaseModel):
    """A group without its lanes, how many those are, and where it is."""

    group: Lane
    lanes: int
    etag: str
    file: str
    line: int


class GroupsBody(BaseModel):
    """All groups, in the order in which they are tried."""

    groups: list[PlacedGroupBody]


class GroupBody(BaseModel):
    """A group as a file of rules has it, without lanes."""

    model_config = ConfigDict(extra="allow")


class PlainChangeBody(BaseModel):
    """What any change of rules did, or would do: `review` is of a dry run."""

    revision: int
    dry_run: bool
    diff: str
    review: ReviewBody | None = None


class GroupChangeBody(PlainChangeBody):
    """The same of a group, with what it says now."""

    group: Lane = {}


class ListedSegmentBody(BaseModel):
    """A segment, and how many values it has."""

    segment: str
    values: int
    file: str


class SegmentsBody(BaseModel):
    """All segments."""

    segments: list[ListedSegmentBody]


class SegmentTextBody(BaseModel):
    """What the file of a segment says."""

    model_config = ConfigDict(extra="forbid")

    text: str


class SegmentBody(BaseModel):
    """A segment, and what its file says."""

    segment: str
    text: str
