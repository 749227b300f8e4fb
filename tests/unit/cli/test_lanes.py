"""What `gateway lanes` says of a lane."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.lanes import _is_of

LANE: dict[str, Any] = {"tag": "gray", "services": ["a", "b"]}


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ({"tag": "gray", "from": "a"}, True),
        ({"tag": "gray", "from": "beside"}, True),
        ({"tag": "blue", "from": "a"}, False),
        ({"tag": None, "from": "a"}, True),
        ({"tag": None, "from": "beside"}, False),
        ({"from": "b"}, True),  # a gateway of an earlier version
    ],
)
def test_a_lost_tag_belongs_to_the_lane_with_that_tag_or_may_be_of_a_service_of_it(
    loss: dict[str, Any], expected: bool
) -> None:
    assert _is_of(loss, LANE) is expected
    assert _is_of({**loss, "tag": None}, {**LANE, "services": []})
