"""What a lane says of its guard: read, written as it was read, and refused with what is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.rules.guard import Guard
from gateway.rules.model import Lane
from gateway.ruletools.format import plain_lane


def lane(**guard: Any) -> dict[str, Any]:
    return {"name": "gray", "tag": "gray", "match": [{"cookie": "uid", "percent": "50"}], "guard": guard}


def test_a_guard_is_read_and_written_as_it_was_read() -> None:
    said = {"errors": "+2.5%", "p95": "x1.5", "min_requests": 100, "window": "90s", "then": "shrink to 1 %"}
    found = Lane.model_validate(lane(**said, compare="baseline"))
    assert found.guard is not None
    assert (found.guard.errors, found.guard.p95, found.guard.window) == (2.5, 1.5, 90)
    assert plain_lane(found)["guard"] == said


@pytest.mark.parametrize(("then", "share"), [("close", None), ("warn", None), ("shrink to 0.5%", 0.5)])
def test_what_happens_to_a_lane_that_is_worse(then: str, share: float | None) -> None:
    assert Guard.model_validate({"errors": "+2%", "then": then}).shrinks_to == share


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"then": "close"}, r"errors \(\+2%\), p95 \(x1.5\) or both must say what is too bad"),
        ({"errors": "+2%"}, "then"),
        ({"errors": "2", "then": "close"}, r"errors are \+N%, in percentage points .* found '2'"),
        ({"errors": "+101%", "then": "close"}, "found '.101%'"),
        ({"p95": "x1", "then": "close"}, "more than x1: x1.5; found 'x1'"),
        ({"p95": "1.5", "then": "close"}, "found '1.5'"),
        ({"errors": "+2%", "window": "9s", "then": "close"}, "from 10s to 24h; found '9s'"),
        ({"errors": "+2%", "window": "2d", "then": "close"}, "with s, m or h"),
        ({"errors": "+2%", "min_requests": 10, "then": "close"}, "greater than or equal to 20"),
        ({"errors": "+2%", "then": "open"}, "one of: close, warn, shrink to 1 %; found 'open'"),
        ({"errors": "+2%", "then": "shrink to 101 %"}, "from 0 to 100 is accepted; found '101'"),
        ({"errors": "+2%", "compare": "gray", "then": "close"}, "baseline"),
    ],
)
def test_a_guard_that_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Lane.model_validate(lane(**values))


def test_only_a_lane_with_one_share_can_shrink() -> None:
    with pytest.raises(ValidationError, match=r"guard.then: the lane needs one `percent` condition"):
        Lane.model_validate(
            {**lane(errors="+2%", then="shrink to 1 %"), "match": [{"param": "group", "equals": "gray"}]}
        )
