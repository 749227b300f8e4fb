"""What is different between two responses to the same request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from gateway.grpc.status import NAMES, NO_STATUS
from gateway.live.jsoncompare import JsonComparison
from gateway.rules.mirrored import MirroredLane

MOST_DIFFERENCES: Final = 20
"""Differences of one pair of responses that are listed."""
MAX_TEXT: Final = 200
"""Characters of a text that is shown: a path, a place in a body, a header's value."""


@dataclass(slots=True)
class Answer:
    """What is compared of a response; names of `headers` are in lower case. `body` None: it is not known whole.

    `grpc_status` is the code of a gRPC call, NO_STATUS for what has none.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None
    grpc_status: int = NO_STATUS


@dataclass(frozen=True, slots=True)
class Difference:
    """`what` is `status`, `grpc-status`, a header's name, `body`, or a place in it (`/items/0/price`).

    The others are what is there, as texts. Those of bodies are only described: they may be anybody's secrets. `is_header`: they
    are a header's values, whole.
    """

    what: str
    baseline: str
    lane: str
    is_header: bool = False


def differences(baseline: Answer, lane: Answer, terms: MirroredLane) -> list[Difference]:
    """What differs although `terms` say that it must not, the first few of it."""
    found: list[Difference] = []
    for difference in _all(baseline, lane, terms):
        found.append(difference)
        if len(found) == MOST_DIFFERENCES:
            break
    return found


def _all(baseline: Answer, lane: Answer, terms: MirroredLane) -> Iterator[Difference]:
    if terms.compares_status and baseline.status != lane.status:
        yield Difference("status", str(baseline.status), str(lane.status))
    if terms.compares_status and baseline.grpc_status != lane.grpc_status:
        yield Difference("grpc-status", _status(baseline.grpc_status), _status(lane.grpc_status))
    for name in terms.headers:
        ours, theirs = baseline.headers.get(name, ""), lane.headers.get(name, "")
        if ours != theirs:
            yield Difference(name, ours, theirs, is_header=True)
    if terms.body == "none" or baseline.body is None or lane.body is None or baseline.body == lane.body:
        return
    if terms.body == "json":
        ignored = [path[1:].split("/") for path in terms.ignored]
        comparison = JsonComparison(ignored, terms.tolerance)
        try:
            found = list(islice(comparison.compare(baseline.body, lane.body), MOST_DIFFERENCES))
        except (ValueError, RecursionError):
            pass  # not both are JSON, or no program can be expected to read it: then they are compared as they are
        else:
            for place, ours, theirs in found:
                yield Difference(place[:MAX_TEXT], ours[:MAX_TEXT], theirs[:MAX_TEXT])
            return
    yield Difference("body", f"{len(baseline.body)} bytes", f"{len(lane.body)} bytes")


def _status(code: int) -> str:
    return "none" if code == NO_STATUS else NAMES[code]
