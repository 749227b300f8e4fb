"""What is different between two responses to the same request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.grpc.status import NAMES, NO_STATUS
from gateway.rules.mirrored import MirroredLane

MOST_DIFFERENCES: Final = 20
"""Differences of one pair of responses that are listed."""
MAX_TEXT: Final = 200
"""Characters of a text that is shown: a path, a place in a body, a header's value."""
_DEEPEST: Final = 64


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
        try:
            ours, theirs = json.loads(baseline.body), json.loads(lane.body)
        except (ValueError, RecursionError):
            pass  # not both are JSON: then they are compared as they are
        else:
            ignored = [tuple(path[1:].split("/")) for path in terms.ignored]
            yield from _of_values(ours, theirs, (), ignored, terms.tolerance)
            return
    yield Difference("body", f"{len(baseline.body)} bytes", f"{len(lane.body)} bytes")


def _status(code: int) -> str:
    return "none" if code == NO_STATUS else NAMES[code]


def _of_values(
    ours: Any, theirs: Any, path: tuple[str, ...], ignored: Sequence[tuple[str, ...]], tolerance: float
) -> Iterator[Difference]:
    if any(_is_below(path, pattern) for pattern in ignored):
        return
    if isinstance(ours, dict) and isinstance(theirs, dict) and len(path) < _DEEPEST:
        for name in dict.fromkeys([*ours, *theirs]):
            below = (*path, name.replace("~", "~0").replace("/", "~1"))  # RFC 6901 §3
            yield from _of_values(ours.get(name, _NOTHING), theirs.get(name, _NOTHING), below, ignored, tolerance)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(path) < _DEEPEST:
        for index in range(max(len(ours), len(theirs))):
            one, other = (values[index] if index < len(values) else _NOTHING for values in (ours, theirs))
            yield from _of_values(one, other, (*path, str(index)), ignored, tolerance)
    elif not _is_same(ours, theirs, tolerance):
        yield Difference(("/" + "/".join(path))[:MAX_TEXT], _described(ours), _described(theirs))


_NOTHING: Final = object()


def _is_below(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(path) >= len(pattern) and all(wanted in ("*", part) for wanted, part in zip(pattern, path, strict=False))


def _is_same(ours: Any, theirs: Any, tolerance: float) -> bool:
    # In JSON, true is no number.
    are_numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (ours, theirs))
    if are_numbers and ours != theirs:
        return bool(abs(ours - theirs) <= tolerance * max(abs(ours), abs(theirs)))
    return isinstance(ours, bool) == isinstance(theirs, bool) and bool(ours == theirs)


def _described(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return json.dumps(value)[:MAX_TEXT]
